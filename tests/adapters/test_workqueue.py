"""The queue of keys, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from virtual_clock import VirtualClock

from reconciler.workqueue import RetryDelays, WorkQueue


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def queue(clock):
    return WorkQueue[str](clock, random=lambda: 0.0)


async def ready(queue, clock):
    """All keys that are handed out now, each done at once."""
    keys = []
    while True:
        getter = asyncio.ensure_future(queue.get())
        await clock.settle()
        if not getter.done():
            getter.cancel()
            await asyncio.gather(getter, return_exceptions=True)
            return keys
        keys.append(getter.result())
        queue.done(getter.result())


async def test_keys_come_in_the_order_in_which_they_were_added(queue, clock):
    for key in ("b", "a", "c"):
        queue.add(key)

    assert ["b", "a", "c"] == await ready(queue, clock)


async def test_a_key_added_twice_comes_once(queue, clock):
    queue.add("a")
    queue.add("b")
    queue.add("a")

    assert ["a", "b"] == await ready(queue, clock)


async def test_a_key_added_while_processed_comes_again_but_not_before_it_is_done(queue, clock):
    queue.add("a")
    await queue.get()
    queue.add("a")
    second = asyncio.ensure_future(queue.get())
    await clock.settle()
    assert not second.done()

    queue.done("a")

    assert "a" == await second


async def test_a_busy_key_does_not_hold_the_others_up(queue, clock):
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("b")

    assert "b" == await queue.get()


async def test_a_key_that_returns_at_once_waits_behind_the_others(queue, clock):
    queue.add("a")
    queue.add("b")
    first = await queue.get()
    queue.add(first)
    queue.done(first)

    assert ["b", "a"] == await ready(queue, clock)


async def test_a_waiting_worker_is_woken(queue, clock):
    getter = asyncio.ensure_future(queue.get())
    await clock.settle()

    queue.add("a")

    assert "a" == await getter


async def test_two_workers_never_get_the_same_key(queue, clock):
    workers = [asyncio.ensure_future(queue.get()) for _ in range(2)]
    await clock.settle()
    queue.add("a")
    await clock.settle()

    assert [True, False] == sorted((worker.done() for worker in workers), reverse=True)
    queue.add("b")
    assert {"a", "b"} == set(await asyncio.gather(*workers))


async def test_a_delayed_key_comes_when_it_is_due(queue, clock):
    queue.add_after("a", 10)
    getter = asyncio.ensure_future(queue.get())
    await clock.advance(9.9)
    assert not getter.done()

    await clock.advance(0.2)

    assert getter.done()
    assert "a" == getter.result()


@pytest.mark.parametrize("delays", [(5, 10), (10, 5)])
async def test_of_several_timers_of_a_key_the_earliest_wins(queue, clock, delays):
    for delay in delays:
        queue.add_after("a", delay)
    await clock.advance(5)

    assert ["a"] == await ready(queue, clock)
    await clock.advance(10)
    assert [] == await ready(queue, clock)


async def test_an_earlier_timer_shortens_the_wait_of_a_worker(queue, clock):
    queue.add_after("a", 100)
    getter = asyncio.ensure_future(queue.get())
    await clock.settle()

    queue.add_after("b", 1)
    await clock.advance(1)

    assert getter.done()
    assert "b" == getter.result()


async def test_adding_a_key_now_cancels_its_timer(queue, clock):
    queue.add_after("a", 5)
    queue.add("a")
    assert ["a"] == await ready(queue, clock)

    await clock.advance(10)

    assert [] == await ready(queue, clock)


async def test_a_timer_of_a_ready_key_changes_nothing(queue, clock):
    queue.add("a")
    queue.add_after("a", 5)
    assert ["a"] == await ready(queue, clock)

    await clock.advance(10)

    assert [] == await ready(queue, clock)


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_delay_is_now(queue, clock, seconds):
    queue.add_after("a", seconds)

    assert ["a"] == await ready(queue, clock)


async def test_keys_due_together_come_in_the_order_of_their_instants(queue, clock):
    queue.add_after("late", 3)
    queue.add_after("early", 2)
    await clock.advance(5)

    assert ["early", "late"] == await ready(queue, clock)


async def test_each_retry_waits_twice_as_long_up_to_the_limit(clock):
    queue = WorkQueue[str](clock, random=lambda: 0.0, delays=RetryDelays(first_s=1, max_s=5))

    assert [1, 2, 4, 5, 5] == [queue.retry("a") for _ in range(5)]


async def test_a_key_that_fails_for_years_does_not_overflow(queue):
    for _ in range(5000):
        queue.retry("a")

    assert 300 == queue.retry("a")


async def test_retries_are_counted_by_key_and_forgotten_by_key(queue):
    for key in ("a", "a", "b"):
        queue.retry(key)
    queue.forget("a")

    assert [0.5, 1.0] == [queue.retry("a"), queue.retry("b")]


async def test_jitter_only_shortens_and_comes_from_the_seed(clock):
    delays = RetryDelays(first_s=10, jitter=0.2)
    queues = [WorkQueue[str](clock, random=random.Random(7).random, delays=delays) for _ in range(2)]

    first, second = ([queue.retry(key) for key in "abcdef"] for queue in queues)

    assert first == second
    assert all(8 < delay <= 10 for delay in first)
    assert len(set(first)) > 1


async def test_a_retried_key_comes_after_its_delay(queue, clock):
    queue.add("a")
    await queue.get()
    delay = queue.retry("a")
    queue.done("a")
    assert [] == await ready(queue, clock)

    await clock.advance(delay)

    assert ["a"] == await ready(queue, clock)


async def test_a_cancelled_worker_loses_no_key(queue, clock):
    getter = asyncio.ensure_future(queue.get())
    await clock.settle()
    queue.add("a")
    getter.cancel()
    await asyncio.gather(getter, return_exceptions=True)

    assert ["a"] == await ready(queue, clock)


async def test_depth_and_age_are_told(queue, clock):
    queue.add("a")
    queue.add_after("b", 1)
    queue.add_after("c", 60)
    await clock.advance(3)
    stats = queue.stats()

    assert (2, 1, 3.0, 2) == (stats.depth, stats.delayed, stats.oldest_s, stats.adds)


async def test_waits_are_told_from_the_instant_a_key_was_ready(clock):
    waits: list[float] = []
    queue = WorkQueue[str](clock, random=lambda: 0.0, waited=waits.append)
    queue.add_after("a", 10)
    await clock.advance(12)
    await queue.get()

    assert [2.0] == waits


async def test_a_thousand_keys_and_many_adds_stay_a_thousand(queue):
    for key, _ in itertools.product(range(1000), range(3)):
        queue.add(str(key))
        queue.add_after(str(key), 5)

    assert (1000, 0) == (queue.stats().depth, queue.stats().delayed)


@pytest.mark.timeout(10)  # without turns nothing else of the loop runs
async def test_a_key_that_always_comes_back_keeps_nothing_else_from_running(queue, clock):
    async def work():
        while True:
            key = await queue.get()
            queue.add(key)
            queue.done(key)

    queue.add("restless")
    worker = asyncio.ensure_future(work())
    await clock.settle()

    assert not worker.done()
    worker.cancel()
