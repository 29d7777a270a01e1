"""What should exist: one rule for each reason, and what holds for every diff."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.diff import (
    Change,
    DiffPolicy,
    Known,
    Reason,
    Standing,
    Verb,
    Wanted,
    decide,
    diff,
    outcome,
)
from reconciler.core.model import Digest, Phase, TaskId
from reconciler.core.spec import DeletionPolicy, OnRemove, SweepState, UpdatePolicy

A, B, C = Digest("a" * 16), Digest("b" * 16), Digest("c" * 16)
IDS = [TaskId(f"{letter}aaaaaaaaa") for letter in "234567abcdef"]
REMOVALS = {Verb.FREEZE, Verb.WITHDRAW, Verb.CANCEL, Verb.DRAIN, Verb.ORPHAN, Verb.FORGET}


class World(NamedTuple):
    desired: list[Wanted]
    inventory: list[Known]
    policy: DiffPolicy

    def changes(self) -> list[Change]:
        return list(diff(self.desired, self.inventory, self.policy))


def wanted(task: TaskId, ordinal: int = 0) -> Wanted:
    return Wanted(task, ordinal)


@st.composite
def knowns(draw: st.DrawFn, task: TaskId) -> Known:
    phase = draw(st.sampled_from(Phase))
    digests = [A, B, None] if phase is Phase.WAITING else [A, B]
    digest = draw(st.sampled_from(digests))
    succeeded = set(draw(st.sets(st.sampled_from([A, B, C]), max_size=2)))
    if phase is Phase.SUCCEEDED and digest is not None:
        succeeded.add(digest)
    return Known(
        task=task,
        ordinal=draw(st.integers(0, 20)),
        standing=draw(st.sampled_from(Standing)),
        phase=phase,
        digest=digest,
        cancelling=phase.active and draw(st.booleans()),
        succeeded=frozenset(succeeded),
    )


@st.composite
def policies(draw: st.DrawFn) -> DiffPolicy:
    return DiffPolicy(
        digest=draw(st.sampled_from([A, B])),
        state=draw(st.sampled_from(SweepState)),
        update_policy=draw(st.sampled_from(UpdatePolicy)),
        on_remove=draw(st.sampled_from(OnRemove)),
        deletion=draw(st.sampled_from([None, *DeletionPolicy])),
        freeze=draw(st.booleans()),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    policy = draw(policies())
    known = sorted(draw(st.lists(st.sampled_from(IDS), unique=True, max_size=5)))
    desired = sorted(draw(st.lists(st.sampled_from(IDS), unique=True, max_size=5))) if policy.deletion is None else []
    inventory = [draw(knowns(task)) for task in known]
    return World([wanted(task, ordinal) for ordinal, task in enumerate(desired)], inventory, policy)


# ---------------------------------------------------------------------------------------------- each reason


class Case(NamedTuple):
    """A change together with what it was decided from."""

    change: Change
    policy: DiffPolicy

    @property
    def known(self) -> Known:
        assert self.change.known is not None
        return self.change.known

    @property
    def present(self) -> bool:
        return self.change.wanted is not None

    @property
    def retained(self) -> bool:
        return not self.present and self.policy.deletion is None and self.policy.on_remove is OnRemove.KEEP

    @property
    def current(self) -> bool:
        return self.known.digest == self.policy.digest

    @property
    def satisfied(self) -> bool:
        return self.policy.digest in self.known.succeeded

    @property
    def cancelled(self) -> bool:
        return self.policy.state is SweepState.CANCELLED


@pytest.fixture(scope="module")
def everything() -> list[Case]:
    """One task in every state that it can be in, under every policy, with its point there or not."""
    task, cases = IDS[0], [Case(Change(Verb.ADD, IDS[0], Reason.NEW_POINT, wanted(IDS[0]), None), DiffPolicy(digest=B))]
    for state, update, remove, deletion, freeze in product(
        SweepState, UpdatePolicy, OnRemove, [None, *DeletionPolicy], [False, True]
    ):
        policy = DiffPolicy(
            digest=B, state=state, update_policy=update, on_remove=remove, deletion=deletion, freeze=freeze
        )
        for each in states(task):
            desired = [wanted(task)] if deletion is None else []
            cases += [Case(change, policy) for points in ([], desired) for change in diff(points, [each], policy)]
    return cases


def states(task: TaskId) -> Iterator[Known]:
    for standing, phase, digest, cancelling, old in product(Standing, Phase, [A, B, None], [False, True], [A, B, None]):
        if (digest is None and phase is not Phase.WAITING) or (cancelling and not phase.active):
            continue
        succeeded = {old, digest} if phase is Phase.SUCCEEDED else {old}
        yield Known(task, 0, standing, phase, digest, cancelling, frozenset(each for each in succeeded if each))


STAYS = {Verb.KEEP, Verb.RETURN}
MEANINGS: dict[Reason, Callable[[Case], bool]] = {
    Reason.NEW_POINT: lambda c: c.change.verb is Verb.ADD and c.present and c.change.known is None,
    Reason.WAITING: lambda c: (
        c.change.verb in STAYS
        and c.known.phase is Phase.WAITING
        and c.known.digest in (None, c.policy.digest)
        and not c.satisfied
    ),
    Reason.ACTIVE: lambda c: (
        c.change.verb in STAYS and c.known.phase.active and c.current and not c.known.cancelling and not c.cancelled
    ),
    Reason.ACTIVE_OUTDATED: lambda c: (
        c.change.verb in STAYS
        and c.known.phase.active
        and not c.current
        and c.policy.update_policy is not UpdatePolicy.REPLACE
    ),
    Reason.REPLACEMENT_FROZEN: lambda c: (
        c.change.verb in STAYS
        and c.known.phase.active
        and not c.current
        and c.policy.update_policy is UpdatePolicy.REPLACE
        and c.policy.freeze
    ),
    Reason.CANCELLING: lambda c: c.change.verb in STAYS and c.known.cancelling,
    Reason.SUCCEEDED: lambda c: c.change.verb in STAYS and c.known.phase is Phase.SUCCEEDED and c.current,
    Reason.SUCCEEDED_BEFORE: lambda c: c.change.verb is Verb.ADOPT and c.satisfied and not c.known.phase.active,
    Reason.SUCCEEDED_OUTDATED: lambda c: (
        c.change.verb in STAYS
        and c.known.phase is Phase.SUCCEEDED
        and not c.satisfied
        and c.policy.update_policy is UpdatePolicy.KEEP
    ),
    Reason.FAILED: lambda c: (
        c.change.verb in STAYS and c.known.phase in (Phase.FAILED, Phase.LOST) and c.current and not c.satisfied
    ),
    Reason.OUTDATED: lambda c: (
        not c.current
        and (c.present or c.retained)
        and c.change.verb is (Verb.REPLACE if c.known.phase.active else Verb.RERUN)
        and (c.known.phase.active or not c.satisfied)
    ),
    Reason.CANCELLED: lambda c: (
        c.change.verb is Verb.RERUN and c.known.phase is Phase.CANCELLED and not c.cancelled and not c.satisfied
    ),
    Reason.SWEEP_CANCELLED: lambda c: (
        c.cancelled
        and (
            (c.change.verb is Verb.STOP and c.known.phase.active and not c.known.cancelling)
            or (c.change.verb in STAYS and c.known.phase is Phase.CANCELLED)
        )
    ),
    Reason.POINT_REMOVED: lambda c: (
        not c.present and c.policy.deletion is None and c.change.verb in REMOVALS - {Verb.FREEZE, Verb.ORPHAN}
    ),
    Reason.SWEEP_DELETED: lambda c: (
        not c.present and c.policy.deletion is not None and c.change.verb in REMOVALS - {Verb.FREEZE}
    ),
    Reason.POINT_RETAINED: lambda c: c.retained and c.change.verb is Verb.KEEP and c.known.standing.desired,
    Reason.REMOVAL_FROZEN: lambda c: (
        not c.present
        and c.policy.freeze
        and c.change.verb is (Verb.KEEP if c.known.standing is Standing.FROZEN else Verb.FREEZE)
    ),
    Reason.GONE: lambda c: not c.present and c.change.verb is Verb.LEAVE and not c.known.standing.desired,
}


def verbs_of(world: World) -> set[Verb]:
    return {change.verb for change in world.changes()}


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_given_only_where_it_is_true(reason: Reason, everything: list[Case]) -> None:
    false = [case for case in everything if case.change.reason is reason and not MEANINGS[reason](case)]
    assert not false


def test_there_is_a_case_for_every_reason(everything: list[Case]) -> None:
    assert set(Reason) == {case.change.reason for case in everything}


def test_there_is_a_case_for_every_verb(everything: list[Case]) -> None:
    assert set(Verb) == {case.change.verb for case in everything}


# ---------------------------------------------------------------------------------------------- every diff


@given(worlds())
def test_each_desired_or_known_task_is_in_exactly_one_change(world: World) -> None:
    expected = sorted({each.task for each in world.desired} | {each.task for each in world.inventory})
    assert expected == [change.task for change in world.changes()]


@given(worlds())
def test_the_same_world_gives_the_same_diff(world: World) -> None:
    assert world.changes() == world.changes()


@given(worlds())
def test_a_diff_that_was_applied_leaves_nothing_to_do(world: World) -> None:
    after = applied(world)
    assert verbs_of(after) <= {Verb.KEEP, Verb.LEAVE}
    assert after.inventory == applied(after).inventory


@given(worlds())
def test_after_a_diff_exactly_the_desired_points_are_desired(world: World) -> None:
    keeps = world.policy.deletion is None and world.policy.on_remove is OnRemove.KEEP
    frozen = world.policy.freeze
    expected = {each.task for each in world.desired}
    found = {each.task for each in applied(world).inventory if each.standing.desired}
    assert expected <= found
    assert keeps or frozen or expected == found


@given(worlds())
def test_only_an_active_attempt_is_cancelled(world: World) -> None:
    cancelled = [c.known for c in world.changes() if c.verb in (Verb.CANCEL, Verb.REPLACE, Verb.STOP, Verb.ORPHAN)]
    assert all(known is not None and known.phase.active for known in cancelled)


@given(worlds())
def test_a_success_is_never_taken_from_a_task(world: World) -> None:
    before = {each.task: each.succeeded for each in world.inventory}
    after = {each.task: each.succeeded for each in applied(world).inventory}
    assert before == {task: after[task] for task in before}


@given(worlds())
def test_a_success_runs_again_only_when_rerun_or_replace_say_so(world: World) -> None:
    rerun = [c.known for c in world.changes() if c.verb is Verb.RERUN]
    successes = [known for known in rerun if known is not None and known.phase is Phase.SUCCEEDED]
    assert not successes or world.policy.update_policy is not UpdatePolicy.KEEP


@given(worlds())
def test_a_freeze_takes_nothing_away_unless_the_sweep_is_cancelled(world: World) -> None:
    frozen = World(world.desired, world.inventory, frozen_policy(world.policy))
    taken = verbs_of(frozen) & {Verb.WITHDRAW, Verb.CANCEL, Verb.DRAIN, Verb.ORPHAN, Verb.FORGET, Verb.REPLACE}
    assert taken <= ({Verb.CANCEL} if world.policy.state is SweepState.CANCELLED else set())


@given(worlds(), st.integers(0, 100))
def test_moving_the_points_changes_no_decision(world: World, shift: int) -> None:
    moved = World([each._replace(ordinal=each.ordinal + shift) for each in world.desired], *world[1:])
    assert decisions(world) == decisions(moved)


def test_of_equal_points_the_first_counts() -> None:
    points = [wanted(IDS[0], 3), wanted(IDS[0], 7), wanted(IDS[1], 1)]
    found = [(change.task, change.wanted) for change in diff(points, [], DiffPolicy(digest=A))]
    assert [(IDS[0], points[0]), (IDS[1], points[2])] == found


# ---------------------------------------------------------------------------------------------- as a person says it


def known(phase: Phase, digest: Digest | None = A, **more: object) -> Known:
    succeeded = frozenset([digest]) if phase is Phase.SUCCEEDED and digest else frozenset[Digest]()
    base = Known(IDS[0], 0, Standing.DESIRED, phase, digest, False, succeeded)
    return base._replace(**more)


EXEMPT = {"state": SweepState.CANCELLED, "freeze": True}
STORIES = [
    ("a success under the old spec stays", True, known(Phase.SUCCEEDED), {}, Verb.KEEP),
    ("Rerun runs it again", True, known(Phase.SUCCEEDED), {"update_policy": UpdatePolicy.RERUN}, Verb.RERUN),
    ("Rerun lets the running finish", True, known(Phase.RUNNING), {"update_policy": UpdatePolicy.RERUN}, Verb.KEEP),
    ("Replace cancels it", True, known(Phase.RUNNING), {"update_policy": UpdatePolicy.REPLACE}, Verb.REPLACE),
    ("a failure runs with the new spec", True, known(Phase.FAILED), {}, Verb.RERUN),
    ("a failure under this spec stays", True, known(Phase.FAILED, B), {}, Verb.KEEP),
    ("a backoff under the old spec ends", True, known(Phase.WAITING), {}, Verb.RERUN),
    ("a revert adopts the old success", True, known(Phase.FAILED, succeeded=frozenset([B])), {}, Verb.ADOPT),
    ("a revert before the rerun, too", True, known(Phase.WAITING, None, succeeded=frozenset([B])), {}, Verb.ADOPT),
    ("a waiting task is withdrawn", False, known(Phase.WAITING), {}, Verb.WITHDRAW),
    ("a running one is cancelled", False, known(Phase.RUNNING), {}, Verb.CANCEL),
    ("or drained", False, known(Phase.RUNNING), {"on_remove": OnRemove.DRAIN}, Verb.DRAIN),
    ("or still runs", False, known(Phase.WAITING, None), {"on_remove": OnRemove.KEEP}, Verb.KEEP),
    ("results stay", False, known(Phase.SUCCEEDED), {}, Verb.FORGET),
    ("a deleted sweep drains", False, known(Phase.RUNNING), {"deletion": DeletionPolicy.DRAIN}, Verb.DRAIN),
    ("or is orphaned", False, known(Phase.RUNNING), {"deletion": DeletionPolicy.ORPHAN}, Verb.ORPHAN),
    ("a stricter policy reaches what drains", False, known(Phase.RUNNING, standing=Standing.REMOVED), {}, Verb.CANCEL),
    ("a removed success returns", True, known(Phase.SUCCEEDED, B, standing=Standing.REMOVED), {}, Verb.RETURN),
    ("a removed failure returns as one", True, known(Phase.FAILED, B, standing=Standing.REMOVED), {}, Verb.RETURN),
    ("unless its spec changed", True, known(Phase.FAILED, A, standing=Standing.REMOVED), {}, Verb.RERUN),
    ("a cancelled one runs again", True, known(Phase.CANCELLED, B, standing=Standing.REMOVED), {}, Verb.RERUN),
    ("an orphan is tracked again", True, known(Phase.RUNNING, B, standing=Standing.ORPHANED), {}, Verb.RETURN),
    ("Cancelled stops all", True, known(Phase.RUNNING, B), {"state": SweepState.CANCELLED}, Verb.STOP),
    ("and stays so", True, known(Phase.CANCELLED, B), {"state": SweepState.CANCELLED}, Verb.KEEP),
    ("until the sweep is Active", True, known(Phase.CANCELLED, B), {}, Verb.RERUN),
    ("Paused touches nothing", True, known(Phase.RUNNING, B), {"state": SweepState.PAUSED}, Verb.KEEP),
    ("and a freeze does not hinder it", False, known(Phase.RUNNING), EXEMPT, Verb.CANCEL),
]  # fmt: skip


@pytest.mark.parametrize(("present", "task", "policy", "verb"), [s[1:] for s in STORIES], ids=[s[0] for s in STORIES])
def test_the_manifest_decides(present: bool, task: Known, policy: dict[str, object], verb: Verb) -> None:
    assert verb is decide(present, task, DiffPolicy(digest=B, **policy))[0]


# ---------------------------------------------------------------------------------------------- helpers


def applied(world: World) -> World:
    """The world in which the diff has been carried out."""
    inventory = [after(change, world.policy) for change in world.changes()]
    return World(world.desired, inventory, world.policy)


def after(change: Change, policy: DiffPolicy) -> Known:
    if change.known is None:
        assert change.wanted is not None
        return Known(change.task, change.wanted.ordinal, Standing.DESIRED, Phase.WAITING, None, False, frozenset())
    return outcome(change.known, change.verb, change.reason, policy)


def frozen_policy(policy: DiffPolicy) -> DiffPolicy:
    return DiffPolicy(
        digest=policy.digest,
        state=policy.state,
        update_policy=policy.update_policy,
        on_remove=policy.on_remove,
        deletion=policy.deletion,
        freeze=True,
    )


def decisions(world: World) -> Iterable[tuple[TaskId, Verb, Reason]]:
    return [(change.task, change.verb, change.reason) for change in world.changes()]
