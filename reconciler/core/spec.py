"""A sweep manifest, understood: every field typed, with its default. Units are in the names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from reconciler.core.model import FailureClass, Json, SourceName, SweepName


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
    """num points from start to stop, both included, equally spaced in the logarithm; bounds are values."""

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
    """The first rule that names an attempt's class decides.

    scale multiplies resources, limit caps them; both by the name of a field of `Resources`.
    """

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
class Checkpoint:
    """What a task hears so that it can keep what it has done.

    signal, before_s  which signal, and how long before its walltime ends; None: none
    grace_s           how long it has between TERM and KILL
    """

    signal: str = "USR1"
    before_s: int | None = None
    grace_s: float = 10.0


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
    checkpoint: Checkpoint = Checkpoint()
    update_policy: UpdatePolicy = UpdatePolicy.KEEP
    on_remove: OnRemove = OnRemove.CANCEL
    deletion_policy: DeletionPolicy = DeletionPolicy.DRAIN
    results: Results = Results()
    scheduler_options: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    depends_on: tuple[SweepName, ...] = ()
    schedule: str | None = None
