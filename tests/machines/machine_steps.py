"""Coroutines taken step by step, by hand: no event loop, so that every place where they give way can be stopped at."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class _Pause:
    def __await__(self) -> Generator[None, None, None]:
        yield


def pause() -> _Pause:
    """Give way once."""
    return _Pause()


class Killed(BaseException):
    """The process is gone: nothing that is left of it may act on this."""


class Job:
    """One coroutine under way."""

    def __init__(self, work: Coroutine[Any, Any, object]) -> None:
        self._work = work
        self.done = False

    def step(self) -> None:
        """Until it gives way again, or ends; raises what it raises."""
        try:
            self._work.send(None)
        except StopIteration:
            self.done = True
        except BaseException:
            self.done = True
            raise

    def drop(self) -> None:
        """As a kill would."""
        self._work.close()
        self.done = True


def run(work: Coroutine[Any, Any, T]) -> T:
    """All of it at once."""
    while True:
        try:
            work.send(None)
        except StopIteration as end:
            result: T = end.value
            return result


class StepClock:
    """Time that stands still until a test moves it; whoever sleeps only gives way once."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def elapsed(self) -> float:
        return self.time - 1_700_000_000.0

    async def sleep(self, seconds: float) -> None:
        await pause()
