"""What starts where, now? Waiting heads and capacities become starts and holds, each hold with its reason.

Order: higher priority first; within a priority the sweep with the fewest active attempts (those just placed included)
goes next; among equals the one whose next task asks for the most GPUs, then by name. So no sweep takes every slot.
Within a sweep, declared order; a head that finds no room lets pass those behind it that ask for something else. But it
reserves: the GPUs of one source that could take it are kept together, so that a stream of smaller tasks does not take
each GPU that comes free.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from itertools import groupby
from typing import assert_never

from reconciler.core.fit import Capacity, Hold, allowed, busy, usable
from reconciler.core.model import Instant, Phase, Resources, SourceName, SweepName, Task, TaskKey
from reconciler.core.reasons import what_to_do
from reconciler.core.spec import Placement, Strategy

__all__ = ["Capacity", "Dispatch", "Head", "Hold", "Queue", "Start", "Why", "dispatch", "explain"]

CPU_ONLY = Resources()
NEXT = "nothing holds it: it starts when its turn comes"


@dataclass(frozen=True, slots=True)
class Head:
    """A waiting task whose backoff has passed, and what its next attempt asks for."""

    key: TaskKey
    resources: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The waiting side of one sweep.

    heads       ready tasks in declared order; may be a window of them, but must reach past tasks that fit no source
    waiting     all desired waiting tasks; delayed: those of them in backoff; next_wake: when the first backoff passes
    active      attempts of the sweep that are queued or running; per_source: the same by source
    barred      sources that may take nothing of this sweep now, because its code is not ready there, and why
    trials      sources that may take one attempt now, and why no more
    gate        closed: nothing of this sweep starts, for this reason (Paused, SweepCancelled, MaxFailuresReached,
                DependencyNotReady, NotScheduled, PruneBlocked, …)
    """

    sweep: SweepName
    heads: Sequence[Head]
    waiting: int
    delayed: int = 0
    next_wake: Instant | None = None
    active: int = 0
    per_source: Mapping[SourceName, int] = field(default_factory=dict)
    priority: int = 0
    parallelism: int | None = None
    gate: Hold | None = None
    barred: Mapping[SourceName, Hold] = field(default_factory=dict)
    trials: Mapping[SourceName, Hold] = field(default_factory=dict)
    placement: Placement = field(default_factory=Placement)


