"""Ids are hashes of what they name: the same on every machine, for ever."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from base64 import b32encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import identity
from reconciler.core.model import Commit, Eid, InstanceId, SweepName, TaskId, TaskKey
from reconciler.core.spec import ArgumentStyle, Constant, SweepSpec, SweepState, Values

NAME = SweepName("mnist-lr")
SPEC = SweepSpec(name=NAME, command=("python", "train.py"), parameters={"a": Values((1, 2)), "b": Constant(3)})
COMMIT = Commit("a" * 40)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


def test_a_task_id_never_changes():
    assert identity.task_id(NAME, {"lr": 0.1, "seed": 1}, 0) == "475cjcqnmk"


def test_an_attempt_is_named_after_instance_task_and_number():
    key = TaskKey(NAME, TaskId("475cjcqnmk"))

    assert identity.eid(InstanceId("abcd"), key, 1) == "gabcdiceblybn2p"
    assert identity.eid(InstanceId("abcd"), key, 2) != identity.eid(InstanceId("abcd"), key, 1)


def test_an_attempt_s_name_fits_the_oldest_job_name():
    name = identity.eid(InstanceId("abcd"), TaskKey(NAME, TaskId("475cjcqnmk")), 12)

    assert re.fullmatch(r"g[a-z2-7]{14}", name)


def test_a_batch_is_named_after_its_attempts_in_any_order():
    one, other = Eid("gabcdaaaaaaaaaa"), Eid("gabcdbbbbbbbbbb")

    assert identity.batch_eid(InstanceId("abcd"), [one, other]) == identity.batch_eid(InstanceId("abcd"), [other, one])
    assert identity.batch_eid(InstanceId("abcd"), [one]).startswith("babcd")


@given(parameters=st.dictionaries(st.text(), values, max_size=5), seed=st.randoms())
def test_the_order_of_parameters_does_not_matter(parameters, seed):
    shuffled = list(parameters.items())
    seed.shuffle(shuffled)

    assert identity.task_id(NAME, parameters, 0) == identity.task_id(NAME, dict(shuffled), 0)


@pytest.mark.parametrize("other", [1.0, "1", True, [1], None])
def test_values_of_another_type_are_other_tasks(other):
    assert identity.task_id(NAME, {"a": 1}, 0) != identity.task_id(NAME, {"a": other}, 0)


def test_replicates_and_sweeps_are_other_tasks():
    ids = {identity.task_id(SweepName(name), {"a": 1}, replicate) for name in ("a", "b") for replicate in (0, 1)}

    assert len(ids) == 4


@given(text=st.text())
def test_a_short_hash_is_the_head_of_base32_of_sha256(text):
    expected = b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:10]

    assert expected == identity.short_hash(text)


@given(value=values)
def test_canonical_json_gives_the_value_back(value):
    assert json.loads(identity.canonical_json(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_is_no_number_is_no_json(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        identity.canonical_json(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.1 + 0.2, 0.3), (1 / 3, 0.333333333333), (-0.0, 0.0),
        (1e-300 / 3, 3.33333333333e-301), (123456789012345.0, 123456789012000.0)],
)  # fmt: skip
def test_computed_floats_keep_twelve_digits(value, expected):
    assert repr(expected) == repr(identity.round_float(value))


@pytest.mark.parametrize(
    "change",
    [
        {"command": ("python", "other.py")},
        {"arguments": ArgumentStyle.HYDRA},
        {"environment": {"A": "1"}},
        {"setup": ("true",)},
        {"derived": {"x": "1"}},
        {"project": "mnist"},
    ],
)
def test_what_defines_the_work_changes_its_digest(change):
    changed = dataclasses.replace(SPEC, **change)

    assert identity.work_digest(changed, COMMIT) != identity.work_digest(SPEC, COMMIT)


@pytest.mark.parametrize(
    "change", [{"parallelism": 3}, {"state": SweepState.PAUSED}, {"parameters": {}}, {"priority": 2}]
)
def test_policies_and_points_leave_the_digest_of_the_work(change):
    changed = dataclasses.replace(SPEC, **change)

    assert identity.work_digest(changed, COMMIT) == identity.work_digest(SPEC, COMMIT)
    assert identity.spec_digest(changed) != identity.spec_digest(SPEC)


def test_another_commit_is_other_work():
    assert identity.work_digest(SPEC, COMMIT) != identity.work_digest(SPEC, None)


def test_the_order_of_axes_is_part_of_the_spec():
    turned = dataclasses.replace(SPEC, parameters=dict(reversed(SPEC.parameters.items())))

    assert identity.spec_digest(turned) != identity.spec_digest(SPEC)


@pytest.mark.parametrize(
    ("change", "pinned_anew"),
    [({"revision": "v2"}, True), ({"setup": ("x",)}, True), ({"derived": {"a": "b"}}, False), ({"seed": 4}, False)],
)
def test_the_commit_is_pinned_anew_only_when_the_work_is_described_anew(change, pinned_anew):
    changed = dataclasses.replace(SPEC, **change)

    assert pinned_anew == (identity.pin_key(changed) != identity.pin_key(SPEC))
