"""What starts where, now? Waiting heads and capacities become starts and holds, each hold with its reason.

Order: higher priority first; within a priority the sweep with the fewest active attempts (those just placed included)
goes next, ties by name. So no sweep takes every slot. Within a sweep, declared order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.core.model import Instant, Placement, Resources, SourceName, SweepName, Task, TaskKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a source can take now.

    up, enabled  whether it answers, and whether the operator wants it used; `reason` and `message` say why not
    slots        attempts that run at once; prefetch: attempts that may queue there beyond the slots
    active       attempts of ours there, queued ones included
    gpus_free    of its `gpus`, how many no attempt holds
    memory_mib   of the whole source; None = not known, and then not checked
    nodes        most nodes that one attempt may span
    """

    name: SourceName
    slots: int
    active: int = 0
    prefetch: int = 0
    up: bool = True
    enabled: bool = True
    reason: str = ""
    message: str = ""
    gpus: int = 0
    gpus_free: int = 0
    gpu_type: str | None = None
    memory_mib: int | None = None
    nodes: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Head:
    """A waiting task whose backoff has passed, and what its next attempt asks for."""

    key: TaskKey
    resources: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why tasks of a sweep do not start, until when (None: until something else changes), and how many of them."""

    reason: str
    message: str
    until: Instant | None = None
    tasks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The waiting side of one sweep.

    heads       ready tasks in declared order; may be a window of them, but must reach past tasks that fit no source
    waiting     all desired waiting tasks; delayed: those of them in backoff; next_wake: when the first backoff passes
    active      attempts of the sweep that are queued or running; per_source: the same by source
    gate        closed: nothing of this sweep starts, for this reason (Paused, SweepCancelled, MaxFailuresReached,
                DependencyNotReady, NotScheduled, ProjectNotReady, PruneBlocked, …)
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
    placement: Placement = Placement()


@dataclass(frozen=True, slots=True)
class Start:
    """This task starts on this source, with so many GPUs."""

    key: TaskKey
    source: SourceName
    gpus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """The starts in the order in which they were decided; why the rest waits; when to look again without being asked."""

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
    """Decide the starts of this instant. The order of `queues` and `capacities` does not matter."""
    raise NotImplementedError


def explain(task: Task, resources: Resources, queue: Queue, capacities: Sequence[Capacity], now: Instant) -> Why:
    """Why this task of the queue's sweep is not running (or that it is). `resources`: what its next attempt asks for."""
    raise NotImplementedError
