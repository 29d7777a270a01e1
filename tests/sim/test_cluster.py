"""The simulated schedulers do what real ones were seen to do. One sentence for each thing that was measured."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.sim.cluster import Scheduler
from tests.sim.cluster_jobs import PBS, SLURM, Down, Element, Manner, Node, Rejected, Start, State

FOREVER = 1e6


class Task:
    """What runs: it ends by itself after so long, or a moment after it was told."""

    def __init__(self, lab: Lab, start: Start, over: Callable[[int], None]) -> None:
        self.lab = lab
        self.over = over
        self.alive = True
        lab.begun.append(start)
        lab.later(lab.length_s, lambda: self._end(0))

    def kill(self, *, gently: bool) -> None:
        self.lab.later(1.0, lambda: self._end(1)) if gently else self._end(1)

    def vanish(self) -> None:
        self.alive = False

    def _end(self, code: int) -> None:
        if self.alive:
            self.alive = False
            self.over(code)


class Lab:
    """A scheduler, its nodes, and a clock that stands still until it is moved."""

    def __init__(self, manner: Manner, *, nodes: int = 2, slots: int = 2) -> None:
        self.time = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self.length_s = FOREVER
        self.begun: list[Start] = []
        self.nodes = [Node(f"n{number}", slots) for number in range(nodes)]
        self.scheduler = Scheduler(manner, self.nodes, random.Random(3), lambda: self.time, self.later)

    def later(self, delay: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self.time + delay, next(self._number), call))

    def wait(self, seconds: float) -> None:
        until = self.time + seconds
        while self._timers and self._timers[0][0] <= until:
            self.time, _, call = heapq.heappop(self._timers)
            call()
        self.time = until

    def submit(self, count: int = 1, *, name: str = "a", walltime_s: float | None = None, user: str = "me") -> int:
        return self.scheduler.submit(name, count, walltime_s, lambda start, over: Task(self, start, over), user=user)

    def started(self, count: int = 1, **options: object) -> int:
        """Submitted, and given the time to start."""
        array = self.submit(count, **options)
        self.wait(5)
        return array

    def elements(self) -> list[Element]:
        return self.scheduler.listed("me")

    def states(self) -> list[str]:
        return [each.state.value for each in self.elements()]

    def alive(self) -> int:
        return sum(start.run.alive for start in self.begun)

    def verdicts(self, name: str = "a") -> list[str]:
        return [entry.verdict for entry in self.scheduler.accounted({name})]


@pytest.fixture
def slurm() -> Lab:
    return Lab(SLURM)


@pytest.fixture
def pbs() -> Lab:
    return Lab(PBS)


@pytest.fixture(params=[SLURM, PBS], ids=["slurm", "pbs"])
def lab(request: pytest.FixtureRequest) -> Lab:
    return Lab(request.param)


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
