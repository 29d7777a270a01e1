"""How many elements of each array may run at once, when its sweep may run fewer than are in the queue.

Nothing is submitted beyond a sweep's parallelism. But that may be lowered while its jobs wait: then a scheduler would
start all of them. So each array is given a share of what the sweep may run. Those that run keep theirs as far as there
is enough, and older arrays come first. An array of which nothing may start is better taken back: it cannot be told so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """An array in the queue: how many of its elements run, or are just ending, and how many wait."""

    running: int
    waiting: int


def shares(loads: Sequence[Load], most: int | None) -> list[int | None]:
    """How many of each array, oldest first, may run at once; None: it needs no limit.

    most: that may run of all; None: any number.
    """
    if most is None or sum(load.running + load.waiting for load in loads) <= most:
        return [None] * len(loads)
    left = most - sum(load.running for load in loads if not load.waiting)
    kept = []
    for load in loads:
        kept.append(max(0, min(load.running, left)) if load.waiting else 0)
        left -= kept[-1]
    found: list[int | None] = []
    for load, own in zip(loads, kept, strict=True):
        more = max(0, min(load.waiting + load.running - own, left)) if load.waiting else 0
        left -= more
        found.append(own + more if load.waiting else None)
    return found
