"""A generation comes in force all at once, whatever happens meanwhile and wherever it is interrupted."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from store_lab import LAPTOP, SWEEP, A, B, Lab, drain, task_id

from reconciler.core.diff import Verb
from reconciler.core.errors import StoreError
from reconciler.core.model import Phase, Point, TaskKey
from reconciler.core.spec import DeletionPolicy, OnRemove, SweepState, UpdatePolicy
from reconciler.store import Reader


@pytest.fixture
def lab(tmp_path):
    with closing(Lab(tmp_path / "state")) as lab:
        yield lab
        assert [] == lab.faults()


# ---------------------------------------------------------------------------------------------- what is desired


def test_tasks_wait_in_declared_order(lab):
    lab.accept([5, 3, 9])
    assert [{"number": 5}, {"number": 3}, {"number": 9}] == [head.parameters for head in lab.heads()]


def test_equal_points_collapse_into_the_first_and_are_counted(lab):
    accepted = lab.accept([5, 3, 5, 5])
    assert (2, {Verb.ADD: 2}) == (accepted.summary.duplicates, accepted.summary.counts)
    assert [0, 1] == [head.ordinal for head in lab.heads()]


def test_the_recorded_diff_counts_every_task_once(lab):
    lab.accept(range(4))
    lab.accept(range(2, 7))
    newest, first = lab.store.generations(SWEEP)
    assert {Verb.ADD: 4} == first.counts
    assert {Verb.WITHDRAW: 2, Verb.KEEP: 2, Verb.ADD: 3} == newest.counts


def test_an_edit_that_moves_points_changes_only_their_order(lab):
    lab.accept([1, 2, 3])
    lab.accept([3, 2, 1, 0])
    assert [3, 2, 1, 0] == [head.parameters["number"] for head in lab.heads()]


def test_a_point_that_was_never_tried_is_forgotten_when_it_leaves(lab):
    lab.accept(range(3))
    lab.accept([0])
    assert lab.number(2) is None


def test_a_removed_success_returns_as_one(lab):
    lab.accept([1])
    lab.start()
    lab.end(Phase.SUCCEEDED)
    lab.accept([2])
    assert not lab.number(1).desired
    lab.accept([1])
    assert ["succeeded"] == lab.phases()


def test_a_removed_running_task_is_cancelled_and_runs_again_when_it_returns(lab):
    lab.accept([1])
    lab.start()
    lab.accept([2])
    assert ["PointRemoved"] == [attempt.cancel for attempt in lab.store.cancelling(LAPTOP, lab.now)]
    lab.accept([1])
    lab.end(Phase.CANCELLED)
    assert [1] == [head.attempts for head in lab.heads()]


def test_a_drained_task_still_takes_its_slot(lab):
    lab.accept([1, 2], on_remove=OnRemove.DRAIN)
    lab.start()
    lab.accept([2], on_remove=OnRemove.DRAIN)
    assert {(SWEEP, LAPTOP): 1} == lab.store.active_counts()
    assert {(None, Phase.WAITING): 1} == lab.store.counts(SWEEP)


def test_a_kept_point_still_runs(lab):
    lab.accept([1, 2], on_remove=OnRemove.KEEP)
    lab.accept([2], on_remove=OnRemove.KEEP)
    assert 2 == len(lab.heads())


# ---------------------------------------------------------------------------------------------- another digest


def test_a_new_digest_ends_the_backoff_of_a_failing_task(lab):
    lab.accept([1])
    lab.start()
    lab.end(Phase.FAILED, Phase.WAITING, failures=1, not_before=lab.now + 600)
    assert [] == lab.heads()
    lab.accept([1], B)
    assert [0] == [head.failures for head in lab.heads()]


def test_a_revert_adopts_the_success_that_was_to_be_run_again(lab):
    lab.accept([1])
    lab.start()
    lab.end(Phase.SUCCEEDED)
    lab.accept([1], B, update_policy=UpdatePolicy.RERUN)
    assert ["waiting"] == lab.phases()
    lab.accept([1], A, update_policy=UpdatePolicy.RERUN)
    assert ["succeeded"] == lab.phases()


def test_replace_cancels_what_runs_and_runs_it_again(lab):
    lab.accept([1])
    lab.start()
    lab.accept([1], B, update_policy=UpdatePolicy.REPLACE)
    assert ["Outdated"] == [attempt.cancel for attempt in lab.open()]
    lab.end(Phase.CANCELLED)
    assert ["waiting"] == lab.phases()


def test_a_task_that_fails_under_the_old_spec_runs_with_the_new_one(lab):
    lab.accept([1])
    lab.start()
    lab.accept([1], B)
    lab.end(Phase.FAILED, failures=1)
    assert [0] == [head.failures for head in lab.heads()]


def test_a_cancelled_sweep_cancels_and_an_active_one_runs_again(lab):
    lab.accept([1, 2])
    lab.start(2)
    lab.accept([1, 2], state=SweepState.CANCELLED)
    lab.learn(lab.open()[0], Phase.CANCELLED)
    assert ["cancelled", "queued"] == lab.phases()
    lab.accept([1, 2])
    lab.end(Phase.CANCELLED)
    assert ["waiting", "waiting"] == lab.phases()


# ---------------------------------------------------------------------------------------------- deletion and freezing


def delete(lab, policy, *, freeze=False):
    return drain(lab.store.accept(lab.draft(deletion=policy), freeze=freeze, at=lab.now))


def test_a_deleted_sweep_stays_until_its_tasks_have_ended(lab):
    lab.accept([1, 2])
    lab.start()
    delete(lab, DeletionPolicy.DRAIN)
    assert [True] == [row.deleted for row in lab.store.sweeps()]
    lab.end(Phase.SUCCEEDED)
    assert [] == lab.store.sweeps()


def test_a_deleted_sweep_that_returns_adopts_its_results(lab):
    lab.accept([1])
    lab.start()
    lab.end(Phase.SUCCEEDED)
    delete(lab, DeletionPolicy.DRAIN)
    lab.accept([1])
    assert ["succeeded"] == lab.phases()


def test_an_orphan_is_no_longer_tracked_until_it_returns(lab):
    lab.accept([1])
    (attempt,) = lab.start()
    delete(lab, DeletionPolicy.ORPHAN)
    assert ({}, []) == (lab.store.active_counts(), lab.open())
    lab.accept([1])
    assert [attempt] == lab.open()


def test_a_frozen_removal_cancels_nothing_and_starts_nothing(lab):
    lab.accept([1, 2])
    lab.start()
    accepted = lab.accept([3], freeze=True)
    assert (True, 2, 1) == (accepted.frozen, accepted.summary.removed, accepted.summary.removed_active)
    assert [3] == [head.parameters["number"] for head in lab.heads()]
    assert [] == lab.store.cancelling(LAPTOP, lab.now)
    assert {(LAPTOP, Phase.QUEUED): 1, (None, Phase.WAITING): 2} == lab.store.counts(SWEEP)


def test_an_approved_removal_is_applied(lab):
    lab.accept([1, 2])
    lab.start()
    accepted = lab.accept([3], freeze=True)
    assert accepted.summary.removal_hash == lab.store.sweep(SWEEP).frozen
    drain(lab.store.release_frozen(SWEEP, lab.now))
    assert ["PointRemoved"] == [attempt.cancel for attempt in lab.open()]
    assert ("", {(None, Phase.WAITING): 1}) == (lab.store.sweep(SWEEP).frozen, lab.store.counts(SWEEP))


def test_an_approved_replacement_is_applied(lab):
    lab.accept([1])
    lab.start()
    lab.accept([1], B, freeze=True, update_policy=UpdatePolicy.REPLACE)
    assert [""] == [attempt.cancel for attempt in lab.open()]
    drain(lab.store.release_frozen(SWEEP, lab.now))
    assert ["Outdated"] == [attempt.cancel for attempt in lab.open()]


def test_points_that_come_back_thaw(lab):
    lab.accept([1, 2])
    lab.accept([2], freeze=True)
    lab.accept([1, 2])
    assert 2 == len(lab.heads())


def test_a_removal_keeps_its_hash_until_it_changes(lab):
    lab.accept([1, 2, 3])
    first = lab.accept([3], freeze=True).summary.removal_hash
    assert first == lab.accept([3, 4], freeze=True).summary.removal_hash
    assert first != lab.accept([4], freeze=True).summary.removal_hash


# ---------------------------------------------------------------------------------------------- meanwhile


def test_a_prepared_generation_is_invisible(lab):
    lab.accept([1])
    before = lab.picture()
    lab.prepare([2, 3])
    assert before == lab.picture()
    assert lab.number(3) is None


def test_an_abandoned_generation_leaves_nothing(lab):
    lab.accept([1])
    lab.prepare([2, 3])
    drain(lab.store.abandon(SWEEP))
    assert [1] == [head.parameters["number"] for head in lab.heads()]
    with pytest.raises(StoreError):
        lab.commit()


def test_a_task_that_started_meanwhile_is_cancelled_all_the_same(lab):
    lab.accept([1])
    lab.prepare([2])
    lab.start()
    lab.commit()
    assert ["PointRemoved"] == [attempt.cancel for attempt in lab.open()]


def test_a_task_that_failed_meanwhile_runs_with_the_new_spec(lab):
    lab.accept([1])
    lab.start()
    lab.prepare([1], B)
    lab.end(Phase.FAILED, failures=1)
    lab.commit()
    assert ["waiting"] == lab.phases()


def test_a_task_that_succeeded_meanwhile_is_not_cancelled(lab):
    lab.accept([1])
    lab.start()
    lab.prepare([2])
    lab.end(Phase.SUCCEEDED)
    lab.commit()
    assert ["succeeded"] == [attempt.phase.value for attempt in lab.store.attempts(TaskKey(SWEEP, task_id(1)))]
    assert Phase.SUCCEEDED is lab.number(1).phase


def test_nothing_starts_between_the_flip_and_the_last_change(lab):
    lab.accept([1, 2])
    lab.prepare([1])
    steps = lab.store.commit(SWEEP, freeze=False, at=lab.now)
    next(steps)
    assert [] == lab.heads()
    drain(steps)
    assert 1 == len(lab.heads())


def test_a_reader_plans_without_writing(lab):
    lab.accept([1, 2, 3])
    lab.start()
    with closing(Reader.open(lab.directory)) as reader:
        drain(reader.stage(SWEEP, [(0, Point(task_id(2), 0, {})), (1, Point(task_id(9), 0, {}))]))
        summary = drain(reader.summarise(SWEEP, lab.draft().policy))
    assert {Verb.CANCEL: 1, Verb.KEEP: 1, Verb.WITHDRAW: 1, Verb.ADD: 1} == summary.counts


def test_an_approval_meanwhile_touches_only_what_is_in_force(lab):
    lab.accept([1, 2])
    lab.accept([2], freeze=True)
    lab.prepare([3])
    drain(lab.store.release_frozen(SWEEP, lab.now))
    assert lab.number(1) is None
    assert [2] == [head.parameters["number"] for head in lab.heads()]


# ---------------------------------------------------------------------------------------------- crashes

CRASH = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from store_lab import *
lab = Lab(Path(sys.argv[2]))
lab.accept(range(6000))
lab.start(20)
lab.stage(range(3000, 14000))
steps = int(sys.argv[3])
for step, _ in enumerate(lab.store.accept(lab.draft(), freeze=False, at=lab.now)):
    if step == steps:
        os._exit(9)
"""
FLIPPED_AT = 5  # three chunks are merged, two are published: then it is in force


