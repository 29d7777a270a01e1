"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq


class VirtualClock:
    """Satisfies the Clock protocol. `advance` wakes every sleeper at its own instant, in order."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._epoch = now
        self._elapsed = 0.0
        self._number = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._epoch + self._elapsed

    def elapsed(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        self._number += 1
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._number, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let so much time pass; what wakes on the way runs until it waits again."""
        until = self._elapsed + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, woken = heapq.heappop(self._sleepers)
            if not woken.cancelled():
                self._elapsed = max(self._elapsed, due)
                woken.set_result(None)
                await self.settle()
        self._elapsed = until
        await self.settle()

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock; nobody wakes, and elapsed time is the same."""
        self._epoch += seconds

    async def settle(self) -> None:
        """Let everything that can run, run."""
        for _ in range(20):
            await asyncio.sleep(0)


class HastyClock:
    """Satisfies the Clock protocol: whoever sleeps makes the time pass."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def elapsed(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
