"""After a power loss on the source every attempt comes to a right end, whatever of its files is still there.

Nothing but the owner and the epochs is synced on a source without a scheduler: another boot is the evidence of an end.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
import torn_source
import torn_visit
from torn_disk import FATES
from torn_source import Recording, record

pytestmark = [pytest.mark.real("gcc"), pytest.mark.real("libc6-dev"), pytest.mark.timeout(600)]

LONG_TIMES = 20
VISITS = 4  # of each fate; a session takes a while
LONG_VISITS = 60
ENOUGH = 3  # faults to tell


@pytest.fixture(scope="module")
def recording(folder: Path) -> Recording:
    """The agent's paths are those of the recording, so its images lie where it was made."""
    return record(folder)


def test_the_recorded_life_is_worth_its_name(recording: Recording) -> None:
    ends = Counter(record["exit_code"] for _, record in recording.records.values())

    assert {0: 2, 3: 1, None: 4} == ends
    assert 2 == len(recording.revoked)
    assert [1, 2] == [epoch for _, epoch in recording.epochs]
    assert {"succeeds", "fails", "killed", "forgotten", "slow", "slower"} == set(recording.log)


@pytest.mark.parametrize("fate", FATES)
def test_each_attempt_ends_as_it_did_or_is_lost_or_was_given_up(
    recording: Recording, fate: str, folder: Path, long: bool, figures: Counter[str]
) -> None:
    found: dict[tuple[int, int], list[str]] = {}
    for seed in range(LONG_TIMES if long else 1):
        for count in range(recording.history.length + 1):
            figures["crash images of a source"] += 1
            wrong = torn_source.faults(recording, count, fate, seed, folder / "disk")
            if wrong and len(found) < ENOUGH:
                found[seed, count] = wrong

    assert {} == found


@pytest.mark.parametrize("fate", FATES)
async def test_a_session_takes_over_what_is_left_starts_nothing_of_it_and_works(
    recording: Recording, fate: str, folder: Path, long: bool, figures: Counter[str]
) -> None:
    found = {}
    moments = random.Random(fate).sample(range(recording.history.length + 1), LONG_VISITS if long else VISITS)
    for count in moments:
        figures["crash images of a source, visited by an agent"] += 1
        if wrong := await torn_visit.faults(recording, count, fate, 0, folder):
            found[count] = wrong

    assert {} == found
