"""What starts where: order between sweeps and within one, the strategies, what fits, why the rest waits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_makers import NOW, heads, queue, source, task

from reconciler.core.dispatch import Hold, dispatch, explain
from reconciler.core.model import Phase, Resources
from reconciler.core.spec import Placement, Strategy

GPU = Resources(gpus=1)
TWO_GPUS = Resources(gpus=2)
PAUSED = Hold(reason="Paused", message="the manifest says state: Paused")


def starts(queues, sources):
    """(sweep, source) of each start, in order."""
    return [(start.key.sweep, start.source) for start in dispatch(queues, sources, NOW).starts]


def order(queues, sources):
    return "".join(sweep for sweep, _ in starts(queues, sources))


def split(queues, sources):
    """How many starts each source got."""
    given = [name for _, name in starts(queues, sources)]
    return {name: given.count(name) for name in sorted(set(given))}


def holds(queues, sources, sweep="s"):
    return {hold.reason: hold.tasks for hold in dispatch(queues, sources, NOW).holds.get(sweep, ())}


# ------------------------------------------------------------------------------------------------ order


def test_tasks_start_in_declared_order():
    decided = dispatch([queue("s", 3)], [source(slots=2)], NOW).starts

    assert [start.key.task for start in decided] == ["0000", "0001"]


def test_sweeps_take_turns():
    assert order([queue("p", 9), queue("q", 9)], [source(slots=4)]) == "pqpq"


def test_the_sweep_with_the_fewest_active_goes_first():
    assert order([queue("p", 9, active=2), queue("q", 9)], [source(slots=5, active=2)]) == "qqp"


def test_a_higher_priority_goes_first():
    assert order([queue("p", 9), queue("q", 3, priority=1)], [source(slots=4)]) == "qqqp"


def test_a_short_sweep_leaves_its_turns_to_the_others():
    assert order([queue("p", 1), queue("q", 9)], [source(slots=4)]) == "pqqq"


def test_a_task_that_fits_nowhere_does_not_block_those_behind_it():
    mixed = queue("s", heads=[*heads("s", 1, TWO_GPUS), *heads("s", 2)])

    assert starts([mixed], [source(gpus=1)]) == [("s", "a"), ("s", "a")]
    assert holds([mixed], [source(gpus=1)]) == {"NoSourceFits": 1}


def test_a_task_that_waits_for_a_gpu_lets_those_without_pass():
    mixed = queue("s", heads=[*heads("s", 1, GPU), *heads("s", 2)])

    assert len(starts([mixed], [source(gpus=1, gpus_free=0)])) == 2


def test_a_task_that_waits_for_two_gpus_is_not_overtaken_by_those_that_take_one():
    large, small = queue("large", 1, resources=TWO_GPUS), queue("small", 9, resources=GPU)

    assert starts([large, small], [source(slots=9, gpus=2, gpus_free=1)]) == []


def test_it_keeps_only_one_source_waiting():
    large, small = queue("large", 1, resources=TWO_GPUS), queue("small", 9, resources=GPU)
    sources = [source("a", slots=9, gpus=2, gpus_free=1), source("b", slots=9, gpus=2, gpus_free=1)]

    assert starts([large, small], sources) == [("small", "b")]


def test_a_task_that_waits_for_a_gpu_stops_the_source_from_queueing_others():
    gpu, cpu = queue("gpu", 1, resources=GPU), queue("zcpu", 9)

    assert starts([gpu, cpu], [source(slots=2, active=2, prefetch=4, gpus=1)]) == []


TRIAL = Hold(reason="JobsNotStarting", message="one tries")


def test_where_nothing_starts_one_tries_and_the_others_wait():
    decided = dispatch([queue("s", 5, trials={"a": TRIAL}), queue("t", 2)], [source(slots=9)], NOW)

    assert ["s", "t", "t"] == sorted(start.key.sweep for start in decided.starts)
    assert (replace(TRIAL, tasks=4),) == decided.holds["s"]


def test_where_it_starts_elsewhere_the_others_go_there():
    assert {"a": 1, "b": 4} == split([queue("s", 5, trials={"a": TRIAL})], [source("a", slots=9), source("b", slots=9)])


# ------------------------------------------------------------------------------------------------ limits


def test_parallelism_counts_what_is_active():
    assert len(starts([queue("s", 9, parallelism=3, active=1)], [source(slots=9)])) == 2


def test_a_lowered_parallelism_starts_nothing():
    assert starts([queue("s", 9, parallelism=3, active=5)], [source(slots=9)]) == []


def test_a_source_queues_as_many_as_it_may_beyond_its_slots():
    assert len(starts([queue("s", 9)], [source(slots=2, prefetch=3)])) == 5


def test_gpu_tasks_are_never_queued_at_a_source():
    assert len(starts([queue("s", 9, resources=GPU)], [source(slots=2, prefetch=3, gpus=4)])) == 2


def test_gpus_are_given_once():
    decided = dispatch([queue("s", 9, resources=TWO_GPUS)], [source(slots=9, gpus=5)], NOW).starts

    assert [start.gpus for start in decided] == [2, 2]


@pytest.mark.parametrize("fields", [{"up": False}, {"enabled": False}, {"slots": 0}])
def test_a_source_that_is_not_in_use_gets_nothing(fields):
    assert starts([queue("s", 1)], [source(**fields)]) == []


def test_a_closed_gate_lets_nothing_through():
    assert starts([queue("s", 9, gate=PAUSED)], [source()]) == []


CODE = Hold(reason="ProjectNotReady", message="no room on a", until=NOW + 30)


def test_a_source_that_lacks_the_code_of_a_sweep_gets_nothing_of_it_and_the_others_do():
    sweeps = [queue("s", 3, barred={"a": CODE}), queue("t", 3)]

    given = starts(sweeps, [source("a", slots=2), source("b", slots=2)])

    assert {("s", "b"), ("t", "a"), ("t", "b")} >= set(given)
    assert 4 == len(given)


def test_a_sweep_whose_code_is_nowhere_is_held_until_it_is_tried_again():
    decided = dispatch([queue("s", 3, barred={"a": CODE})], [source("a")], NOW)

    assert ((), CODE.until) == (decided.starts, decided.wake_at)
    assert [("ProjectNotReady", "no room on a", 3)] == [(h.reason, h.message, h.tasks) for h in decided.holds["s"]]


# ------------------------------------------------------------------------------------------------ which source


def test_round_robin_splits_evenly_by_what_the_sweep_has_there():
    sweep = queue("s", 6, strategy=Strategy.ROUND_ROBIN, per_source={"a": 2}, active=2)

    assert split([sweep], [source("a", slots=99), source("b", slots=9), source("c", slots=5)]) == {
        "a": 1,
        "b": 3,
        "c": 2,
    }


def test_least_loaded_fills_by_share_of_slots():
    sweep = queue("s", 6, strategy=Strategy.LEAST_LOADED)

    assert split([sweep], [source("a", slots=8), source("b", slots=4)]) == {"a": 4, "b": 2}


def test_least_loaded_looks_at_everybodys_tasks():
    sweep = queue("s", 2, strategy=Strategy.LEAST_LOADED)

    assert split([sweep], [source("a", active=3), source("b")]) == {"b": 2}


def test_capability_keeps_gpu_sources_for_gpu_tasks():
    sources = [source("a", slots=2, gpus=2), source("b", slots=2)]

    assert split([queue("s", 3, strategy=Strategy.CAPABILITY)], sources) == {"a": 1, "b": 2}


def test_capability_takes_the_smallest_that_fits():
    sweep = queue("s", 1, strategy=Strategy.CAPABILITY, resources=Resources(memory_mib=100))
    sources = [source("a"), source("b", memory_mib=900), source("c", memory_mib=200), source("d", memory_mib=50)]

    assert split([sweep], sources) == {"c": 1}


@pytest.mark.parametrize("strategy", Strategy)
def test_a_gpu_task_never_lands_on_a_source_without(strategy):
    assert split([queue("s", 3, resources=GPU, strategy=strategy)], [source("a"), source("b", gpus=2)]) == {"b": 2}


def test_a_placement_may_name_its_sources():
    assert split([queue("s", 9, sources=("b",))], [source("a"), source("b")]) == {"b": 4}


def test_a_placement_may_select_by_label():
    selecting = queue("s", 9, placement=Placement(match_labels={"gpu": "a100"}))

    assert split([selecting], [source("a"), source("b", labels={"gpu": "a100", "zone": "1"})]) == {"b": 4}


MISFITS = {
    "no slots": (source(slots=0), Resources(), "has no slots"),
    "no GPU": (source(), GPU, "has 0 GPUs, the task needs 1"),
    "too few GPUs": (source(gpus=1), TWO_GPUS, "has 1 GPUs, the task needs 2"),
    "another GPU": (
        source(gpus=1, gpu_type="v100"),
        Resources(gpus=1, gpu_type="a100"),
        "has v100 GPUs, the task needs a100",
    ),
    "a GPU without a type": (
        source(gpus=1),
        Resources(gpus=1, gpu_type="a100"),
        "has unnamed GPUs, the task needs a100",
    ),
    "too little memory": (
        source(memory_mib=100),
        Resources(memory_mib=200),
        "has 100 MiB of memory, the task needs 200",
    ),
    "one node": (source(), Resources(nodes=2), "gives 1 nodes to a task, the task needs 2"),
}


@pytest.mark.parametrize(("capacity", "resources", "why"), MISFITS.values(), ids=MISFITS)
def test_a_source_that_could_never_take_a_task_says_why(capacity, resources, why):
    (hold,) = dispatch([queue("s", 1, resources=resources)], [capacity], NOW).holds["s"]

    assert (hold.reason, hold.message) == ("NoSourceFits", f"no source could ever take it: a {why}")


def test_memory_that_is_not_known_is_not_checked():
    assert len(starts([queue("s", 1, resources=Resources(memory_mib=9000))], [source(memory_mib=None)])) == 1


# ------------------------------------------------------------------------------------------------ why the rest waits

HOLDS = {
    "Paused": (queue("s", 3, gate=PAUSED), [source()], {"Paused": 3}),
    "ParallelismReached": (queue("s", 3, parallelism=1), [source()], {"ParallelismReached": 2}),
    "SourcesBusy": (queue("s", 3), [source(slots=1)], {"SourcesBusy": 2}),
    "GpusBusy": (queue("s", 3, resources=GPU), [source(gpus=1)], {"GpusBusy": 2}),
    "NoSourceFits": (queue("s", 3, sources=("z",)), [source()], {"NoSourceFits": 3}),
    "SourcesDown": (queue("s", 3), [source(up=False)], {"SourcesDown": 3}),
    "SourcesDisabled": (queue("s", 3), [source(up=False, enabled=False)], {"SourcesDisabled": 3}),
    "Backoff": (queue("s", 1, delayed=2, next_wake=NOW + 5), [source()], {"Backoff": 2}),
    "NextInLine": (queue("s", 1, waiting=4), [source()], {"NextInLine": 3}),
    "several at once": (
        queue("s", waiting=9, delayed=2, heads=[*heads("s", 1, TWO_GPUS), *heads("s", 3)], parallelism=1),
        [source()],
        {"NoSourceFits": 1, "ParallelismReached": 5, "Backoff": 2},
    ),
    "nothing": (queue("s", 3), [source()], {}),
}


@pytest.mark.parametrize(("sweep", "sources", "expected"), HOLDS.values(), ids=HOLDS)
def test_each_waiting_task_is_held_for_one_reason(sweep, sources, expected):
    assert holds([sweep], sources) == expected


def test_a_source_that_is_down_says_why():
    down = source(up=False, reason="NoReply", message="no answer for 60 s")

    assert dispatch([queue("s", 1)], [down], NOW).holds["s"][0].message == "down: a (no answer for 60 s)"


def test_wake_when_the_first_backoff_passes():
    waiting = [queue("p", delayed=1, next_wake=NOW + 9), queue("q", delayed=1, next_wake=NOW + 5)]

    assert dispatch(waiting, [source()], NOW).wake_at == NOW + 5


def test_wake_when_a_gate_opens():
    closed = queue("s", 1, gate=replace(PAUSED, reason="NotScheduled", until=NOW + 50), delayed=1, next_wake=NOW + 5)

    assert dispatch([closed], [source()], NOW).wake_at == NOW + 50


def test_look_again_at_once_when_the_window_was_used_up():
    assert dispatch([queue("s", 1, waiting=4)], [source()], NOW).wake_at == NOW


def test_do_not_wake_for_what_something_else_must_change():
    assert dispatch([queue("s", 3)], [source(slots=1)], NOW).wake_at is None


def test_no_work_is_no_work():
    nothing = dispatch([], [], NOW)

    assert (nothing.starts, nothing.holds, nothing.wake_at) == ((), {}, None)


# ------------------------------------------------------------------------------------------------ why one task waits

WAITING = task(Phase.WAITING, attempts=0)
EXPLAINED = {
    "NotDesired": (replace(WAITING, desired=False), queue("s", 1), [source()], Resources()),
    "Paused": (WAITING, queue("s", 1, gate=PAUSED), [source()], Resources()),
    "NoSourceFits": (WAITING, queue("s", 1), [source()], GPU),
    "SourcesDown": (WAITING, queue("s", 1), [source(up=False)], Resources()),
    "SourcesDisabled": (WAITING, queue("s", 1), [source(enabled=False)], Resources()),
    "Backoff": (replace(WAITING, not_before=NOW + 5), queue("s", 1), [source()], Resources()),
    "ParallelismReached": (WAITING, queue("s", 1, parallelism=1, active=1), [source()], Resources()),
    "SourcesBusy": (WAITING, queue("s", 1), [source(slots=1, active=1)], Resources()),
    "GpusBusy": (WAITING, queue("s", 1), [source(gpus=1, gpus_free=0)], GPU),
    "NextInLine": (replace(WAITING, not_before=NOW), queue("s", 1), [source()], Resources()),
    "Queued": (task(Phase.QUEUED), queue("s", 1), [source()], Resources()),
    "Running": (task(Phase.RUNNING), queue("s", 1), [source()], Resources()),
    "Completed": (task(Phase.SUCCEEDED), queue("s", 1), [source()], Resources()),
    "UserError": (task(Phase.FAILED, reason="UserError"), queue("s", 1), [source()], Resources()),
    "Lost": (task(Phase.LOST, reason="Lost"), queue("s", 1), [source()], Resources()),
    "PointRemoved": (task(Phase.CANCELLED, reason="PointRemoved"), queue("s", 1), [source()], Resources()),
}


@pytest.mark.parametrize(("reason", "row"), EXPLAINED.items(), ids=EXPLAINED)
def test_explain_why_a_task_is_not_running(reason, row):
    subject, sweep, sources, resources = row

    assert explain(subject, resources, sweep, sources, NOW).reason == reason


def test_a_backoff_says_how_long():
    why = explain(replace(WAITING, not_before=NOW + 5), Resources(), queue("s", 1), [source()], NOW)

    assert why.message == "it waits before its next attempt, because the last one failed: 5 s to go"


def test_an_end_says_what_it_used():
    ended = task(Phase.FAILED, reason="UserError", attempts=3, failures=2, uncounted=1)
    why = explain(ended, Resources(), queue("s"), [], NOW)

    assert why.message == "attempt 3 on laptop ended as failed after 2 counted and 1 uncounted failures"


def test_what_to_do_about_it_is_said():
    assert "placement" in explain(WAITING, GPU, queue("s", 1), [source()], NOW).hint


def test_a_cluster_takes_whatever_its_scheduler_may_know_of_and_as_much_as_may_be_there_at_once():
    queues = [queue("s", heads=heads("s", 9, Resources(gpus=8, gpu_type="h100", nodes=4)))]

    assert split(queues, [source("cluster", slots=5, scheduled=True), source("here", slots=9)]) == {"cluster": 5}


def test_gpu_tasks_that_wait_for_a_cluster_reserve_nothing_of_it():
    mixed = queue("s", heads=[*heads("s", 1, GPU), *heads("s", 2)])
    here, cluster = source("a", slots=9, gpus=1, gpus_free=0), source("b", slots=2, active=1, scheduled=True)

    assert split([mixed], [here, cluster]) == {"a": 2, "b": 1}


def test_memory_that_the_operator_limits_is_limited_on_a_cluster_too():
    large = queue("s", heads=heads("s", 1, Resources(memory_mib=2048)))

    assert starts([large], [source("c", slots=1, memory_mib=1024, scheduled=True)]) == []
