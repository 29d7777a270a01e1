"""What holds for every parameter space, whatever its axes."""

from __future__ import annotations

import dataclasses
from math import prod

from hypothesis import assume, event, given
from hypothesis import strategies as st

from reconciler.core import validity
from reconciler.core.identity import canonical_json, task_id
from reconciler.core.model import SweepName
from reconciler.core.parameters import count, expand
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

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text("ab%$({", max_size=3)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("xy"), inner, max_size=2), max_leaves=3
)
names = st.sampled_from(["lr", "seed", "opt", "model.width", "model.depth", "+exp", "a/b@c"])
different = st.lists(json_values, min_size=1, max_size=4, unique_by=canonical_json).map(tuple)
axes = (
    st.builds(Values, different)
    | st.builds(Range, start=st.integers(-1, 1), stop=st.integers(2, 3), step=st.sampled_from([1, 2, 0.8]))
    | st.builds(Linspace, start=st.just(0), stop=st.floats(1, 9), num=st.integers(2, 3))
    | st.builds(Logspace, start=st.floats(1e-6, 1e-3), stop=st.floats(1, 9), num=st.integers(2, 3))
)
distributions = (
    st.just(Uniform(min=0.0, max=1.0))
    | st.just(LogUniform(min=1e-3, max=1.0))
    | st.just(IntUniform(min=0, max=10**6))
    | st.just(Normal(mean=0.0, stddev=1.0))
    | st.builds(Choice, values=different)
)
NAME = SweepName("s")
POINTS_MAX = 1_000  # larger spaces prove nothing more, and take minutes


@st.composite
def grids(draw):
    """Axes and constants, without equal values: as many points as the product says."""
    parameters = draw(st.dictionaries(names, axes | st.builds(Constant, json_values), max_size=4))
    space = SweepSpec(name=NAME, command=("x",), parameters=parameters, replicates=draw(st.integers(1, 3)))
    assume(count(space) <= POINTS_MAX)
    return space


@st.composite
def spaces(draw):
    """Anything: draws, conditions, explicit points, exclusions and inclusions."""
    grid = draw(grids())
    drawn = draw(st.dictionaries(st.sampled_from(["d1", "d2"]), distributions, max_size=2))
    parameters = {**grid.parameters, **drawn}
    points = draw(st.none() | st.lists(st.dictionaries(st.sampled_from("pq"), scalars), min_size=1, max_size=3))
    conditions = []
    for number, name in enumerate(
        draw(st.lists(st.sampled_from(sorted(parameters)), max_size=2) if parameters else st.just([]))
    ):
        each = parameters[name]
        known = each.values if isinstance(each, Values | Choice) else (0,)
        added = draw(axes | distributions | st.builds(Constant, scalars))
        conditions.append(When(matches={name: (draw(st.sampled_from(known)),)}, parameters={f"w{number}": added}))
    exclude = tuple({name: draw(scalars)} for name in sorted(parameters)[:1])
    space = dataclasses.replace(
        grid, parameters=parameters, points=None if points is None else tuple(points), when=tuple(conditions),
        exclude=exclude, samples=draw(st.integers(1, 4)), seed=draw(st.integers()),
    )  # fmt: skip
    assume(not validity.problems(space))
    assume(count(space) <= POINTS_MAX)
    return space


def ids(space):
    return [point.task for point in expand(space)]


@given(grid=grids())
def test_a_grid_has_as_many_points_as_its_axes_multiply_to(grid):
    found = ids(grid)

    assert count(grid) == len(found) == len(set(found))


@given(space=spaces())
def test_no_point_comes_twice_and_never_more_than_counted(space):
    found = ids(space)
    event(f"conditions: {len(space.when)}, points: {space.points is not None}")

    assert len(found) == len(set(found))
    assert len(found) <= count(space)


@given(space=spaces())
def test_the_fast_id_is_the_id(space):
    assert [task_id(NAME, point.parameters, point.replicate) for point in expand(space)] == ids(space)


@given(space=spaces())
def test_expanding_twice_gives_the_same(space):
    assert list(expand(space)) == list(expand(space))


@given(space=spaces())
def test_the_order_of_declaration_changes_no_id(space):
    turned = dataclasses.replace(space, parameters=dict(reversed(space.parameters.items())))

    assert sorted(ids(space)) == sorted(ids(turned))


@given(space=spaces(), more=st.integers(1, 3))
def test_raising_samples_and_replicates_keeps_every_point(space, more):
    raised = dataclasses.replace(space, samples=space.samples + more, replicates=space.replicates + more)

    assert set(ids(space)) <= set(ids(raised))


@given(space=spaces(), value=st.integers(100, 999))
def test_adding_a_value_to_an_axis_keeps_every_point(space, value):
    grown = {
        name: Values((*each.values, value)) if isinstance(each, Values) else each
        for name, each in space.parameters.items()
    }

    assert set(ids(space)) <= set(ids(dataclasses.replace(space, parameters=grown)))


@given(space=spaces())
def test_another_name_of_the_sweep_is_all_other_tasks(space):
    renamed = dataclasses.replace(space, name=SweepName("other"))

    assert not set(ids(space)) & set(ids(renamed))


@given(space=spaces())
def test_no_point_matches_an_exclusion(space):
    for point in expand(space):
        for entry in space.exclude:
            assert not all(
                name in point.parameters and canonical_json(point.parameters[name]) == canonical_json(value)
                for name, value in entry.items()
            )


@given(space=spaces())
def test_conditional_parameters_are_there_exactly_where_the_condition_holds(space):
    for point in expand(space):
        for entry in space.when:
            holds = all(
                canonical_json(point.parameters.get(name, object_that_never_matches)) in map(canonical_json, wanted)
                for name, wanted in entry.matches.items()
            )
            assert holds == all(name in point.parameters for name in entry.parameters)


object_that_never_matches = {"no": "such value"}


@given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_the_count_is_a_product(lengths):
    parameters = {f"a{place}": Values(tuple(range(length))) for place, length in enumerate(lengths)}

    assert prod(lengths) == count(SweepSpec(name=NAME, command=("x",), parameters=parameters))
