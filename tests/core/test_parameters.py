"""Parameter spaces: which points there are, and in which order."""

from __future__ import annotations

import itertools
import time

import pytest

from reconciler.core import axes, validity
from reconciler.core.model import SweepName
from reconciler.core.parameters import count, expand, notes
from reconciler.core.spec import (
    Choice,
    Constant,
    IntUniform,
    Linspace,
    Logspace,
    LogUniform,
    Normal,
    Range,
    SweepSpec,
    Uniform,
    Values,
    When,
)


def spec(**fields):
    return SweepSpec(name=SweepName("s"), command=("true",), **fields)


def points(of):
    assert validity.problems(of) == []
    return [dict(point.parameters) for point in expand(of)]


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (Range(start=1, stop=5, step=2), [1, 3]),
        (Range(start=3, stop=0, step=-1), [3, 2, 1]),
        (Range(start=0, stop=1.1, step=0.1), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (Range(start=-0.3, stop=0.1, step=0.1), [-0.3, -0.2, -0.1, 0.0]),
        (Range(start=1, stop=2, step=0.5), [1.0, 1.5]),
        (Linspace(start=0, stop=0.1, num=5), [0.0, 0.025, 0.05, 0.075, 0.1]),
        (Linspace(start=2, stop=2, num=1), [2.0]),
        (Logspace(start=1e-4, stop=1e-1, num=4), [0.0001, 0.001, 0.01, 0.1]),
        (Logspace(start=100, stop=1, num=3), [100.0, 10.0, 1.0]),
        (Values((1, 1.0, "1", None, [2])), [1, 1.0, "1", None, [2]]),
    ],
)
def test_an_axis_has_the_values_that_are_written(axis, expected):
    found = list(axes.values(axis))

    assert list(map(repr, expected)) == list(map(repr, found))
    assert len(expected) == axes.length(axis)


def test_the_last_axis_varies_fastest():
    space = spec(parameters={"a": Values((1, 2)), "c": Constant(0), "b": Values((3, 4))})

    assert [{"a": a, "c": 0, "b": b} for a in (1, 2) for b in (3, 4)] == points(space)


def test_points_name_their_parameters_in_declared_order():
    space = spec(parameters={"z": Values((1,)), "c": Constant(0), "a": Values((2,))})

    assert ["z", "c", "a"] == list(points(space)[0])


def test_a_sweep_without_parameters_is_one_task():
    assert [{}] == points(spec())


def test_a_constant_and_an_axis_of_one_value_are_the_same_task():
    (constant,), (axis,) = expand(spec(parameters={"a": Constant(32)})), expand(spec(parameters={"a": Values((32,))}))

    assert constant == axis


def test_replicates_are_innermost():
    space = spec(parameters={"a": Values((1, 2))}, replicates=2)

    assert [(1, 0), (1, 1), (2, 0), (2, 1)] == [(point.parameters["a"], point.replicate) for point in expand(space)]


def test_zipped_axes_advance_together():
    space = spec(
        parameters={"a": Values((1, 2)), "m": Values((5, 6)), "b": Values((3, 4))}, zip=(("a", "b"),)
    )  # fmt: skip

    assert [(1, 5, 3), (1, 6, 3), (2, 5, 4), (2, 6, 4)] == [(p["a"], p["m"], p["b"]) for p in points(space)]


def test_explicit_points_are_combined_with_the_axes():
    space = spec(parameters={"seed": Values((1, 2))}, points=({"a": 1, "b": 2}, {"a": 3, "b": 4}))

    assert [(1, 2, 1), (1, 2, 2), (3, 4, 1), (3, 4, 2)] == [(p["a"], p["b"], p["seed"]) for p in points(space)]


def test_explicit_points_need_not_have_the_same_names():
    space = spec(points=({"a": 1}, {"b": 2}, {"a": 3}))

    assert [{"a": 1}, {"b": 2}, {"a": 3}] == points(space)


SGD = When(matches={"opt": ("sgd",)}, parameters={"momentum": Values((0.0, 0.9)), "kind": Constant("plain")})
NESTEROV = When(matches={"momentum": (0.9,)}, parameters={"nesterov": Values((True, False))})


