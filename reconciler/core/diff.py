"""What should exist? The desired points against what is known, both sorted by task id, merged as two streams.

    point   known          standing                  change
    yes     no                                       ADD
    yes     yes            desired, frozen           KEEP · ADOPT · RERUN · REPLACE · STOP
    yes     yes            removed, orphaned         RETURN · ADOPT · RERUN · REPLACE · STOP
    no      yes            desired, frozen           WITHDRAW · CANCEL · DRAIN · ORPHAN · FORGET, or FREEZE, or KEEP
    no      yes            removed, orphaned         LEAVE, or CANCEL / ORPHAN of what still drains

Every task lands in exactly one change, with a reason; doing nothing (KEEP, LEAVE) is one too. A change describes the
step from what is known *now*: applying it and asking again answers KEEP or LEAVE. `decide` is the diff of one task, for
whoever must judge a task alone (its attempt ended under a spec that is no longer the desired one).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from reconciler.core.model import Digest, Phase, TaskId
from reconciler.core.spec import DeletionPolicy, OnRemove, SweepState, UpdatePolicy


class Standing(StrEnum):
    """What git says of a known task."""

    DESIRED = "desired"
    FROZEN = "frozen"  # its removal waits for approval: counted as desired, goes on if it runs, never starts
    REMOVED = "removed"  # no longer desired; what is active ends, results stay
    ORPHANED = "orphaned"  # removed, and its active attempt is no longer tracked

    @property
    def desired(self) -> bool:
        return self in (Standing.DESIRED, Standing.FROZEN)


class Verb(StrEnum):
    """What becomes of a task."""

    ADD = "Add"  # new: waiting
    KEEP = "Keep"  # stays as it is (its ordinal may move; a frozen one thaws)
    ADOPT = "Adopt"  # it had succeeded with the desired digest: succeeded again
    RETURN = "Return"  # it was removed and is desired again, as it stands
    RERUN = "Rerun"  # waiting again, with a fresh budget
    REPLACE = "Replace"  # its active attempt is cancelled; then it runs again
    STOP = "Stop"  # its active attempt is cancelled; it stays desired
    FREEZE = "Freeze"  # its removal waits for approval
    WITHDRAW = "Withdraw"  # removed before it was active
    CANCEL = "Cancel"  # removed; its active attempt is cancelled
    DRAIN = "Drain"  # removed; its active attempt finishes
    ORPHAN = "Orphan"  # removed; its active attempt is no longer tracked
    FORGET = "Forget"  # removed after it ended; its results stay
    LEAVE = "Leave"  # was removed before, and nothing is to be done


class Reason(StrEnum):
    """Why; stable and machine-readable."""

    NEW_POINT = "NewPoint"
    WAITING = "Waiting"
    ACTIVE = "Active"
    ACTIVE_OUTDATED = "ActiveOutdated"  # runs with an older spec, and may
    CANCELLING = "Cancelling"
    SUCCEEDED = "Succeeded"
    SUCCEEDED_BEFORE = "SucceededBefore"  # with the desired digest, before it ran with another one
    SUCCEEDED_OUTDATED = "SucceededOutdated"  # with an older spec, and may stay
    FAILED = "Failed"
    OUTDATED = "Outdated"  # its spec changed
    CANCELLED = "Cancelled"  # was cancelled, and nothing asks for that any more
    SWEEP_CANCELLED = "SweepCancelled"  # the manifest says state: Cancelled
    POINT_REMOVED = "PointRemoved"
    POINT_RETAINED = "PointRetained"  # removed, but onRemove: Keep
    SWEEP_DELETED = "SweepDeleted"  # the manifest left the repository
    REMOVAL_FROZEN = "RemovalFrozen"
    REPLACEMENT_FROZEN = "ReplacementFrozen"  # Replace waits for approval, too
    GONE = "Gone"


class Wanted(NamedTuple):
    """A desired point: its id, and its place in declared order."""

    task: TaskId
    ordinal: int


class Known(NamedTuple):
    """What the store knows of a task.

    digest      of its newest attempt; None: none, or its budget was made fresh since
    cancelling  it is active, and its cancellation was intended
    succeeded   every digest with which it ever succeeded
    """

    task: TaskId
    ordinal: int
    standing: Standing
    phase: Phase
    digest: Digest | None
    cancelling: bool
    succeeded: frozenset[Digest]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffPolicy:
    """What the manifest says about changes.

    deletion  not None: the manifest left the repository, so there are no desired points, and this decides
    freeze    removals and replacements wait for approval; an explicit `state: Cancelled` does not
    """

    digest: Digest
    state: SweepState = SweepState.ACTIVE
    update_policy: UpdatePolicy = UpdatePolicy.KEEP
    on_remove: OnRemove = OnRemove.CANCEL
    deletion: DeletionPolicy | None = None
    freeze: bool = False


class Change(NamedTuple):
    """What becomes of one task, and why. `wanted` is None without a point, `known` is None for a new task."""

    verb: Verb
    task: TaskId
    reason: Reason
    wanted: Wanted | None
    known: Known | None


def diff(desired: Iterable[Wanted], inventory: Iterable[Known], policy: DiffPolicy) -> Iterator[Change]:
    """One change for each desired or known task, sorted by task id, in constant memory.

    Both streams must be sorted by task id; of equal points the first counts.
    """
    rest = iter(inventory)
    known = next(rest, None)
    previous = None
    for wanted in desired:
        if wanted.task == previous:
            continue
        previous = wanted.task
        while known is not None and known.task < wanted.task:
            yield _change(None, known, policy)
            known = next(rest, None)
        if known is not None and known.task == wanted.task:
            yield _change(wanted, known, policy)
            known = next(rest, None)
        else:
            yield Change(Verb.ADD, wanted.task, Reason.NEW_POINT, wanted, None)
    while known is not None:
        yield _change(None, known, policy)
        known = next(rest, None)


def decide(wanted: bool, known: Known, policy: DiffPolicy) -> tuple[Verb, Reason]:
    """The diff of one known task; `wanted`: a desired point has its id."""
    if wanted:
        verb, reason = _present(known, policy)
        if verb is Verb.KEEP and not known.standing.desired:
            verb = Verb.RETURN
        return verb, reason
    if known.standing.desired:
        return _leaving(known, policy)
    return _left(known, policy)


def outcome(known: Known, verb: Verb, reason: Reason, policy: DiffPolicy) -> Known:
    """What is known of a task once a change to it is applied."""
    if verb is Verb.LEAVE or (verb is Verb.KEEP and reason is Reason.REMOVAL_FROZEN):
        return known
    after = known._replace(standing=_STANDING_AFTER.get(verb, Standing.DESIRED))
    match verb:
        case Verb.ADOPT:
            return after._replace(phase=Phase.SUCCEEDED, digest=policy.digest, cancelling=False)
        case Verb.RERUN:
            return after._replace(phase=Phase.WAITING, digest=None, cancelling=False)
        case Verb.REPLACE | Verb.STOP | Verb.CANCEL:
            return after._replace(cancelling=True)
        case _:
            return after


_STANDING_AFTER = {
    Verb.FREEZE: Standing.FROZEN,
    Verb.WITHDRAW: Standing.REMOVED,
    Verb.CANCEL: Standing.REMOVED,
    Verb.DRAIN: Standing.REMOVED,
    Verb.FORGET: Standing.REMOVED,
    Verb.ORPHAN: Standing.ORPHANED,
}


def _change(wanted: Wanted | None, known: Known, policy: DiffPolicy) -> Change:
    verb, reason = decide(wanted is not None, known, policy)
    return Change(verb, known.task, reason, wanted, known)


def _present(known: Known, policy: DiffPolicy) -> tuple[Verb, Reason]:
    """A task that is desired, whatever it was before."""
    if known.phase.active:
        return _present_active(known, policy)
    if known.phase is Phase.SUCCEEDED and known.digest == policy.digest:
        return Verb.KEEP, Reason.SUCCEEDED
    if policy.digest in known.succeeded:
        return Verb.ADOPT, Reason.SUCCEEDED_BEFORE
    match known.phase:
        case Phase.SUCCEEDED if policy.update_policy is UpdatePolicy.KEEP:
            return Verb.KEEP, Reason.SUCCEEDED_OUTDATED
        case Phase.CANCELLED if policy.state is SweepState.CANCELLED:
            return Verb.KEEP, Reason.SWEEP_CANCELLED
        case Phase.CANCELLED:
            return Verb.RERUN, Reason.CANCELLED
        case Phase.FAILED | Phase.LOST if known.digest == policy.digest:
            return Verb.KEEP, Reason.FAILED
        case Phase.WAITING if known.digest in (None, policy.digest):
            return Verb.KEEP, Reason.WAITING
        case _:
            return Verb.RERUN, Reason.OUTDATED


def _present_active(known: Known, policy: DiffPolicy) -> tuple[Verb, Reason]:
    if known.cancelling:
        return Verb.KEEP, Reason.CANCELLING
    if policy.state is SweepState.CANCELLED:
        return Verb.STOP, Reason.SWEEP_CANCELLED
    if known.digest == policy.digest:
        return Verb.KEEP, Reason.ACTIVE
    if policy.update_policy is not UpdatePolicy.REPLACE:
        return Verb.KEEP, Reason.ACTIVE_OUTDATED
    if policy.freeze:
        return Verb.KEEP, Reason.REPLACEMENT_FROZEN
    return Verb.REPLACE, Reason.OUTDATED


def _leaving(known: Known, policy: DiffPolicy) -> tuple[Verb, Reason]:
    """A desired task whose point is no longer there."""
    if policy.deletion is None and policy.on_remove is OnRemove.KEEP:
        verb, reason = _present(known, policy)
        return verb, Reason.POINT_RETAINED if verb is Verb.KEEP else reason
    if _frozen(known, policy):
        verb = Verb.KEEP if known.standing is Standing.FROZEN else Verb.FREEZE
        return verb, Reason.REMOVAL_FROZEN
    if known.phase.active:
        return _removal(policy), _cause(policy)
    return Verb.WITHDRAW if known.phase is Phase.WAITING else Verb.FORGET, _cause(policy)


def _left(known: Known, policy: DiffPolicy) -> tuple[Verb, Reason]:
    """A task that was removed before; what drains follows a policy that became stricter."""
    drains = known.phase.active and known.standing is Standing.REMOVED and not known.cancelling
    if drains and not _frozen(known, policy) and _removal(policy) is not Verb.DRAIN:
        return _removal(policy), _cause(policy)
    return Verb.LEAVE, Reason.GONE


def _frozen(known: Known, policy: DiffPolicy) -> bool:
    """Removals wait for approval, except that an explicit `state: Cancelled` cancels what is active."""
    return policy.freeze and not (known.phase.active and policy.state is SweepState.CANCELLED)


def _removal(policy: DiffPolicy) -> Verb:
    """How an active task leaves."""
    if policy.state is SweepState.CANCELLED:
        return Verb.CANCEL
    match policy.deletion:
        case DeletionPolicy.CANCEL:
            return Verb.CANCEL
        case DeletionPolicy.ORPHAN:
            return Verb.ORPHAN
        case DeletionPolicy.DRAIN:
            return Verb.DRAIN
        case None:
            return Verb.CANCEL if policy.on_remove is OnRemove.CANCEL else Verb.DRAIN


def _cause(policy: DiffPolicy) -> Reason:
    return Reason.POINT_REMOVED if policy.deletion is None else Reason.SWEEP_DELETED
