"""A call that fails, at each place of one cycle: the cause is told or overcome, nothing runs twice, nothing is lost.

First one cycle is run in peace, and its calls are counted: those of the daemon, and those of the agent with its shims.
Then as many daemons live as there are faults to try, each with one of those calls failing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from torn_trials import AGENT, DAEMON, ERRORS, OF_SERVERS, Fault, Laboratory, Outcome

pytestmark = [pytest.mark.real("gcc"), pytest.mark.real("libc6-dev"), pytest.mark.timeout(900)]

AT_ONCE = 2
FAULTS = 60  # for each role
LASTING = 6
OF_A_SERVER = 24  # of each kind
NAMING = "CMFLRUD"  # calls that make or take a name
ENOUGH = 5  # to tell
NAMES = {DAEMON: "daemon", AGENT: "agent and shims"}
MARGIN = 4  # a cycle has a few calls more or less


@pytest.fixture(scope="module")
def laboratory(folder: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(folder, AT_ONCE)
    yield laboratory
    laboratory.close()


@pytest.fixture(scope="module")
def peace(laboratory: Laboratory) -> Outcome:
    """A cycle in which no call fails."""
    return laboratory.outcome(None)


def test_a_cycle_in_peace_makes_calls_of_each_kind(peace: Outcome) -> None:
    assert ([], [0]) == (peace.wrong, peace.codes), peace.said
    assert set("CWSTMU") <= set(peace.stories[DAEMON])
    assert set("CWSLRMU") <= set(peace.stories[AGENT])
    assert peace.counts[DAEMON] > 100
    assert peace.counts[AGENT] > 50


def spread(calls: int, count: int) -> list[int]:
    """So many calls, from the first to the last."""
    return sorted({1 + number * (calls - 1) // (count - 1) for number in range(count)})


@pytest.mark.parametrize("role", [DAEMON, AGENT], ids=["daemon", "agent"])
def test_one_failed_call_loses_nothing_and_runs_nothing_twice(
    laboratory: Laboratory, peace: Outcome, role: int, long: bool, figures: Counter[str]
) -> None:
    calls = peace.counts[role]
    errors = list(ERRORS)
    if long:
        faults = [Fault(role, call, error) for call in range(1, calls + MARGIN) for error in errors]
    else:
        faults = [Fault(role, call, errors[call % len(errors)]) for call in spread(calls, FAULTS)]

    assert [] == tried(laboratory, faults, figures, f"failed calls of the {NAMES[role]}")


@pytest.mark.parametrize("role", [DAEMON, AGENT], ids=["daemon", "agent"])
def test_what_fails_for_a_while_loses_nothing_and_runs_nothing_twice(
    laboratory: Laboratory, peace: Outcome, role: int, long: bool, figures: Counter[str]
) -> None:
    calls = peace.counts[role]
    chosen = range(1, calls + 1, 2) if long else spread(calls, LASTING)
    faults = [Fault(role, call, ("ENOSPC", "EIO")[number % 2], lasting=True) for number, call in enumerate(chosen)]

    assert [] == tried(laboratory, faults, figures, f"times in which all calls of the {NAMES[role]} failed")


@pytest.mark.parametrize("error", list(OF_SERVERS))
def test_what_a_file_server_adds_to_that_loses_nothing_and_runs_nothing_twice(
    laboratory: Laboratory, peace: Outcome, long: bool, figures: Counter[str], error: str
) -> None:
    """An answer that is lost is asked for again, and a handle goes stale: the root may lie on a file server."""
    calls = [1 + place for place, kind in enumerate(peace.stories[AGENT]) if error != "ECHO" or kind in NAMING]
    chosen = calls if long else [calls[number - 1] for number in spread(len(calls), OF_A_SERVER)]

    assert [] == tried(laboratory, [Fault(AGENT, call, error) for call in chosen], figures, f"{error} of a file server")


def test_a_root_that_knows_no_locks_is_told_and_runs_nothing_twice(
    laboratory: Laboratory, peace: Outcome, figures: Counter[str]
) -> None:
    calls = [1 + place for place, kind in enumerate(peace.stories[AGENT]) if kind == "K"]

    assert calls
    assert [] == tried(laboratory, [Fault(AGENT, call, "EIO") for call in calls], figures, "locks that are not known")


def tried(laboratory: Laboratory, faults: list[Fault], figures: Counter[str], name: str) -> list[str]:
    """What went wrong, a sentence each."""
    found = []
    for outcome in laboratory.outcomes(faults):
        figures[name] += bool(outcome.hit)
        if outcome.wrong:
            found.append(f"{outcome.fault} ({outcome.hit}): {outcome.codes} {outcome.wrong}\n{outcome.said[-1500:]}")
    return found[:ENOUGH]
