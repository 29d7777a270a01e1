"""Crash points: each has its own name, and each durable step has one beside it.

Somebody is killed at each of them, since tests/e2e/test_crash_points.py reads the same list.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "fakes"))  # `from crash_points import points`

import crash_points
import pytest

NAME = re.compile(r"[a-z]+(\.[a-z]+){1,2}")  # part.step, or store.transaction.step
DURABLE = frozenset({"rename", "link", "win"})
STORE_STEPS = {"begun", "written", "committed"}


@pytest.fixture(scope="module")
def points(repository):
    """All of the source."""
    return crash_points.points((file.name, file.tree) for file in repository.under("reconciler"))


def test_each_name_is_a_part_and_a_step(points):
    offences = [f"{point.place}: {point.name}" for point in points if not NAME.fullmatch(point.name)]
    assert not offences, "\n".join(offences)


def test_each_name_stands_in_one_place(points):
    times = Counter(point.name for point in points)

    offences = [f"{point.place}: {point.name}" for point in points if times[point.name] > 1]
    assert not offences, "\n".join(offences)


def test_each_transaction_and_each_claim_says_which_it_is(repository):
    offences = [
        f"{file.name}:{line}" for file in repository.under("reconciler") for line in crash_points.unlabelled(file.tree)
    ]
    assert not offences, "\n".join(offences)


def test_each_transaction_has_a_point_before_between_and_after(points):
    steps = {}
    for point in points:
        part, _, rest = point.name.partition(".")
        if part == "store" and "." in rest:
            steps.setdefault(rest.partition(".")[0], set()).add(rest.partition(".")[2])

    offences = [label for label, found in steps.items() if found != STORE_STEPS]
    assert not offences, "\n".join(offences)


def test_each_durable_step_of_the_agent_has_a_point_beside_it(repository):
    offences = [
        f"{file.name}:{step}"
        for file in repository.under("reconciler/agent")
        for step in crash_points.without_point(file.tree, DURABLE)
    ]
    assert not offences, "\n".join(offences)


def test_what_only_schedulers_pass_is_there(points):
    names = [point.name for point in points]

    offences = [each for each in crash_points.SCHEDULERS_OWN if not any(name.startswith(each) for name in names)]
    assert not offences, "\n".join(offences)
