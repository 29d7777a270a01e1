"""The only reader of time. Everything else takes an `Instant` as an argument."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from reconciler.core.model import Instant


class Clock(Protocol):
    """now: wall clock, seconds since the epoch; elapsed: monotonic seconds; sleep: on the same clock."""

    def now(self) -> Instant: ...

    def elapsed(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> Instant:
        return time.time()

    def elapsed(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
