"""What the simulated schedulers make of nodes that fail, as real ones were seen to do."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.sim.cluster_jobs import PBS, SLURM, Manner, Node, State
from tests.sim.cluster_lab import FOREVER, Lab

# ---------------------------------------------------------------------------------------------- nodes fail


def node_of(lab: Lab) -> Node:
    return lab.begun[0].node


def test_slurm_ends_what_ran_on_a_dead_node(slurm: Lab) -> None:
    slurm.started()

    slurm.scheduler.lose_power(node_of(slurm), FOREVER)
    assert (["RUNNING"], 0) == (slurm.states(), slurm.alive())
    slurm.wait(120)

    assert (["ENDED"], ["NODE_FAIL"], 1) == (slurm.states(), slurm.verdicts(), len(slurm.begun))


def test_slurm_calls_ended_what_goes_on_on_a_node_that_is_cut_off_and_kills_it_when_that_is_back(slurm: Lab) -> None:
    slurm.started()
    slurm.scheduler.cut_off(node_of(slurm), 600.0)

    slurm.wait(120)
    (entry,) = slurm.scheduler.accounted({"a"})
    assert ("NODE_FAIL", 1, False) == (entry.verdict, slurm.alive(), slurm.scheduler.ceased(entry))

    slurm.wait(600)
    assert (0, True) == (slurm.alive(), slurm.scheduler.ceased(entry))


def test_what_ran_on_a_node_that_has_booted_since_has_ceased(slurm: Lab) -> None:
    slurm.started()
    node = node_of(slurm)
    slurm.scheduler.lose_power(node, 200.0)
    slurm.wait(120)
    (entry,) = slurm.scheduler.accounted({"a"})
    assert not slurm.scheduler.ceased(entry)

    slurm.wait(100)
    slurm.scheduler.cut_off(node, FOREVER)

    assert slurm.scheduler.ceased(entry)


def test_a_node_that_is_back_before_it_is_missed_has_lost_nothing(lab: Lab) -> None:
    lab.started()

    lab.scheduler.cut_off(node_of(lab), 20.0)
    lab.wait(1000)

    assert (["RUNNING"], 1, 1) == (lab.states(), lab.alive(), len(lab.begun))


def test_pbs_starts_the_same_job_a_second_time_while_the_first_start_lives_on_the_node_that_is_cut_off(
    pbs: Lab,
) -> None:
    array = pbs.started()
    pbs.scheduler.cut_off(node_of(pbs), 600.0)

    pbs.wait(320)

    first, second = pbs.begun
    assert (2, array, 0, 1) == (pbs.alive(), second.element.array, first.restarts, second.restarts)
    assert first.node is not second.node

    pbs.wait(600)
    assert (False, True) == (first.run.alive, second.run.alive)


def test_pbs_starts_again_what_ran_on_a_node_that_has_booted(pbs: Lab) -> None:
    pbs.started()

    pbs.scheduler.lose_power(node_of(pbs), 30.0)
    pbs.wait(60)

    assert ([0, 1], 1) == ([start.restarts for start in pbs.begun], pbs.alive())


def test_a_preempted_job_ends_under_slurm_and_starts_again_under_pbs() -> None:
    seen = {}
    for manner in (SLURM, PBS):
        lab = Lab(manner)
        lab.started()
        assert lab.scheduler.preempt(lab.elements()[0])
        lab.wait(60)
        seen[manner.name] = (lab.states(), len(lab.begun), lab.alive())

    assert {"slurm": (["ENDED"], 1, 0), "pbs": (["RUNNING"], 2, 1)} == seen


def test_out_of_memory_is_accounted_as_such(slurm: Lab) -> None:
    slurm.started()

    assert slurm.scheduler.out_of_memory(slurm.elements()[0])
    slurm.wait(20)

    assert (0, ["OUT_OF_MEMORY"]) == (slurm.alive(), slurm.verdicts())


def test_a_walltime_is_not_enforced_by_slurm_on_a_node_that_it_does_not_reach() -> None:
    alive = {}
    for manner in (SLURM, PBS):
        lab = Lab(replace(manner, noticed_s=FOREVER))
        lab.started(walltime_s=60.0)
        lab.scheduler.cut_off(node_of(lab), FOREVER)
        lab.wait(600)
        alive[manner.name] = lab.alive()

    assert {"slurm": 1, "pbs": 0} == alive


def test_what_was_cancelled_on_a_node_that_is_cut_off_ends_when_that_is_back(slurm: Lab) -> None:
    slurm.started()
    slurm.scheduler.cut_off(node_of(slurm), 60.0)

    slurm.scheduler.cancel_by_hand(slurm.elements()[0])
    slurm.wait(30)
    assert (["COMPLETING"], 1) == (slurm.states(), slurm.alive())

    slurm.wait(60)
    assert (["ENDED"], 0) == (slurm.states(), slurm.alive())


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("manner", [SLURM, PBS, replace(PBS, accounting=True)], ids=["slurm", "pbs", "pbs-history"])
def test_whatever_happens_nodes_are_never_overfull_and_all_is_over_in_the_end(manner: Manner, seed: int) -> None:
    dice = random.Random(seed)
    lab = Lab(manner, nodes=3)
    lab.scheduler.dice.seed(seed)
    lab.length_s = 40.0
    for _ in range(300):
        _something(lab, dice)
        lab.wait(dice.expovariate(0.2))
        assert all(len(node.running) <= node.slots for node in lab.nodes)
        assert all(start.run.alive for node in lab.nodes for start in node.running)
        assert lab.alive() == sum(len(node.running) for node in lab.nodes)

    lab.scheduler.heal()
    lab.wait(10_000)

    assert 0 == lab.alive()
    assert {State.ENDED} >= {each.state for each in lab.scheduler.elements}


def _something(lab: Lab, dice: random.Random) -> None:
    scheduler = lab.scheduler
    node = dice.choice(lab.nodes)
    element = dice.choice(scheduler.elements) if scheduler.elements else None
    kind = dice.randrange(8)
    if kind <= 2 and scheduler.up:
        lab.submit(dice.randint(1, 3), walltime_s=dice.choice((None, 20.0)))
    elif kind == 3:
        scheduler.crash(dice.choice((1.0, 60.0)))
    elif kind == 4:
        scheduler.lose_power(node, dice.choice((5.0, 500.0)))
    elif kind == 5:
        scheduler.cut_off(node, dice.choice((5.0, 500.0)))
    elif element is not None:
        dice.choice((scheduler.preempt, scheduler.cancel_by_hand, scheduler.out_of_memory))(element)
