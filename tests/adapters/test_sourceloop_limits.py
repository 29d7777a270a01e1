"""What a sweep may run at once, when that is lowered or raised while its jobs wait in a scheduler's queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scheduler_lab import LIMITS, SchedulerLab

from reconciler.core.model import Phase


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[SchedulerLab]:
    lab = SchedulerLab(tmp_path)
    yield lab
    await lab.close()


async def _edited(lab: SchedulerLab, count: int, **options: str) -> None:
    await lab.accept(count, **options)
    lab.loop.kick()
    await lab.minutes(1)


async def test_what_waits_is_limited_when_fewer_may_run(lab: SchedulerLab) -> None:
    await lab.start(20)
    await lab.minutes(1)
    assert [] == lab.far.restricted

    await _edited(lab, 20, parallelism="5")

    assert ([[5]], 20) == (lab.far.restricted, len(lab.open()))


async def test_it_is_told_once_and_again_when_it_changes_or_need_not_be(lab: SchedulerLab) -> None:
    await lab.start(20)
    await lab.minutes(1)
    for parallelism in ("5", "8", "20"):
        await _edited(lab, 20, parallelism=parallelism)
        await lab.minutes(10)

    assert [[5], [8], [0]] == lab.far.restricted


async def test_a_scheduler_that_does_not_do_it_is_told_again_at_the_next_look(lab: SchedulerLab) -> None:
    lab.far.heeds_limits = False
    await lab.start(20)
    await lab.minutes(1)

    await _edited(lab, 20, parallelism="5")
    for heeds in (False, True, True, True):
        lab.far.heeds_limits = heeds
        lab.loop.kick()
        await lab.minutes(1)

    assert {(5,)} == set(map(tuple, lab.far.restricted))
    assert 3 == len(lab.far.restricted)
    assert {0: 5} == lab.far.limits


async def test_what_runs_keeps_its_place_and_what_may_not_start_is_taken_back(lab: SchedulerLab) -> None:
    lab.loop.source.dialect.limits = LIMITS.__class__(batch_max=4, inspect_max=100, settle_s=180.0, poll_s=30.0)
    eids = await lab.start(12)
    assert 3 == len(set(lab.far.arrays.values()))
    lab.far.start(eids[0], eids[4])
    await lab.minutes(1)

    await _edited(lab, 12, parallelism="5")
    await lab.minutes(2)
    await lab.dispatch()

    first, second, third = (
        [eid for eid in eids if lab.far.arrays[eid] == each] for each in sorted(set(lab.far.arrays.values()))
    )
    assert {"ParallelismReached"} == {lab.attempt(eid).reason for eid in third}
    assert 8 == len(lab.open()), "the others of the third wait here"
    assert {Phase.CANCELLED} == {lab.attempt(eid).phase for eid in third}
    assert [None, None] == [lab.attempt(eid).ended_at for eid in (first[0], second[0])]


async def test_a_sweep_without_a_limit_is_left_alone(lab: SchedulerLab) -> None:
    await lab.start(20)
    await lab.minutes(30)

    assert [] == lab.far.restricted
