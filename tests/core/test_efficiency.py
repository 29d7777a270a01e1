"""What a task used of what was asked for, and what is said of a sweep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.efficiency import Efficiency, Spread, Tally, Usage, efficiency, mebibytes, span, usage
from reconciler.core.model import (
    Attempt,
    AttemptKey,
    Digest,
    Eid,
    HostIdentity,
    Phase,
    Resources,
    SourceName,
    SweepName,
    TaskId,
)

ENDED = Attempt(
    key=AttemptKey(SweepName("s"), TaskId("t"), 1),
    eid=Eid("g" * 15),
    source=SourceName("here"),
    digest=Digest("d"),
    phase=Phase.SUCCEEDED,
    home=HostIdentity(host="h", machine="m", boot="b"),
    resources=Resources(cpus=4, memory_mib=16384, walltime_s=1000),
    intended_at=0.0,
    started_at=1000.0,
    ended_at=1100.0,
    cpu_s=100.0,
    max_rss_mib=1228.8,
)


def asking(attempt: Attempt = ENDED, **resources: object) -> Attempt:
    return replace(attempt, resources=replace(attempt.resources, **resources))


def hints(*attempts: Attempt) -> tuple[str, ...]:
    tally = Tally()
    for attempt in attempts:
        tally.add(attempt)
    return tally.summary().hints


def test_shares_are_of_all_processors_all_memory_and_all_time_that_was_asked_for() -> None:
    assert Efficiency(elapsed_s=100.0, cpu=0.25, memory=0.075, walltime=0.1) == efficiency(ENDED)


def test_each_task_of_a_node_asks_for_its_own_processors() -> None:
    found = efficiency(asking(tasks_per_node=2))
    assert found is not None
    assert 0.125 == found.cpu


def test_of_several_nodes_the_processors_are_not_told_for_only_those_of_the_first_are_known() -> None:
    found = efficiency(asking(nodes=2))
    assert found is not None
    assert (None, 0.075) == (found.cpu, found.memory)


def test_what_was_not_asked_for_has_no_share() -> None:
    assert Efficiency(elapsed_s=100.0, cpu=0.25) == efficiency(asking(memory_mib=None, walltime_s=None))


@pytest.mark.parametrize(
    "unmeasured",
    [replace(ENDED, ended_at=None), replace(ENDED, started_at=None), replace(ENDED, cpu_s=None)],
    ids=["runs", "never began", "lost"],
)
def test_of_what_has_not_run_to_a_measured_end_nothing_is_told(unmeasured: Attempt) -> None:
    assert efficiency(unmeasured) is None
    tally = Tally()
    tally.add(unmeasured)
    assert (0, None, None) == (tally.tasks, tally.summary().cpu, tally.summary().memory)


def test_an_attempt_that_took_no_time_has_no_share_of_processors() -> None:
    found = efficiency(replace(ENDED, ended_at=ENDED.started_at))
    assert found is not None
    assert found.cpu is None


def test_a_clock_that_was_set_back_while_it_ran_makes_no_negative_share() -> None:
    found = efficiency(replace(ENDED, ended_at=900.0))
    assert found is not None
    assert (0.0, None, 0.0) == (found.elapsed_s, found.cpu, found.walltime)


def test_a_sweep_is_told_by_median_and_largest_and_long_tasks_count_more_for_its_processors() -> None:
    tally = Tally()
    for attempt in (
        ENDED,
        replace(ENDED, ended_at=1010.0, cpu_s=40.0, max_rss_mib=8192.0),
        replace(ENDED, cpu_s=200.0, max_rss_mib=1638.4),
    ):
        tally.add(attempt)
    summary = tally.summary()
    assert (3, Spread(median=0.5, largest=1.0)) == (summary.tasks, summary.cpus)
    assert Spread(median=0.1, largest=0.5) == summary.memory
    assert Spread(median=0.1, largest=0.1) == summary.walltime
    assert summary.cpu == pytest.approx(340 / 840)


def test_a_hint_names_what_was_asked_for_what_was_used_and_what_would_do() -> None:
    assert hints(ENDED) == (
        "`cpus`: 4 asked for, 1.0 used on average; 1 would do",
        "`memory`: 16 GiB asked for, the largest process used 1.2 GiB; 1.5 GiB would do",
        "`walltime`: 17 min asked for, the longest task took 100 s; a shorter one starts sooner in a queue",
    )


def test_the_largest_task_decides_about_memory_and_not_the_median() -> None:
    assert not [hint for hint in hints(ENDED, ENDED, replace(ENDED, max_rss_mib=9000.0)) if "memory" in hint]


def test_what_is_nearly_full_should_be_larger() -> None:
    full = replace(ENDED, cpu_s=390.0, max_rss_mib=16000.0, ended_at=1950.0)
    assert (
        "`memory`: 16 GiB asked for, and 98% of it used by one process: give it more",
        "`walltime`: the longest task took 95% of it: give it more",
    ) == hints(replace(full, cpu_s=3000.0))


def test_tasks_that_asked_for_different_things_are_told_in_shares_alone() -> None:
    assert ("`memory`: no process used more than 30% of what was asked for",) == hints(
        ENDED, asking(memory_mib=4096, cpus=1, walltime_s=None)
    )


def test_a_task_that_sleeps_is_told_so_and_one_that_takes_more_than_its_own_as_well() -> None:
    alone = asking(cpus=1, memory_mib=None, walltime_s=None)
    assert (
        "`cpus`: the task computes 10% of its time; it waits for something else (files, network) or sleeps",
    ) == hints(replace(alone, cpu_s=10.0))
    assert ("`cpus`: 1 asked for, 3.9 used on average: others may wait for them",) == hints(replace(alone, cpu_s=390.0))


def test_small_requests_and_short_tasks_are_not_worth_a_hint() -> None:
    assert () == hints(replace(asking(memory_mib=256, walltime_s=300), ended_at=1010.0, cpu_s=1.0, max_rss_mib=4.0))


@pytest.mark.parametrize(("seconds", "text"), [(3.4, "3 s"), (1200, "20 min"), (7200, "2 h"), (172800, "48 h")])
def test_a_time_is_told_in_one_unit(seconds: float, text: str) -> None:
    assert text == span(seconds)


@pytest.mark.parametrize(("mib", "text"), [(640.0, "640 MiB"), (1228.8, "1.2 GiB"), (16384, "16 GiB")])
def test_memory_is_told_in_the_unit_that_people_write(mib: float, text: str) -> None:
    assert text == mebibytes(mib)


def test_usage_adds_up_in_time_and_keeps_the_most_of_what_is_not_used_up() -> None:
    one, several = usage(ENDED), usage(asking(nodes=2, memory_mib=4096))
    assert one is not None
    assert several is not None
    assert one + several == Usage(
        elapsed_s=200.0, cpu_s=100.0, reserved_cpu_s=400.0, largest_mib=1228.8, memory=0.3, walltime=0.1
    )
    assert usage(replace(ENDED, cpu_s=None)) is None


def test_nobody_is_told_to_ask_for_next_to_nothing() -> None:
    assert "64 MiB would do" in hints(replace(ENDED, max_rss_mib=3.0))[1]