def test_conditional_axes_exist_only_where_the_point_matches():
    space = spec(parameters={"opt": Values(("adam", "sgd"))}, when=(SGD,))

    assert [
        {"opt": "adam"},
        {"opt": "sgd", "momentum": 0.0, "kind": "plain"},
        {"opt": "sgd", "momentum": 0.9, "kind": "plain"},
    ] == points(space)


def test_a_condition_may_depend_on_the_one_before():
    space = spec(parameters={"opt": Values(("adam", "sgd"))}, when=(SGD, NESTEROV))

    assert [None, None, True, False] == [point.get("nesterov") for point in points(space)]


def test_conditions_tell_types_apart():
    space = spec(
        parameters={"a": Values((1, 1.0, True, "1"))}, when=(When(matches={"a": (1,)}, parameters={"b": Constant(2)}),)
    )

    assert [2, None, None, None] == [point.get("b") for point in points(space)]


def test_conditions_on_constants_and_explicit_points_hold_too():
    here = When(matches={"c": (1,), "p": ("x", "y")}, parameters={"b": Values((1, 2))})
    space = spec(parameters={"c": Constant(1)}, points=({"p": "x"}, {"p": "z"}), when=(here,))

    assert [1, 2, None] == [point.get("b") for point in points(space)]
    assert 3 == count(space)


def test_exclude_comes_before_include():
    space = spec(
        parameters={"a": Values((1, 2)), "b": Values((3, 4))}, exclude=({"a": 1},), include=({"a": 1, "b": 3},)
    )

    assert [(2, 3), (2, 4), (1, 3)] == [(p["a"], p["b"]) for p in points(space)]


def test_an_excluded_value_may_be_a_list_of_values():
    space = spec(parameters={"a": Values((1, 2, 3))}, exclude=({"a": [1, 3]},))

    assert [{"a": 2}] == points(space)


def test_exclude_may_name_constants_and_conditional_axes():
    space = spec(
        parameters={"opt": Values(("adam", "sgd")), "c": Constant(1)},
        when=(SGD,),
        exclude=({"c": 2}, {"momentum": 0.9, "c": 1}),
    )

    assert [None, 0.0] == [point.get("momentum") for point in points(space)]


def test_an_included_point_takes_constants_over_or_replaces_them():
    space = spec(
        parameters={"opt": Values(("adam",)), "c": Constant(1)},
        when=(SGD,),
        include=({"opt": "sgd", "momentum": 0.5}, {"opt": "adam", "c": 2}),
    )

    assert [
        {"opt": "adam", "c": 1},
        {"opt": "sgd", "c": 1, "momentum": 0.5, "kind": "plain"},
        {"opt": "adam", "c": 2},
    ] == points(space)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (spec(parameters={"a": Values((10, 10, 20))}), 2),
        (spec(parameters={"a": Values((1, 2, 1)), "b": Values((3, 4, 3))}, zip=(("a", "b"),)), 2),
        (spec(points=({"a": 1, "b": 2}, {"c": 1}, {"b": 2, "a": 1})), 2),
        (spec(parameters={"a": Values((1,))}, include=({"a": 1}, {"a": 2}, {"a": 2})), 2),
        (spec(parameters={"a": Choice(values=("x",))}, samples=9), 1),
    ],
)
def test_equal_points_collapse_and_are_reported(space, expected):
    said = []

    found = list(expand(space, on_duplicate=said.append))

    assert expected == len({point.task for point in found}) == len(found)
    assert any("collapse into one" in sentence for sentence in said)


def test_equal_values_show_without_expanding():
    assert ["a: 1 of 3 values equal others; equal points collapse into one"] == notes(
        spec(parameters={"a": Values((10, 10, 20))})
    )


def test_a_step_too_small_to_see_gives_equal_values_that_collapse():
    tiny = spec(parameters={"a": Range(start=1.0, stop=1.000000000001, step=2e-13)})

    assert [{"a": 1.0}, {"a": 1.000000000001}][: len(points(tiny))] == points(tiny)


def draws(distribution, number=400, seed=7):
    return [axes.draw(distribution, seed, "x", index) for index in range(number)]


