"""The arguments of `dispatch`, read from the store: what each sweep has waiting, and what may keep it closed.

Works on any `Reader`, so that the commands explain with the very values with which the daemon decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.catalog import Sweep
from reconciler.core.dispatch import Capacity, Head, Hold, Queue
from reconciler.core.jobs import Wait
from reconciler.core.lifecycle import allowed_failures, scaled
from reconciler.core.model import Attempt, Instant, Json, Phase, Resources, SourceName, Task
from reconciler.core.settings import Config
from reconciler.core.spec import SweepState
from reconciler.cron import first_tick_after
from reconciler.store import Reader


def queue_of(reader: Reader, sweep: Sweep, now: Instant, *, limit: int = 1) -> Queue:
    """The waiting side of a sweep, with at most `limit` of its heads; none while its gate is closed."""
    counts = reader.counts(sweep.name)
    waiting = sum(count for (_, phase), count in counts.items() if phase is Phase.WAITING)
    per_source = {source: count for (name, source), count in reader.active_counts().items() if name == sweep.name}
    gate = gate_of(reader, sweep, now)
    longest_s = sweep.spec.retry.backoff.max_s
    heads = reader.heads(sweep.name, limit=limit, now=now, longest_s=longest_s) if waiting and gate is None else []
    next_wake = reader.next_wake(sweep.name, now, longest_s) if waiting else None
    return Queue(
        sweep=sweep.name,
        heads=[Head(task.key, wanted_resources(sweep, task)) for task in heads],
        waiting=waiting,
        delayed=reader.delayed(sweep.name, now, longest_s) if next_wake is not None else 0,
        next_wake=next_wake,
        active=sum(per_source.values()),
        per_source=per_source,
        priority=sweep.spec.priority,
        parallelism=sweep.spec.parallelism,
        gate=gate,
        placement=sweep.spec.placement,
    )


def wanted_resources(sweep: Sweep, task: Task) -> Resources:
    """What the next attempt of a task asks for, with what retry rules have added."""
    return scaled(sweep.resources(task), task, sweep.spec.retry)


def gate_of(reader: Reader, sweep: Sweep, now: Instant) -> Hold | None:
    """Why nothing of this sweep may start now; None: the gate is open."""
    if sweep.row.deleted:
        return Hold(reason="SweepDeleted", message="the manifest left the repository")
    match sweep.spec.state:
        case SweepState.PAUSED:
            return Hold(reason="Paused", message="the manifest says `state: Paused`")
        case SweepState.CANCELLED:
            return Hold(reason="SweepCancelled", message="the manifest says `state: Cancelled`")
        case SweepState.ACTIVE:
            return _failures(reader, sweep) or _dependencies(reader, sweep) or _schedule(sweep, now)


def _failures(reader: Reader, sweep: Sweep) -> Hold | None:
    counts = reader.counts(sweep.name)
    allowed = allowed_failures(sweep.spec.max_failures, sum(counts.values()))
    failed = sum(count for (_, phase), count in counts.items() if phase in (Phase.FAILED, Phase.LOST))
    if allowed is None or failed <= allowed:
        return None
    return Hold(
        reason="MaxFailuresReached", message=f"{failed} tasks failed, and `maxFailures` allows {allowed}", tasks=failed
    )


def _dependencies(reader: Reader, sweep: Sweep) -> Hold | None:
    for name in sweep.spec.depends_on:
        row = reader.sweep(name)
        counts = reader.counts(name)
        done = sum(count for (_, phase), count in counts.items() if phase is Phase.SUCCEEDED)
        desired = sum(counts.values())
        if row is None or row.deleted or row.settling or done < desired or not desired:
            progress = f"{done} of its {desired} tasks have succeeded" if row is not None else "there is no such sweep"
            return Hold(reason="DependencyNotReady", message=f"it depends on {name}: {progress}")
    return None


def _schedule(sweep: Sweep, now: Instant) -> Hold | None:
    if sweep.spec.schedule is None or sweep.row.created_at is None:
        return None
    opens = first_tick_after(sweep.spec.schedule, sweep.row.created_at)
    if opens is not None and opens <= now:
        return None
    return Hold(reason="NotScheduled", message=f"the schedule {sweep.spec.schedule!r} has not ticked yet", until=opens)


def capacities_of(reader: Reader, config: Config) -> list[Capacity]:
    """What the sources can take, as the daemon last wrote it down for readers."""
    told = {row.name: row.state for row in reader.sources()}
    off = reader.switched_off()
    active: dict[SourceName, int] = {}
    for (_, source), count in reader.active_counts().items():
        active[source] = active.get(source, 0) + count
    return [
        Capacity(
            name=source.name,
            slots=min(source.slots, _number(_told(told.get(source.name), "slots"), source.slots)),
            active=active.get(source.name, 0),
            up=_told(told.get(source.name), "up") is True,
            enabled=source.enabled and source.name not in off,
            reason="" if source.name in told else "NotConnected",
            gpus=len(source.gpus),
            gpus_free=_number(_told(told.get(source.name), "gpusFree"), len(source.gpus)),
            gpu_type=source.gpu_type,
            memory_mib=source.memory_mib,
            scheduled=source.scheduled,
            labels=source.labels,
        )
        for source in config.sources
    ]


def barred_of(reader: Reader, sweep: Sweep) -> dict[SourceName, Hold]:
    """Where the code of a sweep is not ready, or where it is refused, as the daemon last wrote it down for readers."""
    barred: dict[SourceName, Hold] = {}
    for row in reader.sources():
        projects = _told(row.state, "projects")
        for told in projects if isinstance(projects, list) else ():
            reason, message = _told(told, "reason"), _told(told, "message")
            if sweep.code == (_told(told, "project"), _told(told, "revision")) and reason:
                barred[row.name] = Hold(reason=str(reason), message=str(message))
        refused = _told(row.state, "refused")
        for told in refused if isinstance(refused, list) else ():
            if (_told(told, "sweep"), _told(told, "generation")) == (sweep.name, sweep.row.generation):
                barred[row.name] = Hold(reason=str(_told(told, "reason")), message=str(_told(told, "message")))
    return barred


def wait_of(reader: Reader, attempt: Attempt) -> Wait | None:
    """Why a queued attempt waits in its scheduler's queue, as the daemon last wrote it down for readers.

    Of many that wait for one reason only some are named: any other is told the most frequent one.
    """
    rows = [row for row in reader.sources() if row.name == attempt.source]
    waits = _told(_told(rows[0].state, "queue"), "waits") if rows else None
    found = [told for told in waits if isinstance(told, dict)] if isinstance(waits, list) else []
    named = [told for told in found if attempt.eid in _listed(_told(told, "attempts"))]
    crowds = [told for told in found if _number(_told(told, "jobs"), 0) > len(_listed(_told(told, "attempts")))]
    for told in named or crowds:
        reason, meaning, action = (str(_told(told, name)) for name in ("reason", "meaning", "action"))
        return Wait(reason, meaning, action, stuck=_told(told, "stuck") is True)
    return None


def _listed(value: Json) -> Sequence[Json]:
    return value if isinstance(value, list) else ()


def _told(state: Json, name: str) -> Json:
    return state.get(name) if isinstance(state, dict) else None


def _number(value: Json, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
