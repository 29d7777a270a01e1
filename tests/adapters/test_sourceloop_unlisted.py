"""Jobs that are listed no more, where neither daemons nor sessions last: what is remembered, and what is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scheduler_lab import SchedulerLab

from reconciler.core.errors import NoReply
from reconciler.core.jobs import Account, Verdict


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[SchedulerLab]:
    lab = SchedulerLab(tmp_path)
    yield lab
    await lab.close()


async def test_how_long_it_is_not_listed_is_remembered_by_the_next_session_and_the_next_daemon(
    lab: SchedulerLab,
) -> None:
    (eid,) = await lab.start(1)
    lab.far.jobs.clear()

    for _ in range(2):
        await lab.minutes(1)
        await lab.crash()
        await lab.minutes(1)
        await _cut(lab)
    assert ["NotListed"] == [lab.attempt(each).reason for each in lab.far.named("revoke")] == [lab.attempt(eid).reason]


async def test_a_daemon_that_is_killed_before_it_can_ask_twice_gives_up_what_the_one_before_missed(
    lab: SchedulerLab,
) -> None:
    await lab.start(1)
    lab.far.jobs.clear()

    for _ in range(20):
        await lab.crash()
        await lab.minutes(0.2)

    assert lab.far.named("revoke")


async def test_who_is_listed_again_waits_as_ever(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    jobs = set(lab.far.jobs)

    for _ in range(4):
        lab.far.jobs.clear()
        await lab.minutes(2)
        lab.far.jobs |= jobs
        await lab.minutes(1)
        await lab.crash()

    assert ([], None) == (lab.far.named("revoke"), lab.attempt(eid).unlisted_at)


async def test_the_end_of_what_has_started_is_told_by_the_listings_of_one_session(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    lab.far.start(eid)
    lab.far.jobs.clear()
    lab.far.accounts[eid] = Account(
        job="7", restarts=0, verdict=Verdict.TIMEOUT, ended_at=7.0, raw="TIMEOUT", ceased=True
    )

    for _ in range(6):
        await lab.minutes(2)
        await _cut(lab)

    assert "running" == lab.attempt(eid).phase


async def _cut(lab: SchedulerLab) -> None:
    """The session is lost, and the next one opened."""
    sessions = lab.far.sessions
    lab.far.answers = [NoReply("NoReply", "cut")]
    lab.commit(**{f"s{sessions}": "{x: [1]}"})
    await lab.acceptance.run()
    await lab.dispatch()
    await lab.minutes(0.1)
    assert sessions < lab.far.sessions