@dataclass(frozen=True, slots=True)
class Start:
    """This task starts on this source, with so many GPUs."""

    key: TaskKey
    source: SourceName
    gpus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """The starts in the order of their decision; why the rest waits; when to look again without being asked."""

    starts: tuple[Start, ...]
    holds: Mapping[SweepName, tuple[Hold, ...]]
    wake_at: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why one task is not running: a reason, a sentence, and what to do about it ("" = nothing)."""

    reason: str
    message: str
    hint: str


def dispatch(queues: Sequence[Queue], capacities: Sequence[Capacity], now: Instant) -> Dispatch:
    """Decide the starts of this instant. The order of `queues` and `capacities` does not matter.

    Costs O(sweeps · sources), plus O(sources) per start and per shape of resources that found no room, plus one look-up
    per head that is passed over: the window of heads bounds these.
    """
    rooms = {capacity.name: _Room(capacity, capacity.active, capacity.gpus_free) for capacity in capacities}
    ordered = sorted(queues, key=lambda queue: (-queue.priority, queue.sweep))
    lines = [_Line(queue, capacities, rooms) for queue in ordered]
    starts: list[Start] = []
    for _, group in groupby(lines, key=lambda line: line.queue.priority):
        starts.extend(_take_turns(group))
    holds = {line.queue.sweep: line.holds(now) for line in lines}
    return Dispatch(
        starts=tuple(starts),
        holds={sweep: held for sweep, held in holds.items() if held},
        wake_at=min((hold.until for held in holds.values() for hold in held if hold.until is not None), default=None),
    )


@dataclass(slots=True)
class _Room:
    """What is left of a source in this pass. `reserved`: its GPUs are kept together for a task that waits for them."""

    capacity: Capacity
    active: int
    gpus_free: int
    reserved: bool = False

    def takes(self, resources: Resources) -> bool:
        """GPU tasks never queue at the source: a queued one would hold GPUs idle."""
        if resources.gpus and not self.capacity.scheduled:
            return self.active < self.capacity.slots and not self.reserved and resources.gpus <= self.gpus_free
        return self.active < self.capacity.slots + (0 if self.reserved else self.capacity.prefetch)


class _Line:
    """One sweep in this pass: its next head, what it was given, and why its other heads are held."""

    __slots__ = ("active", "allowed", "barred", "found", "held", "next", "per_source", "queue", "rest", "rooms")

    def __init__(self, queue: Queue, capacities: Sequence[Capacity], rooms: Mapping[SourceName, _Room]) -> None:
        self.queue = queue
        self.rooms = rooms
        self.allowed = allowed(queue.placement, capacities)
        self.barred = dict(queue.barred)
        self.active = queue.active
        self.per_source = dict(queue.per_source)
        self.next = 0
        self.found: dict[Resources, list[_Room] | Hold] = {}
        self.held: dict[Hold, int] = {}
        self.rest = queue.gate  # once set, nothing more of this sweep starts in this pass

    def turn(self) -> tuple[int, int, SweepName, _Line]:
        """When this sweep's turn is, lowest first; names differ, so that lines are never compared."""
        gpus = self.queue.heads[self.next].resources.gpus if self.next < len(self.queue.heads) else 0
        return self.active, -gpus, self.queue.sweep, self

    def start(self) -> Start | None:
        """Place the next head that has room, in declared order; None when this sweep is done for now."""
        while self.rest is None and self.next < len(self.queue.heads):
            if self.queue.parallelism is not None and self.active >= self.queue.parallelism:
                self.rest = _parallelism(self.queue)
                break
            head = self.queue.heads[self.next]
            self.next += 1
            room = self._room(head.resources)
            if isinstance(room, _Room):
                return self._given(head, room)
            self.held[room] = self.held.get(room, 0) + 1
        return None

    def _room(self, resources: Resources) -> _Room | Hold:
        """The room for these resources, or why there is none. Room only shrinks in a pass: a hold is remembered."""
        found = self.found.get(resources)
        if found is None:
            fitting = usable(self.allowed, resources, self.barred)
            found = fitting if isinstance(fitting, Hold) else [self.rooms[capacity.name] for capacity in fitting]
            self.found[resources] = found
        if isinstance(found, Hold):
            return found
        free = [room for room in found if room.takes(resources)]
        if free:
            return min(free, key=lambda room: self._preference(room))
        return self._blocked(resources, found)

    def _blocked(self, resources: Resources, fitting: Sequence[_Room]) -> Hold:
        """All fitting rooms are taken: remember it, and reserve the GPUs of one of them for the head that waits."""
        hold = self.found[resources] = busy(resources)
        unreserved = [room for room in fitting if not room.reserved and not room.capacity.scheduled]
        if resources.gpus and unreserved:
            min(unreserved, key=lambda room: (-room.gpus_free, room.capacity.name)).reserved = True
        if not any(self.rooms[each.name].takes(CPU_ONLY) for each in self.allowed if each.in_use):
            self.rest = hold  # every slot is taken: do not look through the other heads
        return hold

    def _preference(self, room: _Room) -> tuple[float, float, float, SourceName]:
        """Lower is better; ends in the name, so that the choice never depends on the order of the input."""
        capacity, load = room.capacity, room.active / room.capacity.slots
        match self.queue.placement.strategy:
            case Strategy.ROUND_ROBIN:
                return self.per_source.get(capacity.name, 0), 0, 0, capacity.name
            case Strategy.LEAST_LOADED:
                return load, 0, 0, capacity.name
            case Strategy.CAPABILITY:
                memory = math.inf if capacity.memory_mib is None else capacity.memory_mib
                return capacity.gpus, memory, load, capacity.name
            case _:
                assert_never(self.queue.placement.strategy)

    def _given(self, head: Head, room: _Room) -> Start:
        name = room.capacity.name
        room.active += 1
        room.gpus_free -= head.resources.gpus
        self.active += 1
        self.per_source[name] = self.per_source.get(name, 0) + 1
        if name in self.queue.trials:
            self.barred[name] = self.queue.trials[name]
            self.found.clear()
        return Start(head.key, name, head.resources.gpus)

    def holds(self, now: Instant) -> tuple[Hold, ...]:
        """Why the waiting tasks of this sweep did not start, each of them counted once."""
        queue, started = self.queue, self.active - self.queue.active
        if queue.gate is not None:
            return (replace(queue.gate, tasks=queue.waiting),) if queue.waiting else ()
        held = dict(self.held)
        beyond = queue.waiting - queue.delayed - started - sum(held.values())
        if beyond > 0:
            rest = self.rest or Hold(reason="NextInLine", message=NEXT, until=now if started else None)
            held[rest] = held.get(rest, 0) + beyond
        if queue.delayed:
            delayed = self._delayed()
            held[delayed] = held.get(delayed, 0) + queue.delayed
        return tuple(replace(hold, tasks=tasks) for hold, tasks in held.items())

    def _delayed(self) -> Hold:
        """Why those in backoff wait: for that, unless nothing of the sweep starts anywhere before somebody acts."""
        found = usable(self.allowed, CPU_ONLY, self.barred) if self.barred else ()
        return found if isinstance(found, Hold) else _backoff(self.queue.next_wake)


