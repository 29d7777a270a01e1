"""Guards of the protocol on machines without a scheduler, each with the scene that it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.sim.judge import Judge
from tests.sim.manifests import Sweep
from tests.sim.process import ProcessSide
from tests.sim.world import World

STEPS = 100_000
SWEEP = Sweep("alpha", (1,), backoff_s=1)


class Scene:
    """Machines on which nothing happens by itself; tasks run until all is healed. The first source is this machine."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self.sides: list[ProcessSide] = []
        self.world = World(1, kinds="process", arrange=self._arrange)

    def _arrange(self, world: World) -> None:
        self.world = world
        world.far_sides.clear()
        for name in self._names:
            world.add_process(name, world.machine(name), slots=1, local=False)
        self.sides = [side for side in world.far_sides.values() if isinstance(side, ProcessSide)]
        for side in self.sides:
            side.fragile = side.restless = 0.0
            side.alias = None
            side.weather.typical_s = 0.01
            side.config = replace(side.config, gpus=())
        habits = world.programs.habits
        habits.fails = habits.crashes = habits.resumes = habits.deaf = habits.slow_to_end = habits.breeds = 0.0
        habits.endless = 1.0
        world.edits.push(SWEEP)

    def until(self, happened: Callable[[], object], *, within_s: float = 300.0) -> None:
        """Let time pass until something has happened, which it must."""
        deadline = self.world.loop.now + within_s
        while not happened():
            self._step()
            assert self.world.loop.now < deadline, "it has not happened"

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        until, steps = self.world.loop.now + seconds, self.world.loop.steps + STEPS
        self.world.loop.kernel.call_later(seconds, lambda: None)
        while self.world.loop.now < until and self.world.loop.steps < steps:
            self._step()

    def _step(self) -> None:
        self.world.loop.step()
        self._well()

    def _well(self) -> None:
        assert [] == self.world.oracle.violations + self.world.defects

    def converge(self) -> None:
        """All trouble is over, and all tasks come to their end."""
        Judge(self.world).converge()
        self._well()

    def phases(self) -> list[str]:
        known = self.world.state.ledger.attempts.values()
        return [each.phase for each in sorted(known, key=lambda each: (each.task, each.number))]


@contextmanager
def scene(*names: str) -> Iterator[Scene]:
    """A scene with these sources, and its end."""
    made = Scene(*names)
    try:
        with made.world.entered():
            yield made
    finally:
        made.world.close()


def test_another_host_that_sees_the_same_files_ends_nothing_by_its_boot() -> None:
    with scene("box") as it:
        (box,) = it.sides
        box.share_with(it.world.machine("box-alias"))
        it.until(lambda: it.phases() == ["running"])

        box.astray = True
        box._cut()
        it.wait(60)
        assert ["running"] == it.phases()
        it.converge()


def intended_for_another_host(it: Scene) -> None:
    """The daemon dies as it would send what it intends; from then on another host answers."""
    (box,) = it.sides
    box.astray = True
    it.until(lambda: it.phases() == ["queued"])
    assert it.world.ruler is not None
    it.world.ruler.kill()
    box.astray = False


def test_what_was_meant_for_another_host_of_the_same_files_is_given_up_and_runs_again() -> None:
    with scene("box") as it:
        it.sides[0].share_with(it.world.machine("box-alias"))
        intended_for_another_host(it)
        it.until(lambda: it.phases() == ["cancelled", "running"])
        it.converge()


def test_what_another_host_has_begun_is_not_given_up() -> None:
    with scene("box") as it:
        (box,) = it.sides
        box.share_with(it.world.machine("box-alias"))
        box.astray = True
        it.until(lambda: it.world.oracle.truths and any(each.starts for each in it.world.oracle.truths.values()))
        it.world.ruler.kill()
        box.astray = False
        it.wait(1200)
        assert ["running"] == it.phases()
        it.converge()


def test_where_nobody_knows_that_files_are_shared_it_waits_until_it_is_cancelled_and_may_run_again() -> None:
    with scene("box") as it:
        (box,) = it.sides
        mounts = box.machine.mounts
        box.share_with(it.world.machine("box-alias"))
        box.machine.mounts = box._machines()[1].mounts = mounts
        intended_for_another_host(it)
        it.wait(1200)
        assert ["queued"] == it.phases()

        it.world.edits.push(replace(SWEEP, state="Cancelled"))
        it.until(lambda: it.phases() == ["cancelled"])
        it.world.edits.push(SWEEP)
        it.until(lambda: it.phases() == ["cancelled", "running"])
        it.converge()


def test_a_frozen_daemon_that_wakes_places_nothing_beside_the_copy_that_rules_since() -> None:
    with scene("box", "hut") as it:
        it.world.edits.push()  # nothing to do so far
        it.until(lambda: it.world.state.ledger.desire.accepted == it.world.history.head)
        it.wait(20)
        old = it.world.ruler
        assert old is not None
        old.pause()
        it.world.fate.usurped.append(old)
        it.world.fate._rule_by_copy(it.world.state)
        it.until(lambda: it.world.ruler is not None and it.world.ruler is not old and not it.world.fate.unasked)

        box = it.sides[0]  # only the old one's session with it lives
        box.weather.down = True
        for wire in box.wires:
            if wire.owner is it.world.ruler:
                wire.cut(there_after_s=0.0)
        it.wait(5)
        it.world.edits.push(SWEEP)
        old.wake()
        it.wait(120)
        assert ["running"] == it.phases()
        it.converge()
