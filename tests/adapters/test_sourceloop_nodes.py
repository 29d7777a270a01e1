"""A scheduler that has given a node up, and hears it again: when what ended there is believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from scheduler_lab import SchedulerLab

from reconciler.core.jobs import Account, Verdict
from reconciler.core.model import Phase

GIVEN_UP_MIN = 5.0  # two listings, the settle time, and the pauses between polls


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[SchedulerLab]:
    lab = SchedulerLab(tmp_path)
    yield lab
    await lab.close()


async def test_a_node_that_comes_back_has_time_to_end_what_went_on_there_before_that_counts_as_ended(
    lab: SchedulerLab,
) -> None:
    (eid,) = await lab.start(1)
    lab.far.start(eid)
    lab.far.jobs.clear()
    silent = Account(job="7", restarts=0, verdict=Verdict.NODE_FAILURE, ended_at=7.0, raw="NODE_FAIL", ceased=False)
    lab.far.accounts[eid] = silent
    await lab.minutes(60)
    lab.far.accounts[eid] = replace(silent, ceased=True)
    await lab.minutes(2)
    assert Phase.RUNNING is lab.attempt(eid).phase

    await lab.minutes(GIVEN_UP_MIN)

    assert (Phase.FAILED, "NodeFailure") == (lab.attempt(eid).phase, lab.attempt(eid).reason)
