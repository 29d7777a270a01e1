"""A simulated scheduler on a bench, with a clock that stands still until it is moved."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable

from tests.sim.cluster import Scheduler
from tests.sim.cluster_jobs import Element, Manner, Node, Start

FOREVER = 1e6


class Task:
    """What runs: it ends by itself after so long, or a moment after it was told."""

    def __init__(self, lab: Lab, start: Start, over: Callable[[int], None]) -> None:
        self.lab = lab
        self.over = over
        self.alive = True
        lab.begun.append(start)
        lab.later(lab.length_s, lambda: self._end(0))

    def kill(self, *, gently: bool) -> None:
        self.lab.later(1.0, lambda: self._end(1)) if gently else self._end(1)

    def vanish(self) -> None:
        self.alive = False

    def _end(self, code: int) -> None:
        if self.alive:
            self.alive = False
            self.over(code)


class Lab:
    """A scheduler, its nodes, and a clock that stands still until it is moved."""

    def __init__(self, manner: Manner, *, nodes: int = 2, slots: int = 2) -> None:
        self.time = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self.length_s = FOREVER
        self.begun: list[Start] = []
        self.nodes = [Node(f"n{number}", slots) for number in range(nodes)]
        self.scheduler = Scheduler(manner, self.nodes, random.Random(3), lambda: self.time, self.later)

    def later(self, delay: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self.time + delay, next(self._number), call))

    def wait(self, seconds: float) -> None:
        until = self.time + seconds
        while self._timers and self._timers[0][0] <= until:
            self.time, _, call = heapq.heappop(self._timers)
            call()
        self.time = until

    def submit(self, count: int = 1, *, name: str = "a", walltime_s: float | None = None, user: str = "me") -> int:
        return self.scheduler.submit(name, count, walltime_s, lambda start, over: Task(self, start, over), user=user)

    def started(self, count: int = 1, **options: object) -> int:
        """Submitted, and given the time to start."""
        array = self.submit(count, **options)
        self.wait(5)
        return array

    def elements(self) -> list[Element]:
        return self.scheduler.listed("me")

    def states(self) -> list[str]:
        return [each.state.value for each in self.elements()]

    def alive(self) -> int:
        return sum(start.run.alive for start in self.begun)

    def verdicts(self, name: str = "a") -> list[str]:
        return [entry.verdict for entry in self.scheduler.accounted({name})]
