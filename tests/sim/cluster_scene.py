"""A simulated cluster on which only that happens which a test brings about: a scene of the protocol, in few steps.

The daemon, the protocol and the judge are those of the random worlds. What a guard of the protocol is for is a scene in
which its absence breaks a promise, or ends what should have been left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.sim.cluster_jobs import Element, Manner, Node, State
from tests.sim.cluster_side import ClusterSide, Trouble
from tests.sim.judge import Judge
from tests.sim.manifests import Sweep
from tests.sim.world import World

POLL_S = 10.0
STEPS = 200_000
SWEEP = Sweep("alpha", (1,), backoff_s=1)


class Scene:
    """tasks run until they are told to end, or let go. polled_s: how often the daemon asks the scheduler."""

    def __init__(
        self, manner: Manner, *, sweep: Sweep = SWEEP, nodes: int = 2, arranged: Callable[[Scene], None]
    ) -> None:
        self._manner = manner
        self._nodes = nodes
        self._sweep = sweep
        self._arranged = arranged
        self.world = World(1, kinds=manner.name, arrange=self._arrange)

    def _arrange(self, world: World) -> None:
        self.world = world
        (side,) = world.far_sides.values()
        assert isinstance(side, ClusterSide)
        self.side, self.scheduler = side, side.scheduler
        self.scheduler.manner = self._manner
        self.scheduler.nodes[:] = [Node(f"n{number}", 1) for number in range(self._nodes)]
        self.scheduler.show_lag_s = self.scheduler.account_lag_s = side.root.lag_s = 0.0
        side.skews.update((node.name, 0.0) for node in self.scheduler.nodes)
        side.usual, side.trouble, side.pushes = Trouble(), Trouble(), False
        side.weather.typical_s = 0.01
        side.config = replace(side.config, slots=8)
        side.limits = replace(side.limits, batch_max=100, poll_s=POLL_S)
        habits = world.programs.habits
        habits.fails = habits.crashes = habits.resumes = habits.deaf = 0.0
        habits.endless = 1.0
        self._arranged(self)
        world.edits.push(self._sweep)

    # -- time

    def wait(self, seconds: float) -> None:
        """Let time pass. The first broken promise fails the test."""
        until, steps = self.world.loop.now + seconds, self.world.loop.steps + STEPS
        self.world.loop.kernel.call_later(seconds, lambda: None)
        while self.world.loop.now < until and self.world.loop.steps < steps:
            self.world.loop.step()
            self._well()

    def until(self, happened: Callable[[], object], *, within_s: float = 900.0) -> None:
        """Let time pass until something has happened, which it must."""
        deadline = self.world.loop.now + within_s
        while not happened():
            self.world.loop.step()
            self._well()
            assert self.world.loop.now < deadline, "it has not happened"

    def _well(self) -> None:
        assert [] == self.world.oracle.violations + self.world.defects

    def converge(self) -> None:
        """All trouble is over, and all tasks come to their end."""
        Judge(self.world).converge()
        self._well()

    # -- what is

    def running(self) -> bool:
        """Whether a task lives."""
        return any(truth.family for truth in self.world.oracle.truths.values())

    def starts(self) -> int:
        """How many user's programs have begun."""
        return sum(truth.starts for truth in self.world.oracle.truths.values())

    def phases(self) -> list[str]:
        """Of all attempts, as the state has them, in their order."""
        known = self.world.state.ledger.attempts.values()
        return [each.phase for each in sorted(known, key=lambda each: (each.task, each.number))]

    def ours(self) -> list[Element]:
        """What the scheduler has of us, and has not ended."""
        return [each for each in self.scheduler.living("me") if each.state is not State.ENDED]

    def began(self) -> Node:
        """The first task runs, and the daemon knows it; on which node."""
        self.until(lambda: self.running() and "running" in self.phases())
        return next(node for node in self.scheduler.nodes if node.running)

    def happened(self, name: str) -> int:
        return self.world.happened[name]


def usual(scene: Scene) -> None:
    """Nothing is out of the ordinary."""


@contextmanager
def scene(
    manner: Manner, *, sweep: Sweep = SWEEP, nodes: int = 2, arranged: Callable[[Scene], None] = usual
) -> Iterator[Scene]:
    """A scene, and its end. arranged: what is to be so before the daemon begins."""
    made = Scene(manner, sweep=sweep, nodes=nodes, arranged=arranged)
    try:
        with made.world.entered():
            yield made
    finally:
        made.world.close()
