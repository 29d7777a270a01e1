"""After a power loss the store is what it was at some moment, and no moment before what had been promised.

A stretch of work with the store is recorded, each write and each sync. Then the disk is put together as it may be after
the power failed between any two of them: what was synced is there, of all else any part.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from torn_disk import FATES
from torn_store import Recording, faults, record

pytestmark = [pytest.mark.real("gcc"), pytest.mark.real("libc6-dev"), pytest.mark.timeout(600)]

STRIDE = 13  # no multiple of what a commit writes, so that each place within one is met
LONG_TIMES = 12
ENOUGH = 3  # faults to tell


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record()


def test_the_recorded_life_is_worth_its_name(recording: Recording) -> None:
    kinds = Counter(type(change).__name__ for change in recording.history.changes)

    assert len(recording.commits) > 100
    assert len(recording.promises) > 30
    assert kinds["Write"] > 1000
    assert kinds["Cut"] > 10  # the file was cut to its length by checkpoints
    assert max(map(recording.history.unsettled, range(recording.history.length))) > 50


@pytest.mark.parametrize("fate", FATES)
def test_no_power_loss_takes_back_what_was_promised(
    recording: Recording, fate: str, folder: Path, long: bool, figures: Counter[str]
) -> None:
    """Every moment for the plain loss; for the others moments from all over, each time others."""
    moments = range(recording.history.length + 1)
    seeds = range(LONG_TIMES if long else 1)
    chosen = moments if long or fate == "all there" else moments[random.Random(fate).randrange(STRIDE) :: STRIDE]

    found: dict[tuple[int, int], list[str]] = {}
    for seed in seeds:
        for count in chosen:
            figures["crash images of the store"] += 1
            if len(found) < ENOUGH and (wrong := faults(recording, count, fate, seed, folder / "image")):
                found[seed, count] = wrong

    assert {} == found
