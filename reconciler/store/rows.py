"""Row ↔ value: the only place that knows in which order columns come.

`TaskRow` is the part of a task that changes; ledger, acceptance and writer move it as one value, so that a task is
always saved whole and the counters can be moved by the difference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import lru_cache, wraps
from typing import NamedTuple, ParamSpec, TypeVar

from reconciler.core.diff import DiffPolicy, Known, Reason, Standing, Verb
from reconciler.core.efficiency import Usage
from reconciler.core.model import (
    Attempt,
    AttemptKey,
    Condition,
    ConditionStatus,
    Digest,
    Eid,
    FailureClass,
    HostIdentity,
    Phase,
    Resources,
    SourceName,
    SweepName,
    Task,
    TaskId,
    TaskKey,
)
from reconciler.core.spec import DeletionPolicy, OnRemove, SweepState, UpdatePolicy
from reconciler.store.database import Cell, Row, damaged
from reconciler.store.values import (
    DiffSummary,
    Draft,
    EventRow,
    GenerationRow,
    InvalidRow,
    RepositoryRow,
    SourceRow,
    SweepRow,
)

P = ParamSpec("P")
T = TypeVar("T")


def _sound(read: Callable[P, T]) -> Callable[P, T]:
    """A cell that we would never have written is told as damage; SQLite knows only whether its pages make sense."""

    @wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise damaged(f"a cell of the state makes no sense: {type(error).__name__}: {error}") from error

    return reading


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def dump(value: object) -> str:
    """Compact JSON; mappings keep their order."""
    return _encode(value)


# ---------------------------------------------------------------------------------------------- tasks

_MUTABLE = (
    "ordinal,standing,phase,digest,cancelling,succeeded,reason,attempts,failures,uncounted,not_before,source,scale"
)
TASK_COLUMNS = f"task,{_MUTABLE},replicate,parameters"
STATE_COLUMNS = f"task,added,place,{_MUTABLE}"
KNOWN_COLUMNS = "task,ordinal,standing,phase,digest,cancelling,succeeded"


class TaskRow(NamedTuple):
    """STATE_COLUMNS: a task without what never changes. `succeeded`: digests, separated by blanks."""

    task: TaskId
    added: int
    place: int
    ordinal: int
    standing: Standing
    phase: Phase
    digest: Digest | None
    cancelling: bool
    succeeded: str
    reason: str
    attempts: int
    failures: int
    uncounted: int
    not_before: float | None
    source: SourceName | None
    scale: str

    @property
    def known(self) -> Known:
        """As the diff sees it."""
        return Known(
            self.task, self.ordinal, self.standing, self.phase, self.digest, self.cancelling, _digests(self.succeeded)
        )

    @property
    def tracked(self) -> bool:
        """It has an active attempt that is looked after."""
        return self.phase.active and self.standing is not Standing.ORPHANED


@_sound
def task_row(row: Row) -> TaskRow:
    """From STATE_COLUMNS."""
    task, added, place, ordinal, standing, phase, digest, cancelling, *rest = row
    return TaskRow(task, added, place, ordinal, _STANDINGS[standing], _PHASES[phase], digest, bool(cancelling), *rest)


@_sound
def known(row: Row) -> Known:
    """From KNOWN_COLUMNS."""
    task, ordinal, standing, phase, digest, cancelling, succeeded = row
    return Known(task, ordinal, _STANDINGS[standing], _PHASES[phase], digest, bool(cancelling), _digests(succeeded))


@_sound
def task(sweep: SweepName, row: Row) -> Task:
    """From TASK_COLUMNS."""
    identity, ordinal, standing, phase, digest, _, _, reason, attempts, *rest = row
    failures, uncounted, not_before, source, scale, replicate, parameters = rest
    return Task(
        key=TaskKey(sweep, identity),
        ordinal=ordinal,
        replicate=replicate,
        parameters=json.loads(parameters),
        phase=_PHASES[phase],
        reason=Reason.REMOVAL_FROZEN if _STANDINGS[standing] is Standing.FROZEN else reason,
        desired=_STANDINGS[standing].desired,
        attempts=attempts,
        failures=failures,
        uncounted=uncounted,
        digest=digest,
        not_before=not_before,
        source=source,
        scale={} if scale == "{}" else json.loads(scale),
    )


def with_digest(succeeded: str, digest: Digest) -> str:
    """The digests with one more."""
    return succeeded if digest in succeeded.split() else f"{succeeded} {digest}".lstrip()


def _digests(text: str) -> frozenset[Digest]:
    return frozenset(Digest(each) for each in text.split()) if text else _NO_DIGESTS


_NO_DIGESTS: frozenset[Digest] = frozenset()
_PHASES = {phase.value: phase for phase in Phase}
_STANDINGS = {standing.value: standing for standing in Standing}

# ---------------------------------------------------------------------------------------------- attempts

ATTEMPT_COLUMNS = (
    "sweep,task,number,eid,open,source,digest,phase,home,resources,intended_at,sent_at,accepted_at,started_at,ended_at,"
    "nonce,gpus,reason,message,failure,exit_code,signal,cpu_s,max_rss_mib,cancel,cancel_at,directory,unlisted_at"
)


def attempt_cells(sweep: int, attempt: Attempt, *, tracked: bool) -> tuple[Cell, ...]:
    """To ATTEMPT_COLUMNS."""
    return (
        sweep, attempt.key.task, attempt.key.number, attempt.eid, tracked and attempt.phase.active,
        attempt.source, attempt.digest, attempt.phase, home_text(attempt.home), _resources_text(attempt.resources),
        attempt.intended_at, attempt.sent_at, attempt.accepted_at, attempt.started_at, attempt.ended_at,
        attempt.nonce, dump(attempt.gpus) if attempt.gpus else "[]", attempt.reason, attempt.message,
        attempt.failure, attempt.exit_code, attempt.signal, attempt.cpu_s, attempt.max_rss_mib, attempt.cancel,
        attempt.cancel_at, attempt.directory, attempt.unlisted_at,
    )  # fmt: skip


@_sound
def attempt(name: SweepName, row: Row) -> Attempt:
    """From ATTEMPT_COLUMNS; the sweep's name stands for its number."""
    _, task_id, number, eid, _, source, digest, phase, home, resources, *rest = row
    intended_at, sent_at, accepted_at, started_at, ended_at, nonce, gpus, reason, message, failure, *rest = rest
    exit_code, signal, cpu_s, max_rss_mib, cancel, cancel_at, directory, unlisted_at = rest
    return Attempt(
        key=AttemptKey(name, task_id, number),
        eid=Eid(eid),
        source=source,
        digest=digest,
        phase=_PHASES[phase],
        home=_home(home),
        resources=_resources(resources),
        intended_at=intended_at,
        sent_at=sent_at,
        accepted_at=accepted_at,
        unlisted_at=unlisted_at,
        started_at=started_at,
        ended_at=ended_at,
        nonce=nonce,
        gpus=() if gpus == "[]" else tuple(json.loads(gpus)),
        reason=reason,
        message=message,
        failure=None if failure is None else FailureClass(failure),
        exit_code=exit_code,
        signal=signal,
        cpu_s=cpu_s,
        max_rss_mib=max_rss_mib,
        cancel=cancel,
        cancel_at=cancel_at,
        directory=directory,
    )


