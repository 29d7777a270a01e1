"""Make one source agree with what the store intends: start what was intended, cancel what is to be cancelled.

Both read the store, never an event, so that after a crash the same calls carry on. Nothing is sent that was not written
down before, and whatever has no answer stays unknown until evidence tells: see `observe`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.catalog import Catalog
from reconciler.clock import Clock
from reconciler.core import identity
from reconciler.core.model import Attempt, Eid, Instant, Phase, Task
from reconciler.core.wire import AttemptSpec, CancelOutcome, StartOutcome
from reconciler.project import Projects
from reconciler.source import Source
from reconciler.store import Store

CANCEL_AGAIN_S = 10.0  # a cancellation without a proven end is asked for again after so long


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was done, and whom to look at: attempts whose claim somebody else had made."""

    sent: int
    look_at: tuple[Eid, ...]


async def submit(source: Source, store: Store, catalog: Catalog, projects: Projects, clock: Clock) -> Applied:
    """Start one batch of intended attempts of this source.

    Raises what asking a source raises: then they stay unknown.
    """
    attempts = [
        attempt
        for attempt in store.unaccepted(source.config.name, limit=source.dialect.limits.batch_max)
        if _may_be_sent(source, attempt)
    ]
    stale = [attempt.eid for attempt in attempts if _is_stale(catalog, attempt)]
    if stale:
        store.intend_cancel(stale, "Outdated", clock.now())
    fresh = [attempt for attempt in attempts if attempt.eid not in stale]
    tasks = store.tasks_by_key(attempt.key.task_key for attempt in fresh)
    specs = [await _spec(attempt, tasks[attempt.key.task_key], catalog, projects) for attempt in fresh]
    if not specs:
        return Applied(sent=0, look_at=())
    outcomes = await source.ask(source.dialect.submit(specs))
    accepted = {eid for eid, outcome in outcomes.items() if outcome is StartOutcome.ACCEPTED}
    store.accepted(accepted, clock.now())  # what the source told about them meanwhile stands
    return Applied(sent=len(specs), look_at=tuple(eid for eid in outcomes if eid not in accepted))


async def cancel(source: Source, store: Store, catalog: Catalog, clock: Clock, asked: dict[Eid, Instant]) -> Applied:
    """End what is to be cancelled on this source; `asked` remembers when each was last asked for."""
    now = clock.now()
    due = [
        attempt.eid
        for attempt in store.cancelling(source.config.name, now)
        if now - asked.get(attempt.eid, float("-inf")) >= CANCEL_AGAIN_S
    ][: source.dialect.limits.batch_max]
    if not due:
        return Applied(sent=0, look_at=())
    outcomes = await source.ask(source.dialect.cancel(due))
    asked.update(dict.fromkeys(due, now))
    revoked = [eid for eid, outcome in outcomes.items() if outcome is CancelOutcome.REVOKED]
    _record_revoked(store, catalog, revoked, clock.now())
    for eid in revoked:
        asked.pop(eid, None)
    unclear = [eid for eid, outcome in outcomes.items() if outcome in (CancelOutcome.ENDED, CancelOutcome.UNKNOWN)]
    return Applied(sent=len(due), look_at=tuple(unclear))


def _may_be_sent(source: Source, attempt: Attempt) -> bool:
    """Only to the very system for which it was intended: another host, or another boot, is for `resolve` to judge."""
    hello = source.state.hello
    return hello is not None and hello.identity == attempt.home


def _is_stale(catalog: Catalog, attempt: Attempt) -> bool:
    """The spec has changed since the attempt was intended: another number will run the new one."""
    sweep = catalog.get(attempt.key.sweep)
    return sweep is None or sweep.digest != attempt.digest


async def _spec(attempt: Attempt, task: Task, catalog: Catalog, projects: Projects) -> AttemptSpec:
    sweep = catalog.get(attempt.key.sweep)
    assert sweep is not None, "its attempt would be stale"
    work = sweep.work(task)
    cwd = await projects.path(sweep.spec.project, sweep.pin)
    return AttemptSpec(
        eid=attempt.eid,
        sweep=attempt.key.sweep,
        task=attempt.key.task,
        attempt=attempt.key.number,
        argv=work.argv,
        environment=work.environment,
        setup=work.setup,
        parameters=task.parameters,
        cwd=cwd,
        checkpoint=checkpoint_name(task, attempt),
        walltime_s=attempt.resources.walltime_s,
        gpus=attempt.resources.gpus,
    )


def checkpoint_name(task: Task, attempt: Attempt) -> str:
    """Shared by all attempts of a task with the same digest: another digest is other work."""
    return f"{identity.short_hash(task.key.sweep)}-{task.key.task}-{attempt.digest}"


def _record_revoked(store: Store, catalog: Catalog, eids: Sequence[Eid], now: Instant) -> None:
    """They never started, and never will: we won their claims."""
    attempts: Mapping[Eid, Attempt] = store.attempts_by_eid(eids)
    ended = [
        replace(attempt, phase=Phase.CANCELLED, reason=attempt.cancel, ended_at=now, message="it had not started")
        for attempt in attempts.values()
        if attempt.phase.active
    ]
    if ended:
        tasks = store.tasks_by_key(attempt.key.task_key for attempt in ended)
        pairs = [(attempt, catalog.settled(tasks[attempt.key.task_key], attempt, now)) for attempt in ended]
        store.record(pairs, now)