def _take_turns(lines: Iterable[_Line]) -> Iterator[Start]:
    """The sweep with the fewest active attempts goes next, until none of them can start anything."""
    turns = [line.turn() for line in lines]
    heapify(turns)
    while turns:
        line = heappop(turns)[-1]
        start = line.start()
        if start is not None:
            yield start
            heappush(turns, line.turn())


def _parallelism(queue: Queue) -> Hold:
    return Hold(reason="ParallelismReached", message=f"at most {queue.parallelism} attempts may be active at once")


def _backoff(until: Instant | None) -> Hold:
    return Hold(reason="Backoff", message="it waits before its next attempt, because the last one failed", until=until)


# ---------------------------------------------------------------------------------------------- why one task waits


def explain(task: Task, resources: Resources, queue: Queue, capacities: Sequence[Capacity], now: Instant) -> Why:
    """Why this task of the queue's sweep is not running, or that it is. `resources`: what its next attempt asks for."""
    reason, message = _told(task, resources, queue, capacities, now)
    return Why(reason=reason, message=message, hint=what_to_do(reason))


def _told(
    task: Task, resources: Resources, queue: Queue, capacities: Sequence[Capacity], now: Instant
) -> tuple[str, str]:
    attempt = f"attempt {task.attempts} on {task.source}"
    match task.phase:
        case Phase.WAITING:
            hold = _waits_for(task, resources, queue, capacities, now)
            return hold.reason, hold.message
        case Phase.QUEUED:
            return "Queued", f"{attempt} is submitted and has not started yet"
        case Phase.RUNNING:
            return "Running", f"{attempt} is running"
        case Phase.SUCCEEDED:
            return "Completed", f"{attempt} succeeded"
        case Phase.FAILED | Phase.LOST | Phase.CANCELLED:
            counted = f"{task.failures} counted and {task.uncounted} uncounted failures"
            return task.reason, f"{attempt} ended as {task.phase} after {counted}"
        case _:
            assert_never(task.phase)


def _waits_for(task: Task, resources: Resources, queue: Queue, capacities: Sequence[Capacity], now: Instant) -> Hold:
    """What a waiting task waits for: first what a person must change, then what passes by itself."""
    if not task.desired:
        return Hold(reason="NotDesired", message="its point is no longer in the manifest")
    if queue.gate is not None:
        return queue.gate
    fitting = usable(allowed(queue.placement, capacities), resources, queue.barred)
    if isinstance(fitting, Hold):
        return fitting
    if task.not_before is not None and task.not_before > now:
        hold = _backoff(task.not_before)
        return replace(hold, message=f"{hold.message}: {task.not_before - now:.0f} s to go")
    if queue.parallelism is not None and queue.active >= queue.parallelism:
        return _parallelism(queue)
    if not any(_Room(capacity, capacity.active, capacity.gpus_free).takes(resources) for capacity in fitting):
        return busy(resources)
    return Hold(reason="NextInLine", message=NEXT)