@pytest.mark.parametrize("steps", [0, 2, FLIPPED_AT - 1, FLIPPED_AT, FLIPPED_AT + 1])
def test_a_killed_acceptance_is_all_or_nothing_and_repeated_gives_the_same(tmp_path, steps):
    fakes = Path(__file__).parent.parent / "fakes"
    arguments = [sys.executable, "-c", CRASH, str(fakes), str(tmp_path / "state"), str(steps)]
    died = subprocess.run(arguments, cwd=fakes.parent.parent, check=False)
    assert 9 == died.returncode
    with closing(Lab(tmp_path / "state")) as lab, closing(Lab(tmp_path / "fresh")) as fresh:
        assert (1 if steps < FLIPPED_AT else 2) == lab.store.sweep(SWEEP).generation
        lab.reopen()
        assert [] == lab.faults()
        lab.accept(range(3000, 14000))
        fresh.accept(range(6000))
        fresh.start(20)
        fresh.accept(range(3000, 14000))
        assert fresh.picture() == lab.picture()


def test_an_acceptance_that_was_killed_in_force_is_finished_before_anything_else(lab):
    lab.accept(range(3))
    lab.prepare(range(1, 4))
    list(islice(lab.store.commit(SWEEP, freeze=False, at=lab.now), 1))
    lab.reopen()
    assert [1, 2, 3] == [head.parameters["number"] for head in lab.heads()]


def test_an_acceptance_left_halfway_is_finished_by_the_next(lab):
    lab.accept(range(3))
    lab.prepare(range(1, 4))
    list(islice(lab.store.commit(SWEEP, freeze=False, at=lab.now), 1))
    lab.accept(range(2, 5))
    assert [2, 3, 4] == [head.parameters["number"] for head in lab.heads()]
