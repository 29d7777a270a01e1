"""Where a soak takes place: a repository with one sweep, whose points are a table, and a daemon that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

from reconciler.core.errors import StoreError
from reconciler.core.model import SourceName
from reconciler.store import Reader
from tests.e2e.conftest import World
from tests.fakes.processes import Processes, name_of
from tests.soak.oracle import script

SWEEP = "soak"
SOURCE = SourceName("local")
ASK_S = 2.0
MANIFEST = """\
apiVersion: reconciler/v1alpha1
kind: Sweep
metadata: {{name: {name}}}
spec:
  command: [sh, -c, {script}, task, "$(n)", "$(sleep_s)"]
  points: {{file: points.csv}}
  retry: {{limit: 8, backoff: {{duration: 1s, factor: 1}}}}
"""


class Ground:
    """One world; all that it starts bears its mark."""

    LENGTHS_S = ((0.4, 0.0), (0.8, 0.5), (1.0, 3.0))  # up to this share of the tasks, at most so long
    MORE = ""  # what each task does besides
    STUCK_S = 120.0  # without any news from any task
    REPEATS = False  # whether others end tasks here, so that they run again

    def __init__(self, folder: Path, *, slots: int, seed: int) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.log = folder / "tasks.log"
        self.world = World(folder, slots=slots)
        self.processes = Processes(folder)
        self.agents = 0  # killed
        self.cuts = self.outages = self.collected = 0  # of other machines
        self.reused = self.strangers = 0  # numbers of jobs that were given to others, and how many of those there were
        self._seed = seed
        locks = folder / "locks"
        locks.mkdir()
        self.manifest = MANIFEST.format(name=SWEEP, script=json.dumps(script(self.log, locks, self.MORE)))
        config = self.world.config.read_text().replace(f"slots: {slots}}}", f"slots: {slots}, root: {self.root}}}")
        self.world.config.write_text(config)

    def push(self, values: Iterable[int]) -> None:
        """Commit the sweep with exactly these values."""
        rows = [f"{value},{self.length_s(value):.2f}" for value in sorted(values)]
        table = self.world.repository / "sweeps.d" / "points.csv"
        table.parent.mkdir(exist_ok=True)
        table.write_text("\n".join(["n,sleep_s", *rows, ""]))
        self.world.commit(**{SWEEP: self.manifest})

    def length_s(self, value: int) -> float:
        """How long the task of a value sleeps: always the same, because it is one of its parameters."""
        dice = random.Random(f"{self._seed} {value}")
        share = dice.random()
        longest = next(longest for most, longest in self.LENGTHS_S if share <= most)
        return dice.uniform(0.01, longest) if longest else 0.0

    # -- other machines, where there are some: see `farside`

    def roots(self) -> list[Path]:
        """Of all sources."""
        return [self.root]

    def attacks(self, dice: random.Random, life_s: float) -> list[tuple[float, Callable[[], None]]]:
        """What else happens during one life of a daemon, and when."""
        return []

    def restore(self) -> None:
        """Nothing is away any more."""

    def settled(self) -> bool:
        """Whether nothing more is to come here."""
        return True

    def faults(self) -> list[str]:
        """What else is wrong, in sentences, when it is over."""
        return []

    def close(self) -> None:
        """Whatever has served the sources goes."""

    # -- the daemon

    def start(self) -> Start:
        """A daemon, from now on."""
        (self.world.state / "http").unlink(missing_ok=True)  # a killed one has left its address
        start = Start(self, self.newest_epoch())
        self.world.start()
        return start

    def died(self) -> int | None:
        """The exit code of a daemon that ended by itself; None while it lives."""
        daemon = self.world._daemon
        return None if daemon is None else daemon.poll()

    def newest_epoch(self, root: Path | None = None) -> int:
        """The number of the agent that rules; 0 before the first."""
        folder = (root or self.root) / "epoch"
        return max((int(name) for name in os.listdir(folder) if name.isdigit()), default=0) if folder.exists() else 0

    # -- who else can be hurt

    def kill_agent(self, dice: random.Random) -> None:
        """An agent that rules, if there is one."""
        root = dice.choice(self.roots())
        with contextlib.suppress(OSError, ValueError):
            pid = int(json.loads((root / "epoch" / str(self.newest_epoch(root))).read_text())["pid"])
            if any(pid == each for each, _ in self.processes.all()):
                os.kill(pid, signal.SIGKILL)
                self.agents += 1

    def kill_shim(self, dice: random.Random) -> int | None:
        """One that has an attempt in hand; returns the value of its task. Stopped first, to be certain whose it is."""
        shims = self.processes.shims()
        if not shims:
            return None
        pid, _ = dice.choice(shims)
        with contextlib.suppress(OSError, ValueError):
            os.kill(pid, signal.SIGSTOP)
            eid = name_of(pid)
            specs = [root / "attempts" / eid[-2:] / eid / "spec.json" for root in self.roots()]
            spec = next((path for path in specs if path.exists()), None)
            value = None if spec is None else int(json.loads(spec.read_text())["parameters"]["n"])
            os.kill(pid, signal.SIGKILL)
            return value
        return None


class Start:
    """One start of the daemon, until it is steady: it has looked at its repository and at its source, it serves, and no
    intent that it has found or made is without an answer."""

    def __init__(self, ground: Ground, epoch: int) -> None:
        self._ground = ground
        self._epoch = epoch
        self._began = time.monotonic()
        self.steady_s: float | None = None

    def look(self) -> None:
        """Note the time if it is steady now."""
        if self.steady_s is None and self._ruling() and self._ready() and self._answered():
            self.steady_s = time.monotonic() - self._began

    def _ruling(self) -> bool:
        return self._ground.newest_epoch() > self._epoch

    def _ready(self) -> bool:
        try:
            address = (self._ground.world.state / "http").read_text().strip()
            with urllib.request.urlopen(f"{address}/readyz", timeout=ASK_S) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError):  # not there yet, or not ready
            return False

    def _answered(self) -> bool:
        try:
            reader = Reader.open(self._ground.world.state)
        except (StoreError, sqlite3.Error):
            return False
        try:
            return not reader.unaccepted(SOURCE, limit=1)
        finally:
            reader.close()