USAGE_COLUMNS = "elapsed_s,cpu_s,reserved_cpu_s,largest_mib,memory,walltime"


def usage_cells(used: Usage) -> tuple[Cell, ...]:
    """To USAGE_COLUMNS."""
    return (used.elapsed_s, used.cpu_s, used.reserved_cpu_s, used.largest_mib, used.memory, used.walltime)


@_sound
def usage(row: Row) -> Usage:
    """From USAGE_COLUMNS."""
    elapsed_s, cpu_s, reserved_cpu_s, largest_mib, memory, walltime = row
    return Usage(
        elapsed_s=elapsed_s,
        cpu_s=cpu_s,
        reserved_cpu_s=reserved_cpu_s,
        largest_mib=largest_mib,
        memory=memory,
        walltime=walltime,
    )


# Thousands of attempts share a few homes and resources: each of them is written and read once.


@lru_cache(maxsize=256)
def home_text(home: HostIdentity) -> str:
    """As the column holds it."""
    return dump(asdict(home))


@lru_cache(maxsize=256)
def _home(text: str) -> HostIdentity:
    return HostIdentity(**json.loads(text))


@lru_cache(maxsize=256)
def _resources_text(resources: Resources) -> str:
    return dump(asdict(resources))


@lru_cache(maxsize=256)
def _resources(text: str) -> Resources:
    return Resources(**json.loads(text))


