"""Facts gathered from the store, for `core.status` to judge: one sweep, one source, and the snapshot for metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from reconciler.catalog import Sweep
from reconciler.collect import Tally
from reconciler.controller.machines import details
from reconciler.core.dispatch import Hold
from reconciler.core.lifecycle import allowed_failures
from reconciler.core.model import Code, Instant, Json, Phase, SourceName, SweepName
from reconciler.core.pace import missed
from reconciler.core.settings import SourceConfig
from reconciler.core.status import CodeFacts, Problem, SourceFacts, SweepFacts, SweepStatus, sweep_status
from reconciler.source import SourceState
from reconciler.sourceloop import SourceLoop
from reconciler.store import InvalidRow, Reader, RepositoryRow
from reconciler.telemetry import LinkSnapshot, SourceSnapshot, SweepSnapshot


def status_of(
    reader: Reader,
    sweep: Sweep,
    *,
    holds: Sequence[Hold],
    repository: RepositoryRow,
    unresolved: int,
    code: CodeFacts | None,
) -> SweepStatus:
    """One sweep, as it is to be told."""
    return sweep_status(replace(_facts(reader, sweep, holds, repository, unresolved), code=code))


def _facts(
    reader: Reader, sweep: Sweep, holds: Sequence[Hold], repository: RepositoryRow, unresolved: int
) -> SweepFacts:
    counts = reader.counts(sweep.name)
    active = _active_of(reader, sweep.name)
    tasks: dict[Phase, int] = {}
    for (_, phase), count in counts.items():
        tasks[phase] = tasks.get(phase, 0) + count
    desired_active = sum(count for phase, count in tasks.items() if phase.active)
    return SweepFacts(
        name=sweep.name,
        state=sweep.spec.state,
        generation=sweep.row.generation,
        observed_generation=sweep.row.generation - sweep.row.settling,
        tasks=tasks,
        leaving=sum(active.values()) - desired_active,
        sources=active,
        holds=holds,
        allowed_failures=allowed_failures(sweep.spec.max_failures, sum(tasks.values())),
        unresolved=unresolved,
        invalid=_invalid(reader.invalid(), sweep.name),
        prune_blocked=_blocked(sweep, repository),
        history_rewritten=_rewritten(sweep, repository),
    )


def _active_of(reader: Reader, name: SweepName) -> dict[SourceName, int]:
    return {source: count for (sweep, source), count in reader.active_counts().items() if sweep == name}


def _invalid(rows: Sequence[InvalidRow], name: SweepName) -> Problem | None:
    for row in rows:
        if row.sweep == name and row.errors:
            first = row.errors[0]
            more = f" (and {len(row.errors) - 1} more)" if len(row.errors) > 1 else ""
            where = f"{first['file']}:{first['line']}:{first['column']}"
            return Problem(reason=str(first["reason"]), message=f"{where}: {first['message']}{more}")
    return None


def _blocked(sweep: Sweep, repository: RepositoryRow) -> Problem | None:
    if not sweep.row.frozen or not repository.blocked:
        return None
    return Problem(reason="ApprovalNeeded", message=f"{repository.blocked}: see `reconciler plan`, then approve it")


def _rewritten(sweep: Sweep, repository: RepositoryRow) -> Problem | None:
    if not sweep.row.frozen or repository.rewritten_from is None:
        return None
    message = f"the branch no longer contains {repository.rewritten_from[:12]}: removals wait for the next commit"
    return Problem(reason="NotADescendant", message=message)


def source_facts(
    loop: SourceLoop, active: int, gpus_free: int, uncollected: int, *, on: bool, codes: Iterable[Code] = ()
) -> SourceFacts:
    """One source, as it is to be judged."""
    config, state = loop.source.config, loop.source.state
    return SourceFacts(
        name=config.name,
        enabled=config.enabled and on,
        connected=state.up,
        slots=loop.source.slots,
        active=active,
        gpus=len(config.gpus),
        gpus_free=gpus_free,
        unresolved=loop.unresolved(),
        problem=None if loop.untried else loop.problem,
        stuck=loop.source.queue.stuck if loop.source.queue is not None else "",
        unstarted=loop.source.barred.not_starting,
        missed=missed(config.poll_s, loop.source.site) if config.scheduled else "",
        uncollected=uncollected,
        uncollectable=loop.collector.tally.problem if loop.collector is not None else None,
        details=details(loop, codes),
    )


def sweep_snapshot(reader: Reader, sweep: Sweep) -> SweepSnapshot:
    """One sweep for the metrics."""
    counts = reader.counts(sweep.name)
    tasks: dict[tuple[SourceName, Phase], int] = {}
    for (source, phase), count in counts.items():
        key = (source or SourceName(""), phase)
        tasks[key] = tasks.get(key, 0) + count
    return SweepSnapshot(
        name=sweep.name,
        state=sweep.spec.state,
        generation=sweep.row.generation,
        desired=sum(counts.values()),
        tasks=tasks,
        finished=reader.endings(sweep.name),
        usage=reader.usage(sweep.name),
        created_at=sweep.row.created_at,
    )


def source_snapshot(loop: SourceLoop, active: int, uncollected: int) -> SourceSnapshot:
    """One source for the metrics."""
    state = loop.source.state
    tally = loop.collector.tally if loop.collector is not None else Tally()
    return SourceSnapshot(
        name=loop.name,
        scheduler=loop.source.config.scheduler,
        up=None if state.hello is None else state.up,
        slots=loop.source.slots,
        site=loop.source.site,
        used=active,
        queue=loop.source.queue,
        submissions=loop.source.submissions,
        listings=loop.source.listings,
        declared=_declared(loop.source.config),
        barred=Counter(hold.reason for _, _, hold in loop.source.barred.told()),
        uncollected=uncollected,
        collected=tally.attempts,
        collected_bytes=tally.bytes,
        collect_failures=tally.failures,
        link=_link(state),
    )


def _declared(config: SourceConfig) -> Mapping[str, float]:
    """What the operator allows on a scheduler that others use, too."""
    if not config.scheduled:
        return {}
    return {
        "jobs": config.slots,
        "array_size": config.array_size,
        "poll_seconds": config.poll_s,
        "submit_seconds": config.submit_every_s,
    }


def _link(state: SourceState) -> LinkSnapshot:
    return LinkSnapshot(
        problem="" if state.up else state.reason,
        sessions=state.sessions,
        failures=state.failures,
        latency_s=state.latency_s,
        clock_skew_s=state.clock_skew_s,
        load1=None if state.probe is None else state.probe.load1,
        disk_free_mib=None if state.probe is None else state.probe.disk_free_mib,
    )


def holds_json(holds: Sequence[Hold]) -> list[Mapping[str, Json]]:
    """Holds as the store keeps them for readers."""
    return [
        {"reason": hold.reason, "message": hold.message, "until": hold.until, "tasks": hold.tasks} for hold in holds
    ]


def wake_in(wake_at: Instant | None, now: Instant) -> float | None:
    """Seconds until an instant, never negative."""
    return None if wake_at is None else max(0.0, wake_at - now)
