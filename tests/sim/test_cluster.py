"""The simulated schedulers do what real ones were seen to do. One sentence for each thing that was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.cluster_jobs import SLURM, Down, Rejected
from tests.sim.cluster_lab import Lab

# ---------------------------------------------------------------------------------------------- the usual


def test_as_many_elements_run_as_there_are_slots_and_the_others_wait(lab: Lab) -> None:
    lab.started(5)

    assert ["RUNNING"] * 4 + ["PENDING"] == lab.states()


def test_when_one_ends_the_next_one_starts(lab: Lab) -> None:
    lab.length_s = 60.0
    lab.started(5)

    lab.wait(90)

    assert 5 == len(lab.begun)


def test_what_has_ended_is_listed_as_ended_for_a_while_and_accounted_for_ever(slurm: Lab) -> None:
    slurm.length_s = 1.0
    slurm.started()
    slurm.wait(60)
    assert ["ENDED"] == slurm.states()

    slurm.wait(400)

    assert ([], ["COMPLETED"]) == (slurm.states(), slurm.verdicts())


def test_without_history_what_has_ended_is_simply_gone(pbs: Lab) -> None:
    pbs.length_s = 1.0
    pbs.started()
    pbs.wait(60)

    assert [] == pbs.states()
    with pytest.raises(Down):
        pbs.verdicts()


def test_a_walltime_is_enforced_a_little_late(lab: Lab) -> None:
    lab.started(walltime_s=100.0)

    lab.wait(94)
    assert 1 == lab.alive()
    lab.wait(80)
    assert 0 == lab.alive()


def test_a_timeout_is_accounted_as_one(slurm: Lab) -> None:
    slurm.started(walltime_s=100.0)

    slurm.wait(200)

    assert ["TIMEOUT"] == slurm.verdicts()


def test_what_is_being_cleared_away_is_listed_so_until_nothing_of_it_is_left(slurm: Lab) -> None:
    slurm.started()
    slurm.scheduler.cancel_by_hand(slurm.elements()[0])
    assert (["COMPLETING"], 1) == (slurm.states(), slurm.alive())

    slurm.wait(20)

    assert (["ENDED"], 0, ["CANCELLED"]) == (slurm.states(), slurm.alive(), slurm.verdicts())


def test_a_pending_element_that_is_cancelled_leaves_no_trace(slurm: Lab) -> None:
    slurm.scheduler.draining = True
    slurm.started()

    slurm.scheduler.cancel_by_hand(slurm.elements()[0])

    assert ([], []) == (slurm.states(), slurm.verdicts())


@pytest.mark.parametrize(("name", "array", "index"), [("b", 0, 0), ("a", 1, 0), ("a", 0, 1)])
def test_a_cancel_hits_only_what_has_the_name_and_the_id(lab: Lab, name: str, array: int, index: int) -> None:
    number = lab.started()

    assert [] == lab.scheduler.cancel(name, number + array, index)
    assert ["RUNNING"] == lab.states()
    assert 1 == len(lab.scheduler.cancel("a", number, 0))


def test_the_jobs_of_others_are_neither_listed_nor_cancelled(lab: Lab) -> None:
    array = lab.started(user="you")

    assert ([], []) == (lab.elements(), lab.scheduler.cancel("a", array, 0))
    assert 1 == lab.alive()


def test_a_new_job_may_be_listed_late(lab: Lab) -> None:
    lab.scheduler.show_lag_s = 1000.0
    lab.submit()
    assert [] == lab.states()

    lab.wait(1000)

    assert ["RUNNING"] == lab.states()


def test_the_accounting_may_know_late_or_not_answer_while_the_queue_does(slurm: Lab) -> None:
    slurm.length_s = 1.0
    slurm.scheduler.account_lag_s = 59.0
    slurm.started()
    slurm.wait(20)
    assert [] == slurm.verdicts()

    slurm.wait(200)
    assert ["COMPLETED"] == slurm.verdicts()

    slurm.scheduler.accounting_up = False
    assert ["ENDED"] == slurm.states()
    with pytest.raises(Down):
        slurm.verdicts()


def test_limits_say_later_and_impossible_arrays_say_never() -> None:
    lab = Lab(replace(SLURM, most_jobs=3, most_elements=2))
    lab.submit(2)

    with pytest.raises(Rejected) as busy:
        lab.submit(2)
    with pytest.raises(Rejected) as refused:
        lab.submit(3)

    assert (True, False) == (busy.value.later, refused.value.later)


def test_nothing_starts_while_the_queue_is_drained_or_held(lab: Lab) -> None:
    lab.scheduler.draining = True
    lab.started()
    assert ["PENDING"] == lab.states()

    lab.elements()[0].held = True
    lab.scheduler.draining = False
    lab.scheduler._plan()
    lab.wait(5)
    assert ["PENDING"] == lab.states()

    lab.scheduler.heal()
    lab.wait(5)
    assert ["RUNNING"] == lab.states()


# ---------------------------------------------------------------------------------------------- the controller dies


def test_nobody_is_answered_while_the_controller_is_down(lab: Lab) -> None:
    lab.scheduler.crash(60.0)

    with pytest.raises(Down):
        lab.submit()
    with pytest.raises(Down):
        lab.elements()
    with pytest.raises(Down):
        lab.scheduler.cancel("a", 1, 0)


def test_what_slurm_accepted_in_the_last_seconds_is_lost_and_its_id_is_given_again(slurm: Lab) -> None:
    lost = slurm.submit(3)

    assert 3 == slurm.scheduler.crash(10.0)
    slurm.wait(10)

    assert [] == slurm.states()
    assert lost == slurm.submit(name="another")


def test_what_slurm_had_saved_is_kept(slurm: Lab) -> None:
    array = slurm.started()
    slurm.wait(5)

    assert 0 == slurm.scheduler.crash(10.0)
    slurm.wait(10)

    assert (["RUNNING"], 1) == (slurm.states(), slurm.alive())
    assert array < slurm.submit()


def test_pbs_loses_nothing_and_its_ids_jump(pbs: Lab) -> None:
    array = pbs.submit(3)

    assert 0 == pbs.scheduler.crash(10.0)
    pbs.wait(20)

    assert (["RUNNING"] * 3, True) == (pbs.states(), array < pbs.submit())


def test_a_pending_job_that_was_cancelled_just_before_slurm_died_is_back(slurm: Lab) -> None:
    slurm.scheduler.draining = True
    slurm.started()
    slurm.wait(10)
    slurm.scheduler.cancel_by_hand(slurm.elements()[0])

    slurm.scheduler.crash(1.0)
    slurm.wait(2)

    assert ["PENDING"] == slurm.states()


def test_a_job_that_slurm_has_forgotten_may_go_on_though_nobody_lists_it() -> None:
    outcomes = set()
    for seed in range(20):
        lab = Lab(SLURM)
        lab.scheduler.dice.seed(seed)
        while not lab.begun:
            lab.submit()
            lab.wait(0.5)
        lab.scheduler.crash(1.0)
        lab.wait(2)
        outcomes.add((len(lab.elements()), lab.alive() > 0))

    assert (0, True) in outcomes


def test_what_ends_while_the_controller_is_down_is_heard_when_it_is_back(slurm: Lab) -> None:
    slurm.length_s = 20.0
    slurm.started()
    slurm.wait(10)
    slurm.scheduler.crash(60.0)

    slurm.wait(90)

    assert ["COMPLETED"] == slurm.verdicts()
