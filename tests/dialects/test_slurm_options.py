"""Options of sbatch, as manifests and the configuration may give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.jobs import options_of
from reconciler.core.model import Json
from reconciler.dialects import slurm_options as options

GOOD: list[dict[str, Json]] = [
    {"partition": "gpu,cpu", "account": "p1", "qos": "high"},
    {"constraint": "a100&(ib|opa)", "nodelist": "n[1-3],m2", "exclude": "n7"},
    {"exclusive": True, "contiguous": False},
    {"exclusive": "user"},
    {"nice": -5, "time-min": "1-12:00:00"},
    {"gres": "shard:2,tmp:10G", "licenses": "matlab:1,ansys@srv:2"},
    {"mem-per-cpu": "4G", "mail-user": "me@example.org", "mail-type": "END,FAIL"},
]


@pytest.mark.parametrize("written", GOOD)
def test_what_sites_ask_for_is_taken(written: dict[str, Json]) -> None:
    assert [] == list(options.problems(written, ()))


BAD: list[tuple[str, Json, str, str]] = [
    ("partitoin", "gpu", "UnknownField", "did you mean `partition`?"),
    ("job-name", "x", "UnknownField", "the daemon decides this itself, so that no task is lost or started twice"),
    ("array", "0-9", "UnknownField", "the daemon decides this itself, so that no task is lost or started twice"),
    ("time", "1:00", "UnknownField", "write it under `resources`, where every source understands it: walltime"),
    (
        "signal",
        "USR1@120",
        "UnknownField",
        "only our shim would hear it: a task gets TERM when its walltime ends, or it is cancelled",
    ),
    ("clusters", "all", "UnknownField", "give each cluster a source of its own"),
    ("gres", "gpu:a100:2", "InvalidValue", "GPUs are written under `resources`"),
    ("partition", "gpu;rm", "InvalidValue", ""),
    ("partition", "gpu --uid=0", "InvalidValue", ""),
    ("partition", "-pgpu", "InvalidValue", ""),
    ("account", "{root}", "InvalidValue", ""),
    ("account", "p1\n", "InvalidValue", ""),
    ("account", True, "InvalidValue", ""),
    ("contiguous", "yes", "InvalidValue", ""),
    ("nice", "much", "InvalidValue", ""),
]


@pytest.mark.parametrize(("name", "value", "reason", "hint"), BAD)
def test_anything_else_is_told_with_its_place(name: str, value: Json, reason: str, hint: str) -> None:
    assert [(("spec", name), reason, hint)] == [
        (problem.path, problem.reason, problem.hint) for problem in options.problems({name: value}, ("spec",))
    ]


def test_flags_are_set_or_left_out_and_the_order_is_fixed() -> None:
    written: dict[str, Json] = {"nice": 5, "exclusive": True, "contiguous": False, "account": "p1"}
    assert (("account", "p1"), ("exclusive", ""), ("nice", "5")) == options_of(written)


@given(st.dictionaries(st.sampled_from(sorted(options.OPTIONS)), st.text(max_size=30), max_size=3))
def test_no_value_that_is_taken_could_be_more_than_one_word_of_a_shell(written: dict[str, str]) -> None:
    if not list(options.problems(written, ())):
        assert not set("".join(written.values())) & set(" \t\n'\"\\;<>$`{}#~?")
