"""A power loss for a whole world at one moment: daemon, store, agent, shims. What is left is a start like any other.

After it another boot runs. Everything is done in the end; no attempt that had started starts again, and no task whose
success was recorded runs again, by the tasks' own log.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from torn_disk import FATES
from torn_trials import Laboratory
from torn_world import Recording, World

pytestmark = [pytest.mark.real("gcc"), pytest.mark.real("libc6-dev"), pytest.mark.timeout(600)]

MOMENTS = 3  # of each fate
LONG_MOMENTS = 50


@pytest.fixture(scope="module")
def world(folder: Path) -> Iterator[World]:
    laboratory = Laboratory(folder, 1)
    with laboratory.nursery() as nursery:
        yield World(laboratory, nursery, folder / "world")
    laboratory.close()


@pytest.fixture(scope="module")
def recording(world: World) -> Recording:
    return world.record()


def test_the_recorded_world_has_started_each_task_once(recording: Recording) -> None:
    assert 2 == len({run for _, run in recording.starts}) == len(recording.starts)
    assert recording.acknowledged


@pytest.mark.parametrize("fate", FATES)
def test_after_a_power_loss_all_is_done_and_nothing_runs_twice(
    world: World, recording: Recording, fate: str, long: bool, figures: Counter[str]
) -> None:
    found = {}
    wanted, length = LONG_MOMENTS if long else MOMENTS, recording.history.length
    first = random.Random(fate).random()
    for number in range(wanted):
        count = int((number + first) * length / wanted)
        figures["crash images of whole worlds"] += 1
        if wrong := world.faults(recording, count, fate, 0):
            found[count] = wrong

    assert {} == found
