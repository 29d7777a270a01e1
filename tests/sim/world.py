"""A whole simulated world, made from a seed: machines, sources, a repository, daemons, and their fate."""

from __future__ import annotations

import contextlib
import logging
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from reconciler.core.errors import AlreadyRunning
from reconciler.core.model import SourceName
from reconciler.core.settings import Config, RepositoryConfig, SourceConfig
from tests.sim import calls, disk
from tests.sim.cluster_jobs import PBS, SLURM
from tests.sim.cluster_side import ClusterSide
from tests.sim.daemon import Daemon
from tests.sim.desire import Lawyer
from tests.sim.disk import State
from tests.sim.edits import Edits
from tests.sim.farside import FarSide
from tests.sim.fate import Disk, Fate
from tests.sim.git import History
from tests.sim.loop import Process, SimLoop
from tests.sim.machine import Machine
from tests.sim.manifests import parsed_once
from tests.sim.operator import Operator
from tests.sim.oracle import Ledger, Oracle, Recorded
from tests.sim.process import ProcessSide
from tests.sim.programs import Habits, Programs

EPOCH = 1.7e9
KINDS = ("process",) * 6 + ("slurm", "pbs", "process slurm", "process pbs", "slurm pbs", "process slurm pbs")
MANNERS = {"slurm": (SLURM,), "pbs": (PBS, PBS, replace(PBS, accounting=True, shown_s=600.0))}  # the last: with history
PRUNE_MAX = 5


