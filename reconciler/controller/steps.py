"""Bulk work comes as a generator that does one bounded step per `next`, and returns its result."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from reconciler.clock import Clock

T = TypeVar("T")


async def drive(steps: Generator[int, None, T], clock: Clock) -> T:
    """All steps, with everything else going on in between."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        await clock.sleep(0)


def finish(steps: Generator[int, None, T]) -> T:
    """All steps at once, for who has nothing else to do."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
