"""Triggers: real watches on real files, and the rest on a clock that the test moves."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from git_repository import GitRepository
from virtual_clock import VirtualClock

from reconciler import triggers
from reconciler.clock import SystemClock

SOON_S = 10.0  # a busy machine may be slow; a watch that does not see is slower


class Calls:
    """Counts calls, and waits for the next one."""

    def __init__(self):
        self.count = 0
        self._called = asyncio.Event()

    def __call__(self):
        self.count += 1
        self._called.set()

    async def settled(self):
        """No call has come for a while."""
        while True:
            before = self.count
            await asyncio.sleep(0.3)
            if self.count == before:
                self._called.clear()
                return

    async def next(self):
        async with asyncio.timeout(SOON_S):
            await self._called.wait()


@asynccontextmanager
async def running(watch):
    task = asyncio.create_task(watch)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def watched(directory):
    calls = Calls()
    async with running(triggers.watch_repository(directory, calls, clock=SystemClock())):
        await calls.next()
        await calls.settled()
        yield calls


@pytest.fixture
def origin(tmp_path):
    repository = GitRepository(tmp_path / "origin")
    repository.commit()
    return repository


@pytest.fixture
def look_again_soon(monkeypatch):
    monkeypatch.setattr(triggers, "_LOOK_AGAIN_MS", 200)
    monkeypatch.setattr(triggers, "_RETRY_S", 0.2)


# ------------------------------------------------------------------------------------------------ repositories


async def test_a_commit_in_a_checkout_is_seen(origin):
    async with watched(origin.directory) as calls:
        origin.commit()
        await calls.next()


async def test_a_push_into_a_bare_repository_is_seen(origin, tmp_path):
    bare = GitRepository(tmp_path / "bare.git", bare=True)
    async with watched(bare.directory) as calls:
        origin.git("push", "--quiet", str(bare.directory), "main")
        await calls.next()


async def test_a_commit_in_a_worktree_is_seen(origin, tmp_path):
    origin.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "tree"))
    tree = GitRepository.__new__(GitRepository)
    tree.directory = tmp_path / "tree"
    async with watched(tree.directory) as calls:
        tree.commit()
        await calls.next()


async def test_a_branch_in_a_new_folder_is_seen(origin):
    async with watched(origin.directory) as calls:
        origin.git("branch", "feature/x")
        await calls.next()
        await calls.settled()
        origin.git("update-ref", "refs/heads/feature/x", origin.git("commit-tree", "-m", "x", "HEAD^{tree}"))
        await calls.next()


async def test_packed_references_and_another_head_are_seen(origin):
    async with watched(origin.directory) as calls:
        origin.git("pack-refs", "--all")
        await calls.next()
        await calls.settled()
        origin.git("symbolic-ref", "HEAD", "refs/heads/other")
        await calls.next()


async def test_a_change_of_files_that_is_no_commit_calls_nobody(origin):
    async with watched(origin.directory) as calls:
        before = calls.count
        origin.write("sweeps.d/a.yaml", "x")
        origin.git("add", ".")
        await calls.settled()

        assert before == calls.count


async def test_a_repository_that_is_replaced_is_watched_again(origin, tmp_path, look_again_soon):
    async with watched(origin.directory) as calls:
        shutil.move(origin.directory, tmp_path / "away")
        replaced = GitRepository(origin.directory)
        replaced.commit()
        await calls.next()
        await asyncio.sleep(1)
        await calls.settled()
        replaced.commit()
        await calls.next()


async def test_a_repository_that_appears_later_is_watched(tmp_path, look_again_soon):
    calls = Calls()
    async with running(triggers.watch_repository(tmp_path / "origin", calls, clock=SystemClock())):
        await asyncio.sleep(0.3)
        assert 0 == calls.count
        GitRepository(tmp_path / "origin")
        await calls.next()


# ------------------------------------------------------------------------------------------------ requests


async def test_a_request_is_seen(tmp_path):
    calls = Calls()
    async with running(triggers.watch_requests(tmp_path, calls, clock=SystemClock())):
        await calls.next()
        await calls.settled()
        (tmp_path / "requests/new/.partial").write_text("{}")
        (tmp_path / "requests/new/.partial").rename(tmp_path / "requests/new/one.json")
        await calls.next()


async def test_the_folder_of_requests_is_made_anew_when_it_vanishes(tmp_path, look_again_soon):
    calls = Calls()
    async with running(triggers.watch_requests(tmp_path, calls, clock=SystemClock())):
        await calls.next()
        await calls.settled()
        shutil.rmtree(tmp_path / "requests")
        await calls.next()
        await calls.settled()
        (tmp_path / "requests/new/one.json").write_text("{}")
        await calls.next()


# ------------------------------------------------------------------------------------------------ poll, cron, signals


async def test_a_poll_calls_after_each_interval_within_its_jitter():
    clock, times = VirtualClock(), []
    draws = iter([0.0, 0.5, 1.0, 0.5, 0.5])
    poll = triggers.poll(30, lambda: times.append(round(clock.elapsed(), 6)), clock=clock, random=lambda: next(draws))
    async with running(poll):
        await clock.advance(91)

    assert [27, 57, 90] == times


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@asynccontextmanager
async def scheduled(now):
    clock, ticks = VirtualClock(at(now)), []
    schedules = triggers.Schedules(ticks.append, clock=clock)
    async with running(schedules.run()):
        await clock.settle()
        yield schedules, clock, ticks


async def test_a_schedule_ticks_by_name():
    async with scheduled("2026-01-01T00:00:30") as (schedules, clock, ticks):
        schedules.set("often", "* * * * *")
        schedules.set("never", "0 0 30 2 *")
        await clock.advance(121)

    assert ["often", "often"] == ticks


async def test_a_removed_schedule_ticks_no_more():
    async with scheduled("2026-01-01T00:00:30") as (schedules, clock, ticks):
        schedules.set("a", "* * * * *")
        schedules.remove("a")
        schedules.remove("unknown")
        await clock.advance(120)

    assert [] == ticks


async def test_setting_the_same_schedule_again_does_not_put_its_tick_off():
    async with scheduled("2026-01-01T00:00:30") as (schedules, clock, ticks):
        for _ in range(5):
            schedules.set("a", "*/2 * * * *")
            await clock.advance(20)

    assert ["a"] == ticks


async def test_a_changed_schedule_ticks_at_its_new_instant():
    async with scheduled("2026-01-01T00:00:30") as (schedules, clock, ticks):
        schedules.set("a", "0 12 * * *")
        schedules.set("a", "1 0 * * *")
        await clock.advance(60)

    assert ["a"] == ticks


async def test_a_clock_that_jumps_forward_ticks_once():
    async with scheduled("2026-01-01T00:00:30") as (schedules, clock, ticks):
        schedules.set("a", "* * * * *")
        clock.jump(3600)
        await clock.advance(5)

    assert ["a"] == ticks


async def test_what_is_no_cron_expression_is_refused_and_nothing_changes():
    async with scheduled("2026-01-01T00:00:30") as (schedules, clock, ticks):
        schedules.set("a", "* * * * *")
        with pytest.raises(ValueError, match="cron"):
            schedules.set("a", "nonsense")
        await clock.advance(60)

    assert ["a"] == ticks


@pytest.mark.parametrize(
    ("number", "stopped", "polled"),
    [(signal.SIGTERM, True, 0), (signal.SIGINT, True, 0), (signal.SIGHUP, False, 1)],
)
async def test_signals_stop_or_poll(number, stopped, polled):
    stop, polls = asyncio.Event(), Calls()
    undo = triggers.handle_signals(asyncio.get_running_loop(), stop, polls)
    try:
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.05)
    finally:
        undo()

    assert (stopped, polled) == (stop.is_set(), polls.count)