@pytest.mark.parametrize(
    ("distribution", "low", "high"),
    [
        (Uniform(min=0.5, max=2.0), 0.5, 2.0),
        (Uniform(min=0, max=1, step=0.25), 0, 1),
        (LogUniform(min=1e-5, max=1e-1), 1e-5, 1e-1),
        (IntUniform(min=-2, max=3), -2, 3),
        (IntUniform(min=0, max=10, step=4), 0, 8),
        (LogUniform(min=32, max=256, step=8), 32, 256),
    ],
)
def test_draws_stay_within_their_bounds_and_come_near_both(distribution, low, high):
    found = draws(distribution)

    assert low <= min(found) <= low + (high - low) / 4
    assert high - (high - low) / 4 <= max(found) <= high


def test_quantised_draws_lie_on_the_grid():
    assert {0.0, 0.25, 0.5, 0.75, 1.0} == set(draws(Uniform(min=0.0, max=1.0, step=0.25)))
    assert {1, 3} == set(draws(IntUniform(min=1, max=4, step=2)))


def test_whole_numbers_by_whole_steps_stay_whole():
    assert {int} == set(map(type, draws(LogUniform(min=32, max=256, step=8))))


def test_a_normal_distribution_has_its_mean_and_deviation():
    found = draws(Normal(mean=10.0, stddev=2.0), number=2000)
    mean = sum(found) / len(found)

    assert abs(mean - 10) < 0.2
    assert abs((sum((x - mean) ** 2 for x in found) / len(found)) ** 0.5 - 2) < 0.2


def test_a_choice_follows_its_probabilities():
    found = draws(Choice(values=("a", "b", "c"), probabilities=(0.8, 0.2, 0.0)), number=2000)

    assert abs(found.count("a") / 2000 - 0.8) < 0.05
    assert 0 == found.count("c")


def test_draws_never_change():
    assert [0.790139177402, 1.4472938265, 0.806904258452] == [
        axes.draw(distribution, 1, "lr", 3)
        for distribution in (
            Uniform(min=0.0, max=1.0),
            LogUniform(min=1e-3, max=1e1),
            Normal(mean=0.0, stddev=1.0),
        )
    ]


def test_every_grid_point_gets_the_same_draws():
    space = spec(parameters={"x": Uniform(min=0, max=1), "a": Values((1, 2))}, samples=3)
    found = points(space)

    assert [point["x"] for point in found[:3]] == [point["x"] for point in found[3:]]


def test_a_draw_may_open_a_condition():
    space = spec(
        parameters={"layer": Choice(values=("Empty", "Conv"))},
        when=(When(matches={"layer": ("Conv",)}, parameters={"k": IntUniform(min=1, max=9)}),),
        samples=40,
    )
    found = points(space)

    assert {"Empty": False, "Conv": True} == {point["layer"]: "k" in point for point in found}
    assert 1 == sum(point["layer"] == "Empty" for point in found)


def test_points_without_draws_are_not_repeated_for_each_sample():
    space = spec(
        parameters={"opt": Values(("adam", "sgd"))},
        when=(When(matches={"opt": ("sgd",)}, parameters={"m": Uniform(min=0, max=1)}),),
        samples=5,
    )

    assert 6 == len(points(space)) == count(space)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (spec(parameters={"a": Range(start=0, stop=10**9, step=1)}), 10**9),
        (spec(parameters={str(name): Range(start=0, stop=1000, step=1) for name in "abc"}), 10**9),
        (spec(parameters={"a": Uniform(min=0, max=1)}, samples=10**9), 10**9),
        (spec(parameters={n: Range(start=0, stop=10**9, step=1) for n in "ab"}, zip=(("a", "b"),)), 10**9),
        (spec(replicates=10**9), 10**9),
    ],
)
def test_counting_makes_no_points(space, expected):
    before = time.process_time()

    assert expected == count(space)
    assert time.process_time() - before < 0.05


def test_a_count_with_conditions_adds_up_the_cases():
    cases = tuple(
        When(matches={"opt": (index,)}, parameters={"lr": Range(start=0, stop=20, step=1)}) for index in range(8)
    )

    assert 160 == count(spec(parameters={"opt": Values(tuple(range(8)))}, when=cases))


def test_memory_stays_flat_as_points_stream():
    space = spec(parameters={"a": Range(start=0, stop=10**9, step=1), "b": Values((1, 2))})

    first = list(itertools.islice(expand(space), 3))

    assert [(0, 1), (0, 2), (1, 1)] == [(point.parameters["a"], point.parameters["b"]) for point in first]
