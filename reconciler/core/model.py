"""The frozen nouns that every layer speaks in: units in the names, ids as `NewType`s, time in seconds since the epoch.

What a manifest says is in `spec`, what the operator configures in `settings`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NewType, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
SweepName = NewType("SweepName", str)  # [a-z0-9-]{1,50}
TaskId = NewType("TaskId", str)  # 10 characters [a-z2-7]
SourceName = NewType("SourceName", str)
ProjectName = NewType("ProjectName", str)  # a plain name: it becomes a folder on sources
Eid = NewType("Eid", str)  # an attempt's name on its source: 15 characters [a-z2-7], the first is "g"
Commit = NewType("Commit", str)  # 40 (or 64) hex digits; as a pin of code without git `tree:<sha256>`
Digest = NewType("Digest", str)  # 16 hex digits: what defines the work besides the point
InstanceId = NewType("InstanceId", str)  # 4 characters [a-z2-7]
Instant: TypeAlias = float  # seconds since the epoch, from the one clock


class TaskKey(NamedTuple):
    """A task: unique in the repository, and the same for ever."""

    sweep: SweepName
    task: TaskId


class AttemptKey(NamedTuple):
    """An attempt: numbered from 1, and a number is never given twice."""

    sweep: SweepName
    task: TaskId
    number: int

    @property
    def task_key(self) -> TaskKey:
        return TaskKey(self.sweep, self.task)


class Code(NamedTuple):
    """Exactly what tasks run: a project, and what it is pinned to."""

    project: ProjectName
    pin: Commit


class Phase(StrEnum):
    """Where an attempt stands, and so its task; a task without an attempt is waiting."""

    WAITING = "waiting"
    QUEUED = "queued"  # intended or accepted by the source, not started
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # by us, because git said so
    LOST = "lost"  # proven ended, without a record

    @property
    def active(self) -> bool:
        return self in (Phase.QUEUED, Phase.RUNNING)

    @property
    def ended(self) -> bool:
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, Phase.LOST)


class FailureClass(StrEnum):
    """Why an attempt did not succeed; decided from several signals, never from one."""

    USER_ERROR = "UserError"
    TIMEOUT = "Timeout"
    OUT_OF_MEMORY = "OutOfMemory"
    NODE_FAILURE = "NodeFailure"
    PREEMPTED = "Preempted"
    LOST = "Lost"
    CANCELLED_EXTERNALLY = "CancelledExternally"
    ENVIRONMENT = "Environment"
    QUOTA = "Quota"
    LAUNCH_FAILURE = "LaunchFailure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one attempt asks for."""

    cpus: int = 1
    memory_mib: int | None = None
    gpus: int = 0
    gpu_type: str | None = None
    walltime_s: int | None = None
    nodes: int = 1
    tasks_per_node: int = 1


class Point(NamedTuple):
    """One point of a sweep: flat dotted names to JSON values in declared order, and which replicate it is (from 0)."""

    task: TaskId
    replicate: int
    parameters: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one attempt of a point runs: exact argv, never a shell; `setup` are the manifest's own shell lines.

    `$(output)` and `$(checkpoint)` are known only on the source: they stand in argv and environment as the
    tokens OUTPUT_TOKEN and CHECKPOINT_TOKEN of `core.command`, which the shim replaces.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    setup: tuple[str, ...]
    resources: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class HostIdentity:
    """Which running system it was: a reboot changes `boot`, a login alias changes `host` or `machine`."""

    host: str
    machine: str
    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One submission of a task, as the store knows it. Instants are None until they have happened."""

    key: AttemptKey
    eid: Eid
    source: SourceName
    digest: Digest
    phase: Phase
    home: HostIdentity  # the source's identity when the attempt was intended
    resources: Resources
    intended_at: Instant
    sent_at: Instant | None = None  # to a scheduler, which must not be told twice: from then on it may be there
    accepted_at: Instant | None = None  # None: an unknown submission, to be resolved
    unlisted_at: Instant | None = None  # by the source's clock: since when its scheduler does not list it, unstarted
    started_at: Instant | None = None
    ended_at: Instant | None = None
    nonce: str | None = None  # drawn by the shim; an exit record counts only with the same one
    gpus: tuple[int, ...] = ()
    reason: str = ""
    message: str = ""
    failure: FailureClass | None = None
    exit_code: int | None = None
    signal: int | None = None
    cpu_s: float | None = None
    max_rss_mib: float | None = None
    cancel: str = ""  # the reason for which cancelling was intended; "" = not intended
    cancel_at: Instant | None = None
    directory: str = ""  # on the source


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as the store knows it: the state of its newest attempt, and the budget it has used."""

    key: TaskKey
    ordinal: int  # place in declared order
    replicate: int
    parameters: Mapping[str, Json]
    phase: Phase = Phase.WAITING
    reason: str = ""
    desired: bool = True
    attempts: int = 0  # the highest attempt number given so far
    failures: int = 0  # counted failures under `digest`
    uncounted: int = 0  # uncounted failures under `digest`
    digest: Digest | None = None  # of the newest attempt
    not_before: Instant | None = None  # backoff
    source: SourceName | None = None  # of the newest attempt
    scale: Mapping[str, float] = field(default_factory=dict)  # resource factors earned by retry rules


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A named observation on a sweep or source."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""
