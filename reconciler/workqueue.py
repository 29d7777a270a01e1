"""A queue of keys for one event loop.

A key says *what* to look at, never what happened; adding it twice is adding it once. So the queue is bounded by the number
of keys. A key that is added while it is processed is processed again afterwards, never beside itself.
"""

from __future__ import annotations

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
    """depth: ready keys; delayed: keys with a timer; oldest_s: wait of the longest-waiting ready key, 0 when there is none."""

    depth: int
    delayed: int
    processing: int
    oldest_s: float
    adds: int
    retries: int


class WorkQueue(Generic[K]):
    """First in, first out between keys. Used from one event loop only; several workers may `get`."""

    def __init__(
        self,
        clock: Clock,
        *,
        random: Callable[[], float],
        delays: RetryDelays = RetryDelays(),
        waited: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """random: a seeded source of numbers in [0, 1), for jitter; waited: told how long each key was ready before its `get`."""
        raise NotImplementedError

    def add(self, key: K) -> None:
        """Ready now. Cancels a timer of the same key."""
        raise NotImplementedError

    def add_after(self, key: K, seconds: float) -> None:
        """Ready in so many seconds; of several timers of a key the earliest wins; a key that is ready stays so."""
        raise NotImplementedError

    async def get(self) -> K:
        """The next ready key; it is being processed until `done`."""
        raise NotImplementedError

    def done(self, key: K) -> None:
        """The processing of a key has ended; if it was added meanwhile it is ready again."""
        raise NotImplementedError

    def retry(self, key: K) -> float:
        """Add the key after its next backoff, and return that delay in seconds."""
        raise NotImplementedError

    def forget(self, key: K) -> None:
        """The key is well: its next retry waits as little as a first one. Leaves timers alone."""
        raise NotImplementedError

    def stats(self) -> QueueStats:
        raise NotImplementedError
