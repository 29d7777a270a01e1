"""The dispatch pass: gather what waits and what is free, decide purely, and write the decisions down as intents.

Nothing is sent here. The source loops find the intents in the store and act on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from reconciler.catalog import Catalog, Sweep
from reconciler.controller.queues import queue_of, wanted_resources
from reconciler.core import identity
from reconciler.core.dispatch import Capacity, Dispatch, Hold, Queue, Start, dispatch
from reconciler.core.model import (
    Attempt,
    AttemptKey,
    Eid,
    HostIdentity,
    Instant,
    Phase,
    SourceName,
    SweepName,
    Task,
)
from reconciler.sourceloop import SourceLoop
from reconciler.store import Store

HEADS_BEYOND_CAPACITY = 16  # so that tasks that fit no source do not hide those behind them
HEADS_MAX = 5_000  # when many of them do, after all


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What one pass decided: sources with new intents, sweeps with new starts, holds, and when to look again."""

    sources: frozenset[SourceName]
    sweeps: frozenset[SweepName]
    holds: Mapping[SweepName, tuple[Hold, ...]]
    wake_at: Instant | None


def place(store: Store, catalog: Catalog, loops: Mapping[SourceName, SourceLoop], now: Instant) -> Placed:
    """Decide and intend, without a pause in between: nothing can change what was read before it is written."""
    capacities = capacities_now(store, loops)
    free = sum(max(0, source.slots + source.prefetch - source.active) for source in capacities if source.up)
    sweeps = [sweep for sweep in catalog.sweeps() if not sweep.row.deleted]
    mixed = {sweep.name for sweep in sweeps if not sweep.alike}
    limit = free + HEADS_BEYOND_CAPACITY
    while True:
        queues = [_queue(store, sweep, loops, now, limit=limit) for sweep in sweeps]
        decided = dispatch(queues, capacities, now)
        if limit >= HEADS_MAX or len(decided.starts) >= free or not _may_hide(queues, decided, mixed, limit):
            break
        limit = min(HEADS_MAX, limit * 4)
    attempts = _attempts(store, catalog, loops, decided.starts, now)
    if attempts:
        store.intend(attempts)
    return Placed(
        sources=frozenset(attempt.source for attempt in attempts),
        sweeps=frozenset(attempt.key.sweep for attempt in attempts),
        holds={queue.sweep: decided.holds.get(queue.sweep, ()) for queue in queues},
        wake_at=_earliest(decided.wake_at, queues),
    )


def _may_hide(queues: Sequence[Queue], decided: Dispatch, mixed: Set[SweepName], limit: int) -> bool:
    """Whether behind the heads of a sweep there may be tasks that ask for something else, and find room."""
    full = [queue.sweep for queue in queues if queue.sweep in mixed and len(queue.heads) >= limit]
    return any("ParallelismReached" not in {hold.reason for hold in decided.holds.get(name, ())} for name in full)


def _queue(store: Store, sweep: Sweep, loops: Mapping[SourceName, SourceLoop], now: Instant, *, limit: int) -> Queue:
    """As for readers; also barred from sources on which its code is not ready, and from those that refuse it.

    Where nothing of it has started for long, one attempt tries now and then.
    """
    queue, generation = queue_of(store, sweep, now, limit=limit), sweep.row.generation
    barred: dict[SourceName, Hold] = {}
    trials: dict[SourceName, Hold] = {}
    for name, loop in loops.items():
        bars = loop.source.barred
        hold = bars.hold(sweep.name, generation) or loop.code_problem(sweep.code)
        trial = None if hold is not None else bars.trial(sweep.name, generation)
        if hold is not None:
            barred[name] = hold
        elif trial is not None:
            (barred if queue.per_source.get(name) else trials)[name] = trial
    return replace(queue, barred=barred, trials=trials)


def capacities_now(store: Store, loops: Mapping[SourceName, SourceLoop]) -> list[Capacity]:
    """What each source can take at this instant."""
    active: dict[SourceName, int] = {}
    for (_, source), count in store.active_counts().items():
        active[source] = active.get(source, 0) + count
    off = store.switched_off()
    return [_capacity(store, loop, active.get(loop.name, 0), on=loop.name not in off) for loop in loops.values()]


def _capacity(store: Store, loop: SourceLoop, active: int, *, on: bool) -> Capacity:
    config, problem = loop.source.config, loop.problem
    return Capacity(
        name=config.name,
        slots=loop.source.slots,
        active=active,
        prefetch=loop.prefetch(),
        up=loop.ready,
        enabled=config.enabled and on,
        reason=problem.reason if problem else "",
        message=problem.message if problem else "",
        gpus=len(config.gpus),
        gpus_free=gpus_free(store, loop),
        gpu_type=config.gpu_type,
        memory_mib=config.memory_mib,
        scheduled=config.scheduled,
        labels=config.labels,
    )


def gpus_free(store: Store, loop: SourceLoop) -> int:
    """GPUs of the source that no open attempt asks for."""
    gpus = len(loop.source.config.gpus)
    if gpus == 0:
        return 0
    return gpus - sum(attempt.resources.gpus for attempt in store.open_attempts(loop.name))


def _attempts(
    store: Store, catalog: Catalog, loops: Mapping[SourceName, SourceLoop], starts: Sequence[Start], now: Instant
) -> list[Attempt]:
    instance, tasks = store.instance(), store.tasks_by_key(start.key for start in starts)
    eids = {start: identity.eid(instance, start.key, tasks[start.key].attempts + 1) for start in starts}
    lying = store.names(eids.values())  # made before, by a later state than ours
    attempts = []
    for start, eid in eids.items():
        sweep, source = catalog.get(start.key.sweep), lying.get(eid, start.source)
        source = source if source in loops else start.source
        hello = loops[source].source.state.hello
        assert sweep is not None
        if hello is not None:  # else it was not reached so far: the task waits for it
            attempts.append(_attempt(tasks[start.key], sweep, eid, source, hello.identity, now))
    return attempts


def _attempt(task: Task, sweep: Sweep, eid: Eid, source: SourceName, home: HostIdentity, now: Instant) -> Attempt:
    return Attempt(
        key=AttemptKey(*task.key, task.attempts + 1),
        eid=eid,
        source=source,
        digest=sweep.digest,
        phase=Phase.QUEUED,
        home=home,
        resources=wanted_resources(sweep, task),
        intended_at=now,
    )


def _earliest(wake_at: Instant | None, queues: Sequence[Queue]) -> Instant | None:
    opening = [queue.gate.until for queue in queues if queue.gate is not None and queue.gate.until is not None]
    return min((at for at in (wake_at, *opening) if at is not None), default=None)
