"""The frozen nouns that every layer speaks in. Units are in the names; ids are `NewType`s; time is seconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NewType, TypeAlias

Json: TypeAlias = "None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]"

SweepName = NewType("SweepName", str)  # [a-z0-9-]{1,50}
TaskId = NewType("TaskId", str)  # 10 characters [a-z2-7]
SourceName = NewType("SourceName", str)
Eid = NewType("Eid", str)  # an attempt's name on its source: 15 characters [a-z2-7], the first is "g"
Commit = NewType("Commit", str)  # 40 (or 64) hex digits
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


class SweepState(StrEnum):
    """What the manifest asks of the whole sweep."""

    ACTIVE = "Active"
    PAUSED = "Paused"  # nothing new starts
    CANCELLED = "Cancelled"  # all active is cancelled


class ArgumentStyle(StrEnum):
    """How all parameters are appended to the command, in declared order."""

    NONE = "none"
    HYDRA = "hydra"  # name=value
    FLAGS = "flags"  # --name value
    EQUALS = "equals"  # --name=value


class UpdatePolicy(StrEnum):
    """What happens to outdated tasks, those whose digest changed."""

    KEEP = "Keep"  # what runs or succeeded stays; the others run with the new spec
    RERUN = "Rerun"  # also the succeeded, after a backup
    REPLACE = "Replace"  # also the running: cancelled and run again


class OnRemove(StrEnum):
    """What happens to the task of a point that leaves the manifest."""

    CANCEL = "Cancel"
    DRAIN = "Drain"  # waiting: dropped; running: finishes
    KEEP = "Keep"  # still runs


class DeletionPolicy(StrEnum):
    """What happens to the tasks of a manifest that leaves the repository."""

    DRAIN = "Drain"
    CANCEL = "Cancel"
    ORPHAN = "Orphan"  # waiting: dropped; running: no longer tracked


class Strategy(StrEnum):
    """Which of the fitting sources a task goes to."""

    ROUND_ROBIN = "RoundRobin"
    LEAST_LOADED = "LeastLoaded"
    CAPABILITY = "Capability"


# ---------------------------------------------------------------------------------------------- parameters


@dataclass(frozen=True, slots=True)
class Constant:
    """One value; not an axis, but part of a point's identity."""

    value: Json


