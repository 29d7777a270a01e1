"""A whole simulated world, made from a seed: machines, sources, a repository, daemons, and their fate."""

from __future__ import annotations

import contextlib
import logging
import random
import shutil
from collections.abc import Iterator

from reconciler.core.model import SourceName
from reconciler.core.settings import Config, RepositoryConfig, SourceConfig
from tests.sim import calls, disk
from tests.sim.daemon import Daemon
from tests.sim.disk import State
from tests.sim.farside import FarSide
from tests.sim.git import History
from tests.sim.loop import Process, SimLoop
from tests.sim.machine import Machine
from tests.sim.manifests import remember_parsing
from tests.sim.oracle import Oracle
from tests.sim.process import ProcessSide
from tests.sim.programs import Habits, Programs

EPOCH = 1.7e9


class Quiet:
    """A server that always answers."""

    def delay_s(self) -> float:
        return 0.01

    def trouble(self) -> None:
        return None


class World:
    """Everything there is."""

    def __init__(self, seed: int, *, verbose: bool = False) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.loop = SimLoop(random.Random(self.dice.getrandbits(64)))
        self.oracle = Oracle(self.loop.time)
        if verbose:
            self.oracle.told = print
        self.habits = Habits()
        self.programs = Programs(random.Random(self.dice.getrandbits(64)), self.habits)
        self.oracle.begin = self.programs.begin
        self.history = History()
        self.remote = Quiet()
        self.defects: list[str] = []
        self.folder = disk.folder()
        self._count = 0
        self.daemons: list[Daemon] = []
        self.home = self.machine("home")
        self.far_sides: dict[str, FarSide] = {}
        self.add_process("local", self.home, slots=4, local=True)
        self.state = State(self.folder / "state", self.oracle)

    # -- making

    def count(self) -> int:
        self._count += 1
        return self._count

    def machine(self, name: str) -> Machine:
        machine = Machine(self.loop, name, random.Random(self.dice.getrandbits(64)), self.oracle, EPOCH)
        machine.broken = self.defect
        return machine

    def add_process(self, name: str, machine: Machine, *, slots: int, local: bool) -> None:
        config = SourceConfig(name=SourceName(name), slots=slots, root=f"/home/me/{name}")
        self.far_sides[name] = ProcessSide(self, config, machine, local=local)

    def config(self, state: State) -> Config:
        return Config(
            file=None,
            repository=RepositoryConfig(url="/srv/sweeps.git"),
            sources=tuple(side.config for side in self.far_sides.values()),
            state_dir=str(state.folder),
            results_dir="/results",
        )

    def start_daemon(self) -> Daemon:
        daemon = Daemon(self, self.state, self.home, self.config(self.state))
        self.daemons.append(daemon)
        return daemon

    # -- what is told

    def defect(self, sentence: str) -> None:
        self.defects.append(sentence)

    def ended(self, daemon: Daemon, error: BaseException) -> None:
        self.oracle.trace("daemon-ended", type(error).__name__)

    # -- running

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        calls.Cell.loop = self.loop
        remember_parsing()
        with self.loop.entered(), disk.gated(self._disk), _listening(self):
            yield

    def _disk(self) -> tuple[State, Process] | None:
        daemon = self.loop.current
        return (daemon.state, daemon) if isinstance(daemon, Daemon) else None

    def close(self) -> None:
        with self.entered():
            for daemon in self.daemons:
                daemon.kill()
            for side in self.far_sides.values():
                side.machine.crash(power=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class _Ear(logging.Handler):
    """Defects that daemons report of themselves are failures here."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if self._world.loop.current.alive:
            self._world.defect(
                f"{record.getMessage()} {vars(record).get('key', '')} {logging.Formatter().formatException(record.exc_info) if record.exc_info else ''}"
            )


@contextlib.contextmanager
def _listening(world: World) -> Iterator[None]:
    logger = logging.getLogger("reconciler")
    before = (logger.handlers[:], logger.level, logger.propagate)
    logger.handlers[:] = [_Ear(world)]
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield
    finally:
        logger.handlers[:], logger.level, logger.propagate = before[0], before[1], before[2]
