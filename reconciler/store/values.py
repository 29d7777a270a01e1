"""What the store keeps besides tasks and attempts, and what an acceptance takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.core.diff import DiffPolicy, Verb
from reconciler.core.model import Attempt, Commit, Condition, Digest, Instant, Json, SourceName, SweepName, TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRow:
    """What is known of the repository of manifests.

    accepted/tree   the head commit whose manifests are in force, and the tree of the manifests' folder
    fetched         the newest head that was seen
    rewritten_from  not None: `fetched` does not descend from this accepted commit, and removals are frozen
    blocked         why removals wait for an approval, or ""
    """

    accepted: Commit | None = None
    tree: str | None = None
    fetched: Commit | None = None
    checked_at: Instant | None = None
    error_reason: str = ""
    error_message: str = ""
    rewritten_from: Commit | None = None
    blocked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """A sweep as the store knows it: its generation in force and how it stands.

    generation  0: nothing was ever accepted
    document    the manifest of the generation in force, as the caller gave it
    pin         the resolved revision of its project
    deleted     the manifest left the repository; the row stays while its tasks do
    frozen      hash of the removal set that waits for approval, or ""
    settling    the generation is in force, and its changes are still being applied
    conditions/holds   as written by `set_status`
    """

    name: SweepName
    generation: int
    path: str
    commit: Commit | None
    document: str
    document_digest: str
    pin: Commit | None
    policy: DiffPolicy | None
    created_at: Instant | None
    accepted_at: Instant | None
    deleted: bool
    frozen: str
    settling: bool
    conditions: tuple[Condition, ...] = ()
    holds: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRow:
    """One accepted change of a sweep: the recorded diff, as counts per verb."""

    sweep: SweepName
    generation: int
    commit: Commit
    at: Instant
    document_digest: str
    digest: Digest
    counts: Mapping[Verb, int]
    frozen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """Something that happened to a sweep, or to one of its tasks; `id` grows with time."""

    id: int
    at: Instant
    sweep: SweepName | None
    task: TaskId | None
    attempt: int | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event to be written."""

    reason: str
    message: str
    sweep: SweepName | None = None
    task: TaskId | None = None
    attempt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """The last known state of a source, for readers; the daemon itself never depends on it."""

    name: SourceName
    at: Instant
    state: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncollected:
    """An ended attempt whose files do not lie here so far; `id` grows with each end that is recorded."""

    id: int
    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidRow:
    """A manifest that could not be understood. `sweep` None: not even its name could be read."""

    path: str
    sweep: SweepName | None
    at: Instant
    errors: Sequence[Mapping[str, Json]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A new generation of a sweep, to be accepted. With `policy.deletion` set it is the sweep's deletion."""

    name: SweepName
    path: str
    commit: Commit
    document: str
    document_digest: str
    pin: Commit | None
    policy: DiffPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffSummary:
    """A diff in numbers.

    counts          tasks per verb; their sum is every desired or known task once
    reasons         tasks per reason
    duplicates      points that were equal to another one
    removed         tasks in the removal set: those that leave, and those whose running attempt is replaced
    removed_active  those of them whose active attempt would be cancelled or given up
    removal_hash    identifies that set by its task ids; "" when it is empty
    """

    counts: Mapping[Verb, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    removed: int = 0
    removed_active: int = 0
    removal_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A generation that is in force."""

    generation: int
    summary: DiffSummary
    frozen: bool