@dataclass(frozen=True, slots=True)
class Values:
    """An axis of given values."""

    values: tuple[Json, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """start + i·step, stop excluded."""

    start: int | float
    stop: int | float
    step: int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Linspace:
    """num points from start to stop, both included."""

    start: int | float
    stop: int | float
    num: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Logspace:
    """num points from start to stop, both included and both values (never exponents), equally spaced in the logarithm."""

    start: int | float
    stop: int | float
    num: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Draws from [min, max); `step` quantises."""

    min: float
    max: float
    step: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogUniform:
    """Draws whose logarithm is uniform; bounds are values."""

    min: float
    max: float
    step: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntUniform:
    """Whole numbers from min to max, both included."""

    min: int
    max: int
    step: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """Draws from a normal distribution."""

    mean: float
    stddev: float
    step: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Draws one of the values; probabilities sum to 1, None means equal ones."""

    values: tuple[Json, ...]
    probabilities: tuple[float, ...] | None = None


Axis: TypeAlias = Values | Range | Linspace | Logspace
Distribution: TypeAlias = Uniform | LogUniform | IntUniform | Normal | Choice
Parameter: TypeAlias = Constant | Axis | Distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """Axes that exist only where the point matches: each named parameter has one of the listed values."""

    matches: Mapping[str, tuple[Json, ...]]
    parameters: Mapping[str, Parameter]


# ---------------------------------------------------------------------------------------------- the spec of a sweep


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesTemplate:
    """Resources as written: numbers, quantities ("4Gi", "1h"), or "$(name)"; None means not written."""

    cpus: int | str | None = None
    memory: int | str | None = None
    gpus: int | str | None = None
    gpu_type: str | None = None
    walltime: int | str | None = None
    nodes: int | str | None = None
    tasks_per_node: int | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where tasks may run. Neither sources nor labels means any source."""

    sources: tuple[SourceName, ...] | None = None
    match_labels: Mapping[str, str] | None = None
    strategy: Strategy = Strategy.LEAST_LOADED


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The wait before the k-th retry: duration_s · factor^(k-1), at most max_s."""

    duration_s: float = 10.0
    factor: float = 2.0
    max_s: float = 600.0


class RetryAction(StrEnum):
    RETRY = "Retry"
    FAIL = "Fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """The first rule that names an attempt's class decides. `scale` multiplies resources, `limit` caps them (by field name)."""

    classes: tuple[FailureClass, ...]
    action: RetryAction
    count: bool = True
    scale: Mapping[str, float] = field(default_factory=dict)
    limit: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """limit = started attempts that failed and are retried; 0 means none."""

    limit: int = 0
    backoff: Backoff = Backoff()
    rules: tuple[RetryRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxFailures:
    """A count, or a share of the desired tasks in percent; exactly one is set."""

    count: int | None = None
    percent: float | None = None


class Goal(StrEnum):
    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    name: str
    goal: Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a task leaves: globs in its output directory, and the file of its metrics."""

    collect: tuple[str, ...] = ()
    metrics_file: str = "metrics.json"
    objective: Objective | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """A sweep manifest, understood. Mappings keep the declared order."""

    name: SweepName
    command: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    state: SweepState = SweepState.ACTIVE
    project: str = "self"
    revision: str | None = None
    arguments: ArgumentStyle = ArgumentStyle.NONE
    environment: Mapping[str, str] = field(default_factory=dict)
    setup: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    points: tuple[Mapping[str, Json], ...] | None = None
    when: tuple[When, ...] = ()
    zip: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[Mapping[str, Json], ...] = ()
    include: tuple[Mapping[str, Json], ...] = ()
    derived: Mapping[str, str] = field(default_factory=dict)
    samples: int = 1
    seed: int = 0
    replicates: int = 1
    resources: ResourcesTemplate = ResourcesTemplate()
    placement: Placement = Placement()
    parallelism: int | None = None
    priority: int = 0
    max_failures: MaxFailures | None = None
    retry: RetryPolicy = RetryPolicy()
    update_policy: UpdatePolicy = UpdatePolicy.KEEP
    on_remove: OnRemove = OnRemove.CANCEL
    deletion_policy: DeletionPolicy = DeletionPolicy.DRAIN
    results: Results = Results()
    scheduler_options: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    depends_on: tuple[SweepName, ...] = ()
    schedule: str | None = None


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


# ---------------------------------------------------------------------------------------------- what is


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
    accepted_at: Instant | None = None  # None: an unknown submission, to be resolved
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


# ---------------------------------------------------------------------------------------------- the operator's configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Whose commits are believed: Off, or Head (the head commit must be signed by one of the allowed signers)."""

    mode: str = "Off"
    allowed_signers: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryConfig:
    url: str
    branch: str = "main"
    path: str = "sweeps.d"
    interval_s: float = 30.0
    verify: Verification = Verification()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One place where tasks run. `host` None = this machine."""

    name: SourceName
    scheduler: str = "process"
    host: str | None = None
    slots: int = 1
    gpus: tuple[int, ...] = ()
    gpu_type: str | None = None
    memory_mib: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    root: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The operator's file, with every default filled in; paths are absolute."""

    file: str | None
    repository: RepositoryConfig
    sources: tuple[SourceConfig, ...]
    state_dir: str
    results_dir: str
    max_tasks_per_sweep: int = 100_000
    prune_max_tasks: int = 100
    listen_host: str = "127.0.0.1"
    listen_port: int = 9470
