"""The end of a world: faults end, everything is healed, and in bounded time git and the world must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.controller.brake import plan_id
from reconciler.core.model import Phase, SweepName
from reconciler.requests import Verb
from reconciler.store import Reader
from tests.sim.manifests import Tree
from tests.sim.recount import recount

if TYPE_CHECKING:
    from tests.sim.world import World

LOOK_S = 30.0
PATIENCE_S = 4 * 3600.0
STEPS = 400_000


class Judge:
    """Heals a world, plays the operator in it, and says what is still wrong when time is up."""

    def __init__(self, world: World) -> None:
        self.world = world

    def converge(self) -> None:
        """The liveness phase."""
        world = self.world
        world.fate.heal()
        world.programs.heal()
        for side in world.far_sides.values():
            side.heal()
        tree = world.edits.heal()
        deadline, limit = world.loop.now + PATIENCE_S, world.loop.steps + STEPS
        look_at = world.loop.now + 1.0
        left = ["nothing was looked at"]
        while left and world.loop.now < deadline and world.loop.steps < limit:
            if world.oracle.violations or world.defects:
                return
            world.loop.step()
            if world.loop.now >= look_at:
                look_at = world.loop.now + LOOK_S
                left = self._left(tree)
        if left:
            told = "; ".join(left[:8])
            world.oracle.violated("liveness", f"after {PATIENCE_S / 3600:g} h without faults: {told}")
        else:
            self._recount()

    def _left(self, tree: Tree) -> list[str]:
        """What is not yet as it must be; an operator does what the daemon waits for."""
        ruler = self.world.ruler
        if ruler is None or not ruler.alive or ruler.engine is None:
            return ["no daemon runs"]
        reader = Reader.open(self.world.state.folder)
        try:
            found = list(self._differences(reader, tree))
        finally:
            reader.close()
        self.world.operator.settle()
        return found

    def _differences(self, reader: Reader, tree: Tree) -> list[str]:
        found: list[str] = []
        rows = {row.name: row for row in reader.sweeps()}
        if reader.repository().accepted != self.world.history.head:
            found.append(f"git is at {self.world.history.head}, the daemon at {reader.repository().accepted}")
        plan = plan_id((name, row.frozen) for name, row in rows.items())
        if plan:
            found.append("a removal waits for a word")
            self.world.operator.approve(plan, once=True)
        for name, sweep in tree.sweeps.items():
            row = rows.get(SweepName(name))
            if row is None or row.deleted or row.settling:
                found.append(f"{name} is not in force")
                continue
            tasks = {task.key.task: task for task in reader.tasks(row.name, limit=100_000)}
            if tasks.keys() != sweep.tasks and sweep.on_remove != "Keep":
                found.append(f"{name} has other tasks than git: {len(tasks)} instead of {len(sweep.tasks)}")
            if sweep.tasks - tasks.keys():
                found.append(f"{name} lacks tasks")
            bad = [task for task in tasks.values() if task.phase is not Phase.SUCCEEDED]
            found += [f"{name}/{task.key.task} is {task.phase} {task.reason}" for task in bad]
            if any(task.phase in (Phase.FAILED, Phase.LOST, Phase.CANCELLED) for task in bad):
                at = int(self.world.loop.now // 300)
                self.world.operator.ask(Verb.RETRY, {"sweep": name}, once=f"retry-{name}-{at}")
        for (name, source), count in reader.active_counts().items():
            found.append(f"{count} attempts of {name} are open on {source}")
        return found

    def _recount(self) -> None:
        """What the store keeps beside its rows must be what a count of them says; and its rows the truth."""
        for sentence in recount(self.world.state.folder):
            self.world.oracle.violated("I3", sentence)
