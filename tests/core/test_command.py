"""What a point runs, to the byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.command import CHECKPOINT_TOKEN, OUTPUT_TOKEN, check, fixed_resources, render
from reconciler.core.model import Point, Resources, SweepName, TaskId
from reconciler.core.quantities import parse_duration_s, parse_memory_mib
from reconciler.core.spec import ArgumentStyle, Constant, ResourcesTemplate, SweepSpec, Values, When

PARAMETERS = {
    "lr": 0.001,
    "opt": "adam",
    "model.width": [64, 64],
    "on": True,
    "none": None,
    "map": {"b": 1, "a": "x y"},
}


def spec(*command, **fields):
    return SweepSpec(name=SweepName("s"), command=command or ("run",), **fields)


def work(of, parameters=PARAMETERS, replicate=0):
    return render(of, Point(TaskId("a" * 10), replicate, parameters))


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (ArgumentStyle.NONE, ()),
        (ArgumentStyle.HYDRA, ("lr=0.001", "opt=adam", "model.width=[64,64]", "on=true", "none=null")),
        (ArgumentStyle.EQUALS, ("--lr=0.001", "--opt=adam", "--model.width=[64,64]", "--on=true", "--none=null")),
        (
            ArgumentStyle.FLAGS,
            ("--lr", "0.001", "--opt", "adam", "--model.width", "[64,64]", "--on", "true", "--none", "null"),
        ),
    ],
)
def test_all_parameters_are_appended_in_declared_order(style, expected):
    parameters = {name: value for name, value in PARAMETERS.items() if name != "map"}

    assert ("run", *expected) == work(spec(arguments=style), parameters).argv


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("$(opt)", "adam"),
        ("--lr=$(lr),$(lr)", "--lr=0.001,0.001"),
        ("$(map)", '{"a":"x y","b":1}'),
        ("$(model.width)", "[64,64]"),
        ("$$(opt)", "$(opt)"),
        ("$opt $ $$ ${opt}", "$opt $ $$ ${opt}"),
        ("$(replicate)/$(cpus)", "2/3"),
        ("$(output)/log", f"{OUTPUT_TOKEN}/log"),
        ("$(checkpoint)", CHECKPOINT_TOKEN),
        ("$(name)", "adam-0.001"),
        ("$(twice)", "adam-0.001!"),
    ],
)
def test_a_name_is_replaced_by_its_value(template, expected):
    derived = {"name": "$(opt)-$(lr)", "twice": "$(name)!"}
    of = spec("run", template, derived=derived, environment={"X": template}, resources=ResourcesTemplate(cpus=3))

    found = work(of, replicate=2)

    assert ("run", expected) == found.argv
    assert {"X": expected} == found.environment


def test_setup_is_taken_as_it_is():
    assert ("echo $(opt) $$(x)",) == work(spec(setup=("echo $(opt) $$(x)",))).setup


def test_values_are_data_and_never_read_again():
    found = work(spec("run", "$(a)", arguments=ArgumentStyle.HYDRA), {"a": "$(b)", "b": "$$(a)"})

    assert ("run", "$(b)", "a=$(b)", "b=$$(a)") == found.argv


nasty = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["'", '"', "`id`", "$(id)", "$$(a)", "{}", "é", "日本", "\x01", "\u202e",
      "; rm -rf /", "-x", "--", "\n", "\\", "a b", "*", "~", "!", "%s", "%(a)s"]
)  # fmt: skip


@settings(max_examples=500)
@given(value=nasty)
def test_a_nasty_text_arrives_byte_for_byte(value):
    found = work(spec("run", "$(v)", "x$(v)y", arguments=ArgumentStyle.FLAGS), {"v": value})

    assert ("run", value, f"x{value}y", "--v", value) == found.argv


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        st.lists,
        max_leaves=4,
    )
)
def test_everything_else_arrives_as_json(value):
    (_, argument) = work(spec("run", "$(v)"), {"v": value}).argv

    assert repr(value) == repr(json.loads(argument))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", 30), ("10m", 600), ("1h", 3600), ("2d", 172800), ("1h30m", 5400), ("1d12h", 129600), ("1.5h", 5400),
        ("0.5s", 1), ("00:10:00", 600), ("02:30:15", 9015), ("100:00:00", 360000), ("1-00:00:01", 86401),
    ],
)  # fmt: skip
def test_durations(text, expected):
    assert expected == parse_duration_s(text)


@pytest.mark.parametrize(
    "text", ["", "0s", "00:00:00", "90", "10:00", "1:60:00", "5 m", "m", "1m1h", "-1s", "1e3s", "\uff11s"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"duration|no time"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4Gi", 4096), ("512Mi", 512), ("1Ki", 1), ("1.5Ti", 1572864), ("2G", 1908), ("500MB", 477), ("1 GiB", 1024),
        ("1MB", 1), ("1048577Ki", 1025),
    ],
)  # fmt: skip
def test_amounts_of_memory_round_up(text, expected):
    assert expected == parse_memory_mib(text)


@pytest.mark.parametrize("text", ["", "0Gi", "4", "4gi", "4 apples", "-1Gi", "Gi", "1e3Mi"])
def test_what_is_no_memory_is_refused(text):
    with pytest.raises(ValueError, match="memory"):
        parse_memory_mib(text)


def test_resources_may_name_parameters():
    template = ResourcesTemplate(
        cpus="$(n)", memory="$(n)Gi", gpus=1, gpu_type="$(gpu)", walltime="$(h)h", nodes=2, tasks_per_node="$(n)"
    )

    assert (
        Resources(cpus=4, memory_mib=4096, gpus=1, gpu_type="a100", walltime_s=7200, nodes=2, tasks_per_node=4)
        == work(spec(resources=template), {"n": 4, "h": 2, "gpu": "a100"}).resources
    )


def test_resources_that_name_nothing_are_the_same_for_all():
    assert Resources(cpus=2) == fixed_resources(spec(resources=ResourcesTemplate(cpus=2)))
    assert fixed_resources(spec(resources=ResourcesTemplate(cpus="$(n)"))) is None


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"command": ("x", "$(lrr)")}, "/spec/command/1"),
        ({"environment": {"A": "$(lr"}}, "/spec/environment/A"),
        ({"derived": {"a": "$(b)", "b": "1"}}, "/spec/derived/a"),
        ({"resources": ResourcesTemplate(walltime="$(output)")}, "/spec/resources/walltime"),
        ({"resources": ResourcesTemplate(tasks_per_node=0)}, "/spec/resources/tasksPerNode"),
        ({"resources": ResourcesTemplate(cpus="$(lr)")}, "/spec/resources/cpus"),
        ({"derived": {"a": "$(m)"}}, "/spec/derived/a"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_found_before_anything_runs(fields, pointer):
    when = (When(matches={"lr": (1,)}, parameters={"m": Constant(1)}),)
    of = SweepSpec(
        **{"name": SweepName("s"), "command": ("x",), "parameters": {"lr": Values((1, 0.5))}, "when": when, **fields}
    )

    assert [pointer] == [problem.pointer for problem in check(of)]


def test_a_conditional_name_is_good_where_every_point_has_it():
    entries = tuple(When(matches={"a": (value,)}, parameters={"m": Constant(value)}) for value in (1, 2))

    assert [] == check(spec("run", "$(m)", parameters={"a": Values((1, 2))}, when=entries))
