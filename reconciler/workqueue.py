"""A queue of keys for one event loop.

A key says *what* to look at, never what happened; adding it twice is adding it once. So the queue is bounded by the
number of keys. A key that is added while it is processed is processed again afterwards, never beside itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from reconciler.clock import Clock

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDelays:
    """The k-th retry waits first_s · 2^(k-1), at most max_s, shortened by up to `jitter` of itself."""

    first_s: float = 0.5
    max_s: float = 300.0
    jitter: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """depth: ready keys; delayed: keys with a timer; oldest_s: how long the first ready key has been so, else 0."""

    depth: int
    delayed: int
    processing: int
    oldest_s: float
    adds: int
    retries: int


class WorkQueue(Generic[K]):
    """First in, first out between keys. Used from one event loop only; several workers may `get`.

    A key is ready (and known since when), or delayed (and known until when), or neither. One that is processed may be
    either as well, but is not handed out before `done`.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        random: Callable[[], float],
        delays: RetryDelays = RetryDelays(),
        waited: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """random: seeded numbers in [0, 1), for jitter; waited: told how long each key was ready before its `get`."""
        self._clock = clock
        self._random = random
        self._delays = delays
        self._waited = waited
        self._ready: dict[K, float] = {}  # in order of arrival
        self._delayed: dict[K, float] = {}
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()
        self._adds = 0
        self._retries = 0

    def add(self, key: K) -> None:
        """Ready now. Cancels a timer of the same key."""
        self._delayed.pop(key, None)
        if key in self._ready:
            return
        self._ready[key] = self._clock.elapsed()
        self._adds += 1
        self._changed.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Ready in so many seconds; of several timers of a key the earliest wins; a key that is ready stays so."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.elapsed() + seconds
        if key in self._ready or self._delayed.get(key, due + 1) <= due:
            return
        self._delayed[key] = due
        self._changed.set()

    async def get(self) -> K:
        """The next ready key; it is being processed until `done`.

        Others have their turn first: a key that always comes back must not keep everything else from running.
        """
        await asyncio.sleep(0)  # noqa: TID251 - no time passes
        while True:
            self._promote()
            for key, since in self._ready.items():
                if key not in self._processing:
                    del self._ready[key]
                    self._processing.add(key)
                    self._waited(self._clock.elapsed() - since)
                    return key
            await self._wait()

    def done(self, key: K) -> None:
        """The processing of a key has ended; if it was added meanwhile it is ready again."""
        self._processing.discard(key)
        if key in self._ready:
            self._changed.set()

    def retry(self, key: K) -> float:
        """Add the key after its next backoff, and return that delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self._retries += 1
        # 2.0**63 is more than any limit; a key that fails for years must not overflow
        longest = min(self._delays.max_s, self._delays.first_s * 2.0 ** min(failures, 63))
        delay = longest * (1 - self._delays.jitter * self._random())
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key is well: its next retry waits as little as a first one. Leaves timers alone."""
        self._failures.pop(key, None)

    def stats(self) -> QueueStats:
        """As of now."""
        self._promote()
        now = self._clock.elapsed()
        return QueueStats(
            depth=len(self._ready),
            delayed=len(self._delayed),
            processing=len(self._processing),
            oldest_s=max((now - since for since in self._ready.values()), default=0.0),
            adds=self._adds,
            retries=self._retries,
        )

    def _promote(self) -> None:
        """Make ready whatever is due, in the order in which it became due, waiting since then."""
        now = self._clock.elapsed()
        for key, due in sorted(self._delayed.items(), key=lambda item: item[1]):
            if due > now:
                return
            del self._delayed[key]
            self._ready[key] = due
            self._adds += 1

    async def _wait(self) -> None:
        """Until something changes, or the next timer is due. Every waiting worker looks again; one finds the key."""
        self._changed.clear()
        if not self._delayed:
            await self._changed.wait()
            return
        pause = max(0.0, min(self._delayed.values()) - self._clock.elapsed())
        waiters = {asyncio.ensure_future(self._changed.wait()), asyncio.ensure_future(self._clock.sleep(pause))}
        try:
            await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
            await asyncio.gather(*waiters, return_exceptions=True)