# ---------------------------------------------------------------------------------------------- sweeps and the rest

SWEEP_COLUMNS = (
    "name,generation,path,head,document,document_digest,pin,policy,"
    "created_at,accepted_at,deleted,frozen,settling,conditions,holds"
)


@_sound
def sweep(row: Row) -> SweepRow:
    """From SWEEP_COLUMNS."""
    name, generation, path, head, document, document_digest, pin, policy_text, *rest = row
    created_at, accepted_at, deleted, frozen, settling, conditions, holds = rest
    return SweepRow(
        name=name,
        generation=generation,
        path=path,
        commit=head,
        document=document,
        document_digest=document_digest,
        pin=pin,
        policy=None if policy_text is None else policy(policy_text),
        created_at=created_at,
        accepted_at=accepted_at,
        deleted=bool(deleted),
        frozen=frozen,
        settling=bool(settling),
        conditions=tuple(_condition(each) for each in json.loads(conditions)),
        holds=json.loads(holds),
    )


def policy_text(value: DiffPolicy) -> str:
    return dump(asdict(value))


@_sound
def policy(text: str) -> DiffPolicy:
    raw = json.loads(text)
    return DiffPolicy(
        digest=Digest(raw["digest"]),
        state=SweepState(raw["state"]),
        update_policy=UpdatePolicy(raw["update_policy"]),
        on_remove=OnRemove(raw["on_remove"]),
        deletion=None if raw["deletion"] is None else DeletionPolicy(raw["deletion"]),
        freeze=raw["freeze"],
    )


def _condition(raw: Mapping[str, str]) -> Condition:
    return Condition(
        type=raw["type"], status=ConditionStatus(raw["status"]), reason=raw["reason"], message=raw["message"]
    )


def draft_text(draft: Draft, summary: DiffSummary) -> str:
    return dump({"draft": asdict(draft), "summary": asdict(summary)})


@_sound
def draft(text: str) -> tuple[Draft, DiffSummary]:
    raw = json.loads(text)
    raw["draft"]["policy"] = policy(dump(raw["draft"]["policy"]))
    raw["summary"]["counts"] = {Verb(verb): n for verb, n in raw["summary"]["counts"].items()}
    return Draft(**raw["draft"]), DiffSummary(**raw["summary"])


@_sound
def generation(name: SweepName, row: Row) -> GenerationRow:
    number, head, at, document_digest, digest, counts, frozen = row
    return GenerationRow(
        sweep=name,
        generation=number,
        commit=head,
        at=at,
        document_digest=document_digest,
        digest=digest,
        counts={Verb(verb): n for verb, n in json.loads(counts).items()},
        frozen=bool(frozen),
    )


@_sound
def repository(row: Row) -> RepositoryRow:
    accepted, tree, fetched, checked_at, error_reason, error_message, rewritten_from, blocked = row
    return RepositoryRow(
        accepted=accepted,
        tree=tree,
        fetched=fetched,
        checked_at=checked_at,
        error_reason=error_reason,
        error_message=error_message,
        rewritten_from=rewritten_from,
        blocked=blocked,
    )


@_sound
def event(row: Row) -> EventRow:
    identity, at, name, task_id, number, reason, message = row
    return EventRow(id=identity, at=at, sweep=name, task=task_id, attempt=number, reason=reason, message=message)


@_sound
def source(row: Row) -> SourceRow:
    name, at, state = row
    return SourceRow(name=name, at=at, state=json.loads(state))


@_sound
def invalid(row: Row) -> InvalidRow:
    path, name, at, errors = row
    return InvalidRow(path=path, sweep=name, at=at, errors=json.loads(errors))
