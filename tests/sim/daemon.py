"""One life of a daemon: the production engine on a simulated host, from its start to its kill."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from reconciler.core.errors import AlreadyRunning, ReconcilerError
from reconciler.core.settings import Config
from reconciler.engine import Engine, open_store
from reconciler.engine import World as Reach
from reconciler.locks import StateLock
from tests.sim.disk import State
from tests.sim.git import SimRepository
from tests.sim.loop import Process
from tests.sim.machine import Machine

if TYPE_CHECKING:
    from tests.sim.world import World


class SimClock:
    """A host's clock: its wall time jumps, its elapsed time does not."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def now(self) -> float:
        return self._machine.now()

    def elapsed(self) -> float:
        return self._machine.loop.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Daemon(Process):
    """`outcome`: why it ended by itself, if it did."""

    def __init__(self, world: World, state: State, host: Machine, config: Config) -> None:
        super().__init__(world.loop, f"daemon {world.count()}")
        self.world = world
        self.state = state
        self.host = host
        self.config = config
        self.engine: Engine | None = None
        self.outcome: BaseException | None = None
        self.began_at = world.loop.now
        self.kill_in = -1  # steps
        self.crash_in = -1  # crash points
        self.spawn(self._life())

    async def _life(self) -> None:
        try:
            await self._run()
        except (ReconcilerError, ExceptionGroup) as error:
            self.outcome = error
            self.world.ended(self, error)
        except Exception as error:  # noqa: BLE001 - it would have ended with a traceback
            self.outcome = error
            self.world.defect(f"the daemon ended: {error!r}")
            self.world.ended(self, error)
        if self.alive:
            self.kill()

    async def _run(self) -> None:
        world, dice = self.world, random.Random(self.world.dice.getrandbits(64))
        lock = StateLock(self.state.folder)
        lock.acquire()
        self.resources.append(lock.release)
        clock = SimClock(self.host)
        store = open_store(self.config, clock, dice)
        reach = Reach(
            clock=clock,
            dice=dice,
            repository=SimRepository(world.history, world.remote, self.state.mirror, clock),
            dialect=lambda config: world.far_sides[config.name].dialect(),
            link=lambda config: world.far_sides[config.name].link(self.host),
        )
        self.engine = engine = Engine(self.config, store, reach)
        works = [asyncio.create_task(work) for work in engine.works()]
        engine.poll_now()
        done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        for work in done:
            work.result()
        raise RuntimeError("one of the engine's works has ended")


__all__ = ["AlreadyRunning", "Daemon", "SimClock"]
