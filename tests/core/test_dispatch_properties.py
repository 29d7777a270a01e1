"""What holds in every world: limits, blindness, fairness, priority, one reason for each task that waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from core_makers import NOW, queue, source
from core_worlds import capacities, example_of, queues
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.dispatch import dispatch
from reconciler.core.fit import allowed, misfit
from reconciler.core.model import Resources
from reconciler.core.spec import Strategy

WORLDS = st.tuples(queues(), capacities())
CPU_WORLDS = st.tuples(queues(shapes=st.just(Resources())), capacities())


def by_name(values, attribute):
    return {getattr(value, attribute): value for value in values}


def resources_of(sweeps):
    return {head.key: head.resources for sweep in sweeps for head in sweep.heads}


def after(sweeps, sources, decided):
    """The world in which the starts have been carried out."""
    started = {start.key for start in decided.starts}
    there = Counter(start.source for start in decided.starts)
    gpus = Counter()
    for start in decided.starts:
        gpus[start.source] += start.gpus
    sources = [
        replace(each, active=each.active + there[each.name], gpus_free=each.gpus_free - gpus[each.name])
        for each in sources
    ]
    return [_started(sweep, started, decided) for sweep in sweeps], sources


def _started(sweep, started, decided):
    here = [start for start in decided.starts if start.key.sweep == sweep.sweep]
    per_source = Counter(sweep.per_source) + Counter(start.source for start in here)
    return replace(
        sweep,
        heads=[head for head in sweep.heads if head.key not in started],
        waiting=sweep.waiting - len(here),
        active=sweep.active + len(here),
        per_source=dict(per_source),
    )


# ------------------------------------------------------------------------------------------------ limits


@given(WORLDS)
def test_no_task_starts_twice_and_none_that_was_not_waiting(world):
    keys = [start.key for start in dispatch(*world, NOW).starts]

    assert len(keys) == len(set(keys))
    assert set(keys) <= resources_of(world[0]).keys()


@given(WORLDS)
def test_parallelism_is_never_exceeded(world):
    decided = dispatch(*world, NOW)
    sweeps, _ = after(*world, decided)
    started = {start.key.sweep for start in decided.starts}

    assert all(sweep.active <= sweep.parallelism for sweep in sweeps if sweep.parallelism and sweep.sweep in started)
    assert not any(sweep.parallelism == 0 and sweep.sweep in started for sweep in sweeps)


@given(WORLDS)
def test_slots_prefetch_and_gpus_are_never_exceeded(world):
    _, sources = after(*world, dispatch(*world, NOW))

    assert all(each.active <= each.slots + each.prefetch for each in sources)
    assert all(each.gpus_free >= 0 for each in sources)


@given(WORLDS)
def test_a_gpu_task_never_starts_beyond_the_slots(world):
    active = {each.name: each.active for each in world[1]}
    slots = {each.name: each.slots for each in world[1]}
    for start in dispatch(*world, NOW).starts:
        assert not start.gpus or active[start.source] < slots[start.source]
        active[start.source] += 1


@given(WORLDS)
def test_each_start_fits_its_source_and_its_placement(world):
    sweeps, sources = world
    wanted, place, sweep = resources_of(sweeps), by_name(sources, "name"), by_name(sweeps, "sweep")
    for start in dispatch(sweeps, sources, NOW).starts:
        assert misfit(place[start.source], wanted[start.key]) == ""
        assert allowed(sweep[start.key.sweep].placement, [place[start.source]])
        assert start.gpus == wanted[start.key].gpus


@given(WORLDS)
def test_a_source_that_is_down_or_disabled_gets_nothing(world):
    in_use = {each.name for each in world[1] if each.up and each.enabled}

    assert {start.source for start in dispatch(*world, NOW).starts} <= in_use


@given(WORLDS)
def test_a_gate_lets_nothing_through(world):
    closed = {sweep.sweep for sweep in world[0] if sweep.gate}

    assert not closed & {start.key.sweep for start in dispatch(*world, NOW).starts}


# ------------------------------------------------------------------------------------------------ order


@given(WORLDS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_is_nothing(world, random):
    sweeps, sources = (random.sample(part, len(part)) for part in world)

    assert dispatch(sweeps, sources, NOW) == dispatch(*world, NOW)


@given(CPU_WORLDS)
def test_nothing_more_starts_until_something_changes(world):
    decided = dispatch(*world, NOW)

    assert dispatch(*after(*world, decided), NOW).starts == ()


@given(WORLDS)
def test_dispatch_comes_to_rest(world):
    for _ in range(len(resources_of(world[0])) + 1):
        decided = dispatch(*world, NOW)
        if not decided.starts:
            return
        world = after(*world, decided)
    assert decided.starts == ()


@given(WORLDS)
def test_equal_tasks_of_a_sweep_start_in_declared_order(world):
    started = {start.key for start in dispatch(*world, NOW).starts}
    for sweep in world[0]:
        for shape in {head.resources for head in sweep.heads}:
            same = [head.key in started for head in sweep.heads if head.resources == shape]
            assert same == sorted(same, reverse=True)


SWEEPS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5), st.integers(0, 1)), min_size=2, max_size=5)


@given(SWEEPS, st.integers(0, 20))
def test_no_sweep_gets_more_than_one_ahead_of_another_that_waits(rows, slots):
    sweeps = [queue(f"s{i}", heads, active=active) for i, (heads, active, _) in enumerate(rows)]
    decided = dispatch(sweeps, [source(slots=slots)], NOW)
    later, _ = after(sweeps, [source(slots=slots)], decided)

    got = {start.key.sweep for start in decided.starts}
    most = max((sweep.active for sweep in later if sweep.sweep in got), default=0)
    assert all(most <= sweep.active + 1 for sweep in later if sweep.heads)


@given(SWEEPS, st.integers(0, 20))
def test_a_lower_priority_starts_only_what_the_higher_ones_leave(rows, slots):
    sweeps = [queue(f"s{i}", heads, active=active, priority=each) for i, (heads, active, each) in enumerate(rows)]
    decided = dispatch(sweeps, [source(slots=slots)], NOW)
    later, _ = after(sweeps, [source(slots=slots)], decided)

    priority = {sweep.sweep: sweep.priority for sweep in sweeps}
    if any(priority[start.key.sweep] == 0 for start in decided.starts):
        assert not any(sweep.heads for sweep in later if sweep.priority == 1)


@given(st.integers(1, 30), st.integers(1, 4))
def test_round_robin_splits_evenly(tasks, sources):
    sweep = queue("s", tasks, strategy=Strategy.ROUND_ROBIN)
    places = [source(f"a{i}", slots=99) for i in range(sources)]
    given_to = Counter(start.source for start in dispatch([sweep], places, NOW).starts)

    assert max(given_to.values()) - min(given_to.get(each.name, 0) for each in places) <= 1


def test_a_large_gpu_task_gets_its_turn_among_small_ones():
    small = queue("a-small", 99, resources=Resources(gpus=1), active=2)
    large = queue("b-large", 1, resources=Resources(gpus=2))
    free, running = 0, 2
    for _ in range(4):  # one small task ends before each pass
        free, running = free + 1, running - 1
        decided = dispatch([replace(small, active=running), large], [source(slots=9, gpus=2, gpus_free=free)], NOW)
        if any(start.key.sweep == "b-large" for start in decided.starts):
            return
        free, running = free - len(decided.starts), running + len(decided.starts)
    pytest.fail("it never started")


# ------------------------------------------------------------------------------------------------ one reason for each


@given(WORLDS)
def test_each_waiting_task_starts_or_is_held_once(world):
    decided = dispatch(*world, NOW)
    started = Counter(start.key.sweep for start in decided.starts)
    for sweep in world[0]:
        held = sum(hold.tasks for hold in decided.holds.get(sweep.sweep, ()))
        assert started[sweep.sweep] + held == sweep.waiting


def held(world, reason):
    """The sweeps held for a reason, as they are after the starts, with the hold and the sources of their placement."""
    decided = dispatch(*world, NOW)
    sweeps, sources = after(*world, decided)
    for sweep in sweeps:
        for hold in decided.holds.get(sweep.sweep, ()):
            if hold.reason == reason:
                yield sweep, hold, allowed(sweep.placement, sources)


def fitting(places, head):
    return [place for place in places if not misfit(place, head.resources)]


@given(WORLDS)
def test_paused_means_that_its_gate_is_closed(world):
    for sweep, hold, _ in held(world, "Paused"):
        assert (sweep.gate.reason, hold.tasks) == ("Paused", sweep.waiting)


@given(WORLDS)
def test_backoff_holds_those_in_backoff_until_the_first_of_them_may_start(world):
    for sweep, hold, _ in held(world, "Backoff"):
        assert (hold.tasks, hold.until) == (sweep.delayed, sweep.next_wake)


@given(WORLDS)
def test_no_source_fits_means_that_none_could_ever_take_it(world):
    for sweep, hold, places in held(world, "NoSourceFits"):
        assert hold.tasks <= sum(not fitting(places, head) for head in sweep.heads)


@given(WORLDS)
def test_sources_disabled_means_that_all_that_fit_are_disabled(world):
    for sweep, _, places in held(world, "SourcesDisabled"):
        assert any(fits and not any(each.enabled for each in fits) for fits in _fits(sweep, places))


@given(WORLDS)
def test_sources_down_means_that_none_that_fits_is_up(world):
    for sweep, _, places in held(world, "SourcesDown"):
        assert any(
            any(each.enabled for each in fits) and not any(each.in_use for each in fits)
            for fits in _fits(sweep, places)
        )


def _fits(sweep, places):
    return [fitting(places, head) for head in sweep.heads]


@given(WORLDS)
def test_parallelism_reached_means_that_it_is(world):
    for sweep, _, _ in held(world, "ParallelismReached"):
        assert sweep.active >= sweep.parallelism


@given(WORLDS)
def test_sources_busy_means_that_every_slot_that_fits_is_taken(world):
    for sweep, _, places in held(world, "SourcesBusy"):
        cpu = [fits for head, fits in zip(sweep.heads, _fits(sweep, places), strict=True) if not head.resources.gpus]
        assert any(all(each.active >= each.slots for each in fits if each.in_use) for fits in cpu)


@given(st.tuples(queues(shapes=st.just(Resources(gpus=2))), capacities()))
def test_gpus_busy_means_that_they_or_the_slots_are_taken(world):
    for _, _, places in held(world, "GpusBusy"):
        in_use = [each for each in places if each.in_use and each.gpus >= 2]
        assert all(each.active >= each.slots or each.gpus_free < 2 or _waited_for(world) for each in in_use)


def _waited_for(world):
    """Another sweep waits for GPUs, too: they may be kept for that one."""
    return len(list(held(world, "GpusBusy"))) > 1


@given(WORLDS)
def test_next_in_line_means_that_they_were_beyond_the_window(world):
    for sweep, hold, _ in held(world, "NextInLine"):
        assert hold.tasks == sweep.waiting - sweep.delayed - len(sweep.heads)


@given(WORLDS)
def test_wake_at_the_earliest_instant_that_any_hold_names(world):
    decided = dispatch(*world, NOW)
    untils = [hold.until for held in decided.holds.values() for hold in held if hold.until is not None]

    assert decided.wake_at == min(untils, default=None)


REASONS = [
    "Paused", "Backoff", "NoSourceFits", "SourcesDisabled", "SourcesDown", "ParallelismReached", "SourcesBusy",
    "GpusBusy", "NextInLine",
]  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_the_generators_reach_each_reason(reason):
    assert example_of(WORLDS, lambda world: any(held(world, reason)))


def test_the_generators_reach_starts_of_each_kind():
    def both(world):
        starts = dispatch(*world, NOW).starts
        return {start.gpus > 0 for start in starts} == {True, False}

    assert example_of(WORLDS, both)
