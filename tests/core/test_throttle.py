"""The shares of a sweep's arrays in what it may run at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.throttle import Load, shares

RULES = {
    "any number may run": ([(2, 50)], None, [None]),
    "all that are there may run": ([(2, 8)], 10, [None]),
    "one array has it all": ([(2, 50)], 10, [10]),
    "older arrays come first": ([(0, 6), (0, 50)], 10, [6, 4]),
    "what runs keeps its place": ([(0, 50), (8, 50)], 10, [2, 8]),
    "more run than may: no new ones start": ([(50, 50)], 10, [10]),
    "several run more than may": ([(8, 50), (8, 50)], 10, [8, 2]),
    "what only runs has a part of it": ([(4, 0), (0, 50)], 10, [None, 6]),
    "what comes after those may start nothing": ([(0, 50), (0, 50)], 10, [10, 0]),
    "nothing may run": ([(3, 50)], 0, [0]),
    "there is none": ([], 10, []),
}


@pytest.mark.parametrize(("loads", "most", "expected"), RULES.values(), ids=RULES)
def test_shares(loads: list[tuple[int, int]], most: int | None, expected: list[int | None]) -> None:
    assert expected == shares([Load(running=running, waiting=waiting) for running, waiting in loads], most)


LOADS = st.lists(st.builds(Load, running=st.integers(0, 30), waiting=st.integers(0, 30)), max_size=8)


@given(LOADS, st.integers(1, 100))
def test_no_more_start_than_may_run(loads: list[Load], most: int) -> None:
    limits = shares(loads, most)
    after = 0
    for load, limit in zip(loads, limits, strict=True):
        all_of_it = load.running + load.waiting
        after += max(load.running, all_of_it if limit is None else min(limit, all_of_it))
    assert after <= max(most, sum(load.running for load in loads))


@given(LOADS, st.integers(1, 100))
def test_nothing_that_may_run_is_kept_waiting(loads: list[Load], most: int) -> None:
    limits = shares(loads, most)
    may = sum(
        load.running + load.waiting if limit is None else min(limit, load.running + load.waiting)
        for load, limit in zip(loads, limits, strict=True)
    )
    assert may >= min(most, sum(load.running + load.waiting for load in loads))
