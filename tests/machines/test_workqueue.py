"""Random uses of the queue of keys against the plainest model: which keys are ready, in which order, who has one."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from machine_budget import budget
from virtual_clock import VirtualClock

from reconciler.workqueue import WorkQueue

KEYS = st.sampled_from("abcd")


class Queue(RuleBasedStateMachine):
    """ready: in the order in which they became so. due: timers. busy: handed out and not done."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = VirtualClock()
        self.queue = WorkQueue[str](self.clock, random=lambda: 0.0)
        self.ready: list[str] = []
        self.due: dict[str, float] = {}
        self.busy: set[str] = set()
        self.failures: Counter[str] = Counter()
        self.waiters: list[asyncio.Task[str]] = []

    def settle(self) -> None:
        """Those who wait take what is ready, as the model says."""
        self.loop.run_until_complete(self.clock.settle())
        got = [waiter.result() for waiter in self.waiters if waiter.done()]
        self.waiters = [waiter for waiter in self.waiters if not waiter.done()]
        free = [key for key in self.ready if key not in self.busy]
        expected = free[: len(got) + len(self.waiters)]
        assert sorted(expected) == sorted(got)
        self.ready = [key for key in self.ready if key not in expected]
        self.busy |= set(expected)

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.queue.add(key)
        self.due.pop(key, None)
        self.ready += [key] if key not in self.ready else []
        self.settle()

    @rule(key=KEYS, seconds=st.integers(1, 20))
    def add_after(self, key: str, seconds: int) -> None:
        self.queue.add_after(key, seconds)
        self._later(key, seconds)
        self.settle()

    def _later(self, key: str, seconds: float) -> None:
        if key not in self.ready:
            self.due[key] = min(self.due.get(key, float("inf")), self.clock.elapsed() + seconds)

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), well=st.booleans())
    def finish(self, data: st.DataObject, well: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.busy)))
        if well:
            self.queue.forget(key)
            self.failures[key] = 0
        else:
            delay = min(300.0, 0.5 * 2.0 ** self.failures[key])
            assert delay == self.queue.retry(key)
            self.failures[key] += 1
            self._later(key, delay)
        self.busy.discard(key)
        self.queue.done(key)
        self.settle()

    @precondition(lambda self: len(self.waiters) < 3)
    @rule()
    def wait_for_one(self) -> None:
        self.waiters.append(self.loop.create_task(self.queue.get()))
        self.settle()

    @precondition(lambda self: self.waiters)
    @rule()
    def give_up_waiting(self) -> None:
        waiter = self.waiters.pop()
        waiter.cancel()
        self.loop.run_until_complete(_ended(waiter))
        self.settle()

    @rule(seconds=st.integers(1, 30))
    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):  # a second at a time: what is due at one instant keeps no order beyond it
            self.loop.run_until_complete(self.clock.advance(1))
            now = self.clock.elapsed()
            come = sorted((key for key, at in self.due.items() if at <= now), key=lambda key: self.due[key])
            for key in come:
                del self.due[key]
            self.ready += [key for key in come if key not in self.ready]
            self.settle()

    @invariant()
    def the_numbers_agree(self) -> None:
        type(self).steps += 1
        stats = self.queue.stats()
        assert (len(self.ready), len(self.due), len(self.busy)) == (stats.depth, stats.delayed, stats.processing)

    def teardown(self) -> None:
        for waiter in self.waiters:
            waiter.cancel()
        self.loop.run_until_complete(_ended(*self.waiters))
        self.loop.close()


async def _ended(*waiters: asyncio.Task[str]) -> None:
    await asyncio.gather(*waiters, return_exceptions=True)


def test_the_queue_does_what_its_model_does(figures: Counter[str]) -> None:
    Queue.steps = 0
    run_state_machine_as_test(Queue, settings=budget(100, long=1000, steps=30))
    figures["steps of the queue"] += Queue.steps