class World:
    """Everything there is."""

    def __init__(
        self, seed: int, *, verbose: bool = False, kinds: str = "", arrange: Callable[[World], None] | None = None
    ) -> None:
        """kinds: which sources there are, from "process slurm pbs"; "": the seed draws them.

        arrange: lays the scene before the first daemon begins; then nothing happens that is not brought about.
        """
        self.seed = seed
        self.dice = random.Random(seed)
        self.loop = SimLoop(random.Random(self.dice.getrandbits(64)))
        self.oracle = Oracle(self.loop.time)
        if verbose:
            self.oracle.told = print
        self.programs = Programs(random.Random(self.dice.getrandbits(64)), _habits(self.dice))
        self.oracle.begin = self.programs.begin
        self.oracle.overdue = self._overdue
        self.oracle.in_vain = self._in_vain
        self.history = History()
        self.happened: Counter[str] = Counter()
        self.daemon_steps = 0
        self.defects: list[str] = []
        self.folder = disk.folder()
        self._count = 0
        self.daemons: list[Daemon] = []
        self.ruler: Daemon | None = None
        self.states: list[State] = []
        self.home = self.machine("home")
        self.far_sides: dict[str, FarSide] = {}
        self._make_sources((kinds or self.dice.choice(KINDS)).split())
        self.edits = Edits(self)
        self.remote = self.edits.server
        slots = sum(side.config.slots for side in self.far_sides.values())
        self.oracle.lawyer = Lawyer(self.history, prune_max=PRUNE_MAX, slack=slots)
        self.operator = Operator(self)
        self.fate = Fate(self)
        if self.scheduled:  # what takes minutes to be believed needs tasks that live as long
            self.programs.habits.length_s = self.dice.choice((5.0, 60.0, 300.0, 900.0, 3000.0))
        if arrange is not None:
            self.fate.calm()
            self.edits.calm()
            arrange(self)
        self.rule(State(self.new_folder(), self.oracle))
        self.start_daemon()

    # -- making

    def _make_sources(self, kinds: list[str]) -> None:
        dice = self.dice
        if "process" in kinds:
            self.add_process("local", self.home, slots=dice.choice((1, 3, 8)), local=True)
            for name in ("box", "hut")[: dice.choice((0, 1, 1, 2))]:
                self.add_process(name, self.machine(name), slots=dice.choice((1, 2, 5)), local=False)
        for kind in kinds:
            if kind in MANNERS:
                self.far_sides[kind] = ClusterSide(self, kind, dice.choice(MANNERS[kind]))

    @property
    def scheduled(self) -> bool:
        """Whether any of its sources has a scheduler: then everything takes longer."""
        return any(side.config.scheduler != "process" for side in self.far_sides.values())

    def count(self) -> int:
        self._count += 1
        return self._count

    def new_folder(self) -> Path:
        return self.folder / f"state{self.count()}"

    def machine(self, name: str) -> Machine:
        machine = Machine(self.loop, name, random.Random(self.dice.getrandbits(64)), self.oracle, EPOCH)
        machine.broken = self.defect
        return machine

    def add_process(self, name: str, machine: Machine, *, slots: int, local: bool) -> None:
        gpus = self.dice.choice(((), (), (0,), (0, 1)))
        config = SourceConfig(name=SourceName(name), slots=slots, gpus=gpus, root=f"/home/me/{name}")
        side = ProcessSide(self, config, machine, local=local)
        side.fragile = self.dice.choice((0.0, 0.003, 0.03, 0.06))
        side.restless = self.dice.choice((0.0, 0.2, 0.7))
        if not local and self.dice.random() < 0.2:
            side.share_with(self.machine(f"{name}-alias"))
        elif not local and self.dice.random() < 0.1:
            side.belong_to_others()
        self.far_sides[name] = side

    def config(self, state: State) -> Config:
        return Config(
            file=None,
            repository=RepositoryConfig(url="/srv/sweeps.git"),
            sources=tuple(side.config for side in self.far_sides.values()),
            state_dir=str(state.folder),
            results_dir="/results",
            prune_max_tasks=PRUNE_MAX,
        )

    def _overdue(self, eid: str) -> bool:
        """Whether its walltime, by any manifest that ever was, is over."""
        truth = self.oracle.truths[eid]
        walltimes = [
            sweep.walltime_s
            for change in self.history.changes.values()
            if (sweep := change.tree.sweeps.get(truth.task[0])) is not None and sweep.walltime_s is not None
        ]
        began_at = min((truth.began_at, *(side.claimed_at(eid) for side in self._process_sides())))
        return any(self.loop.now - began_at > walltime_s - 1 for walltime_s in walltimes)

    def _in_vain(self, ledger: Ledger, eid: str) -> bool:
        """Whether a state that rules no more intends what the one that does knows to run."""
        ruled = self.state.ledger
        return ledger is not ruled and eid in ruled.attempts and ruled.attempts[eid].phase == "running"

    def _process_sides(self) -> Iterator[ProcessSide]:
        return (side for side in self.far_sides.values() if isinstance(side, ProcessSide))

    # -- daemons

    def rule(self, state: State) -> None:
        """From now on this is the state of who rules; its daemon is started by whoever mourns the last one."""
        state.trouble = Disk(random.Random(self.dice.getrandbits(64)))
        self.states.append(state)
        self.state = state
        if self.ruler is not None:
            self.ruler = None
            self.loop.kernel.call_later(self.dice.random() * 5, self.fate._start)

    def start_daemon(self) -> None:
        self.daemons = [each for each in self.daemons if each.alive]
        self.ruler = Daemon(self, self.state, self.home, self.config(self.state))
        self.daemons.append(self.ruler)
        self.fate.begin(self.ruler)
        self.count_fault("daemon-started")

    def start_rival(self) -> None:
        """Another daemon on the state of the present one."""
        self.daemons.append(Daemon(self, self.state, self.home, self.config(self.state)))

    def nudge(self) -> None:
        """A watch has seen something: the daemon looks at the repository and at requests."""
        daemon = self.ruler
        if daemon is not None and daemon.alive and daemon.engine is not None:
            daemon.call_soon(daemon.engine.poll_now)

    def ended(self, daemon: Daemon, error: BaseException) -> None:
        """A daemon has ended by itself."""
        reason = getattr(error, "reason", type(error).__name__)
        self.oracle.trace("daemon-ended", reason)
        self.happened[f"daemon-ended-{reason}"] += 1
        if isinstance(error, AlreadyRunning) and daemon is self.ruler:
            others = [each for each in self.daemons if each.alive and each.state is self.state and each is not daemon]
            if others:  # a rival was quicker
                self.ruler = others[0]
            else:
                self.defect(f"the ruling daemon could not start: {error}")

    # -- what is told

    def defect(self, sentence: str) -> None:
        self.defects.append(sentence)

    def count_fault(self, name: str) -> None:
        self.happened[name] += 1
        self.oracle.trace("fault", name)

    # -- running

    def run(self, *, steps: int, until_s: float) -> None:
        """The safety phase: so many steps, or so much time."""
        loop, oracle = self.loop, self.oracle
        while loop.steps < steps and loop.now < until_s and not oracle.violations and not self.defects:
            loop.step()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Code that runs now runs in this world."""
        calls.Cell.loop = self.loop
        with self.loop.entered(), disk.gated(self._disk), parsed_once(), _listening(self):
            yield

    def _disk(self) -> tuple[State, Process] | None:
        daemon = self.loop.current
        return (daemon.state, daemon) if isinstance(daemon, Daemon) else None

    def close(self) -> None:
        """The end of this world."""
        with self.entered():
            self.fate.heal()
            self.ruler = None
            for daemon in self.daemons:
                daemon.kill()
            for side in self.far_sides.values():
                side.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _habits(dice: random.Random) -> Habits:
    return Habits(
        length_s=dice.choice((0.3, 5.0, 60.0)),
        fails=dice.choice((0.0, 0.1, 0.4)),
        crashes=dice.choice((0.0, 0.1)),
        resumes=dice.choice((0.0, 0.1)),
        deaf=dice.choice((0.0, 0.3)),
        slow_to_end=dice.choice((0.0, 0.3)),
        breeds=dice.choice((0.0, 0.2)),
        endless=dice.choice((0.0, 0.05)),
    )


class _Ear(logging.Handler):
    """Defects that daemons report of themselves are failures here."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if self._world.loop.current.alive:
            told = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
            self._world.defect(f"{record.getMessage()} {vars(record).get('key', '')} {told}")


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


__all__ = ["Recorded", "World"]
