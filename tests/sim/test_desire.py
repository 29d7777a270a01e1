"""The lawyer of the simulated worlds: which cancellations somebody has asked for, by the commits themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.desire import Desire, Lawyer
from tests.sim.git import History
from tests.sim.manifests import Sweep, Tree
from tests.sim.oracle import Ledger, Oracle, Recorded

BOTH, ONE = Sweep("alpha", (1, 2)), Sweep("alpha", (1,))
(GONE,) = BOTH.tasks - ONE.tasks
(KEPT,) = ONE.tasks


def cancelled(task: str, reason: str = "PointRemoved") -> Recorded:
    return Recorded("gaaaabbbbbbbbbb", "alpha", task, 1, "running", "digest", reason, 1)


class Case:
    """A store that has accepted a sweep with two points, and then something else."""

    def __init__(self) -> None:
        self.history, self.desire = History(), Desire()
        self.lawyer = Lawyer(self.history, prune_max=5, slack=1)
        self.accept(Tree({"a.json": (BOTH.text(), BOTH)}))

    def accept(self, tree: Tree, *, amend: bool = False, deleted: bool = False) -> None:
        commit = self.history.push(tree, 0.0, amend=amend)
        self.lawyer.put_in_force(self.desire, "alpha", commit, deleted=deleted, now=1.0)
        self.lawyer.accept(self.desire, commit)

    def objection(self, task: str) -> str:
        return self.lawyer.objection(self.desire, cancelled(task), lives=True)


@pytest.fixture
def case() -> Case:
    return Case()


LESS = Tree({"a.json": (ONE.text(), ONE)})


def test_a_point_that_left_by_an_ordinary_commit_may_be_cancelled(case: Case):
    case.accept(LESS)
    assert "" == case.objection(GONE)


def test_a_point_that_is_still_there_may_not(case: Case):
    case.accept(LESS)
    assert "has that point" in case.objection(KEPT)


def test_a_point_that_left_by_a_rewritten_history_may_not(case: Case):
    case.accept(LESS, amend=True)
    assert "rewrites history" in case.objection(GONE)


def test_it_may_once_somebody_has_built_upon_the_rewritten_history(case: Case):
    case.accept(LESS, amend=True)
    case.history.push(LESS, 2.0)
    assert "" == case.objection(GONE)


def test_it_may_once_somebody_has_built_upon_a_history_that_was_rewritten_twice(case: Case):
    case.accept(LESS, amend=True)
    case.lawyer.accept(case.desire, case.history.push(LESS, 2.0, amend=True))
    assert "rewrites history" in case.objection(GONE)

    case.history.push(LESS, 3.0)
    assert "" == case.objection(GONE)


def test_it_may_once_a_person_has_approved(case: Case):
    case.accept(LESS, amend=True)
    case.desire.approve(2.0)
    assert "" == case.objection(GONE)


def test_an_approval_holds_for_the_same_removal_when_a_later_commit_asks_for_it_and_for_no_other(case: Case):
    case.accept(LESS, amend=True)
    case.desire.approve(0.5)
    case.accept(LESS, amend=True)
    assert "" == case.objection(GONE)

    none = replace(ONE, values=())
    case.accept(Tree({"a.json": (none.text(), none)}), amend=True)
    assert "rewrites history" in case.objection(KEPT)


def test_nobody_can_tell_that_a_sweep_is_gone_while_a_manifest_is_broken(case: Case):
    case.accept(Tree({"b.json": ("kind: Sweep", None)}), deleted=True)
    assert "broken" in case.objection(KEPT)


class Objects:
    """A lawyer to whom nobody has asked for anything."""

    def objection(self, desire: Desire, new: Recorded, *, lives: bool) -> str:
        return "nobody has asked for it"


def judged(*, in_vain: bool) -> Oracle:
    """After an attempt that runs was given up as outdated."""
    oracle = Oracle(lambda: 0.0)
    oracle.lawyer = Objects()
    oracle.in_vain = lambda ledger, eid: in_vain
    oracle.committed(Ledger(), cancelled(KEPT, "Outdated"))
    return oracle


def test_who_rules_may_not_give_up_what_runs() -> None:
    (told,) = judged(in_vain=False).violations
    assert told.startswith("I7: gaaaabbbbbbbbbb of alpha/")


def test_who_is_fenced_may_and_then_nobody_wants_it_ended() -> None:
    oracle = judged(in_vain=True)
    assert ([], set()) == (oracle.violations, oracle.wanted_cancelled)
