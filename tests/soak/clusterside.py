"""A cluster in place of this machine: a real Slurm, whose controller is killed, stopped and started again.

Strangers' jobs wait in its queue from the beginning, and somebody else ends jobs of ours now and then. A controller
that is killed forgets what it has just accepted, and hands those numbers out again: that must hurt nobody. Now and then
it comes back with what it knew long ago, while jobs of ours wait, and their numbers are given to strangers at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

from tests.fakes.slurm_lab import SlurmLab
from tests.fakes.slurm_troubles import elements, keep, put_back, stranger, until
from tests.soak.ground import Ground, Start

STRANGERS = 20
MOST_STRANGERS = 100  # that come at once, when numbers are given out again
TURN_S = 7.0  # of the life of a daemon: in each there may be an outage
ATTACK_SHARE = 0.95  # of those
DRAIN_SHARE = 0.2
REUSE_SHARE = 0.5
EARLY = 0.3  # of a life: what is committed later has to wait
IDLE_S = 20.0  # what runs has ended by then
AWAY_S = (0.2, 5.0)  # longer than the cluster's patience, some of them
UP_S = 20.0
LOOK_S = 0.02
EID = slice(-15, None)


class ClusterGround(Ground):
    """A ground whose one source is a cluster. Its jobs may be ended by others: a task may run again, never at once."""

    STUCK_S = 600.0  # what was lost is given up after minutes only
    REPEATS = True
    LENGTHS_S = ((0.4, 0.0), (0.8, 0.5), (1.0, 3.0))

    def __init__(self, folder: Path, *, slots: int, seed: int) -> None:
        super().__init__(folder, slots=slots, seed=seed)
        self.cluster = Path(tempfile.mkdtemp(prefix="sl-"))
        self.lab = SlurmLab(self.cluster, MessageTimeout="3", MinJobAge="600")
        self.lab.start()
        os.environ.update(self.lab.environment)
        self.down = self._closed = self._shut = False
        self._strangers: dict[str, str] = {}  # the names of their jobs, by id
        self._missing: list[str] = []
        config = self.world.config.read_text()
        ours = f"scheduler: slurm, maxJobs: {slots}, pollInterval: 10s, submitInterval: 1s"
        self.world.config.write_text(config.replace(f"scheduler: process, slots: {slots}", ours))
        for _ in range(STRANGERS):
            self._stranger()
        self._saved = keep(self.lab)

    def _stranger(self) -> int:
        """Somebody else's job, held, whose id looks like those of ours; returns the number of its array."""
        name = f"soak.stranger{len(self._strangers)}"
        number = stranger(self.lab, "--hold", "-J", name, script="true")
        self._strangers[f"{number}_0"] = name
        return int(number)

    def start(self) -> Start:
        """A daemon that serves."""
        start, end = super().start(), time.monotonic() + UP_S
        while not (self.world.state / "http").exists() and self.died() is None and time.monotonic() < end:
            time.sleep(LOOK_S)
        return start

    # -- attacks

    def attacks(self, dice: random.Random, life_s: float) -> list[tuple[float, Callable[[], None]]]:
        """The controller is killed, asked to end, or stands still; a node is drained."""
        self.restore()
        found: list[tuple[float, Callable[[], None]]] = []
        for turn in range(1 + int(life_s / TURN_S)):
            if dice.random() < ATTACK_SHARE:
                found += self._outage(dice, TURN_S * turn + dice.uniform(0, min(life_s, TURN_S - AWAY_S[1])))
        if dice.random() < DRAIN_SHARE:
            found.append((dice.uniform(0, life_s), self._drain))
        if dice.random() < REUSE_SHARE:
            found.append((dice.uniform(0, EARLY * life_s), self._shut_down))
        return [(at, attack) for at, attack in found if at < life_s]

    def _outage(self, dice: random.Random, at: float) -> list[tuple[float, Callable[[], None]]]:
        number, back = dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)), at + dice.uniform(*AWAY_S)
        if dice.random() < 0.3:
            return [(at, self._stand_still), (back, self._go_on)]
        return [(at, lambda: self._down(number)), (back, self._come_back)]

    def _stand_still(self) -> None:
        self.lab.signal_controller(signal.SIGSTOP)
        self.outages += 1

    def _down(self, number: int) -> None:
        self.lab.kill_controller(number)
        self.down = True
        self.outages += 1

    def _go_on(self) -> None:
        self.lab.signal_controller(signal.SIGCONT)

    def _drain(self) -> None:
        self._update("nodename=n1", "state=drain", "reason=soak")

    def _shut_down(self) -> None:
        """From now on jobs of ours wait: before the next life they are forgotten, and their numbers given to others."""
        self._update("partitionname=main", "state=down")
        self._shut = True

    def _give_out_again(self) -> None:
        """Nobody submits meanwhile. What runs may end first: a node kills what its controller has forgotten."""
        with contextlib.suppress(AssertionError, OSError, subprocess.TimeoutExpired):
            self._resume_nodes()
            until(lambda: not self._runs(), IDLE_S)  # the queue may still have what has ended while nobody listened
            ours = {int(job.partition("_")[0]) for job, name in elements(self.lab).items() if ".b" in name}
            put_back(self.lab, self._saved)
            given = [self._stranger()]
            while ours and given[-1] < max(ours) and len(given) < MOST_STRANGERS:
                given.append(self._stranger())
            self.reused += len(ours.intersection(given))
            self._saved = keep(self.lab)
        self._shut = False

    def _runs(self) -> bool:
        """Whether any shim of ours lives: each has the name of its attempt."""
        ours = "g" + (self.root / "OWNER").read_text().strip()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "comm").read_text().startswith(ours):
                    return True
        return False

    def restore(self) -> None:
        """Nothing is away any more, and every node takes jobs."""
        self._come_back()
        if self._shut:
            self._give_out_again()
        self._resume_nodes()
        self._update("partitionname=main", "state=up")

    def _come_back(self) -> None:
        if self.down:
            self.lab.start_controller()
            self.down = False
        self._go_on()
        self.lab.until_it_answers()

    def _resume_nodes(self) -> None:
        """A node that was given a number twice does not take jobs again by itself."""
        for node in self.lab.nodes:
            self._update(f"nodename={node}", "state=resume")

    def _update(self, *words: str) -> None:
        """As far as the controller is in the mood for it."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.lab.run("scontrol", "update", *words, timeout_s=5.0)

    def kill_shim(self, dice: random.Random) -> int | None:
        """Somebody else ends one of our jobs; returns the value of its task."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired, OSError, ValueError):
            rows = self.lab.run("squeue", "-h", "-r", "-t", "R,PD", "-o", "%F_%K %K %j", timeout_s=5.0).splitlines()
            ours = [row.split() for row in rows if ".b" in row]
            if not ours:
                return None
            job, index, name = dice.choice(ours)
            batch = json.loads((self.root / "batches" / name[EID] / "spec.json").read_text())
            eid = batch["eids"][int(index)]
            spec = json.loads((self.root / "attempts" / eid[-2:] / eid / "spec.json").read_text())
            self.lab.run("scancel", job, timeout_s=5.0)
            return int(spec["parameters"]["n"])
        return None

    # -- what is left

    def faults(self) -> list[str]:
        """Strangers whose jobs are gone."""
        return [f"the job of {name} is gone" for name in self._missing]

    def close(self) -> None:
        """No cluster is left."""
        if not self._closed:
            self._closed = True
            self.restore()
            there = elements(self.lab)
            self._missing = [name for job, name in self._strangers.items() if there.get(job) != name]
            self.strangers = len(self._strangers)
            self.lab.close()
            rmtree(self.cluster, ignore_errors=True)
