"""A cluster in place of this machine: a real Slurm, whose controller is killed, stopped and started again.

Strangers' jobs wait in its queue from the beginning, and somebody else ends jobs of ours now and then. A controller
that is killed forgets what it has just accepted, and hands those numbers out again: that must hurt nobody.
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
from tests.soak.ground import Ground, Start

STRANGERS = 20
SAVED_S = 8.0  # a controller writes down what it has every five seconds
ATTACK_SHARE = 0.95  # of the lives of a daemon
DRAIN_SHARE = 0.2
AWAY_S = (0.2, 4.0)
STOPPED_S = (1.0, 6.0)  # longer than the cluster's patience, some of them
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
        self.down = self._closed = False
        self._missing = 0
        config = self.world.config.read_text()
        ours = f"scheduler: slurm, maxJobs: {slots}, pollInterval: 10s, submitInterval: 1s"
        self.world.config.write_text(config.replace(f"scheduler: process, slots: {slots}", ours))
        for number in range(STRANGERS):
            self.lab.run("sbatch", "--hold", "-J", f"soak.stranger{number}", "-o", "/dev/null", "--wrap", "true")
        time.sleep(SAVED_S)

    def start(self) -> Start:
        """A daemon that serves."""
        start, until = super().start(), time.monotonic() + UP_S
        while not (self.world.state / "http").exists() and self.died() is None and time.monotonic() < until:
            time.sleep(LOOK_S)
        return start

    # -- attacks

    def attacks(self, dice: random.Random, life_s: float) -> list[tuple[float, Callable[[], None]]]:
        """The controller is killed, asked to end, or stands still; a node is drained."""
        self.restore()
        found: list[tuple[float, Callable[[], None]]] = []
        if dice.random() < ATTACK_SHARE:
            at, number = dice.uniform(0, life_s), dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
            if dice.random() < 0.3:
                found.append((at, lambda: self.lab.signal_controller(signal.SIGSTOP)))
                found.append((at + dice.uniform(*STOPPED_S), self._go_on))
            else:
                found.append((at, lambda: self._down(number)))
                found.append((at + dice.uniform(*AWAY_S), self.restore))
            self.outages += 1
        if dice.random() < DRAIN_SHARE:
            found.append((dice.uniform(0, life_s), self._drain))
        return [(at, attack) for at, attack in found if at < life_s]

    def _down(self, number: int) -> None:
        self.lab.kill_controller(number)
        self.down = True

    def _go_on(self) -> None:
        self.lab.signal_controller(signal.SIGCONT)

    def _drain(self) -> None:
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.lab.run("scontrol", "update", "nodename=n1", "state=drain", "reason=soak", timeout_s=5.0)

    def restore(self) -> None:
        """Nothing is away any more, and every node takes jobs: one that was given a number twice does not by itself."""
        if self.down:
            self.lab.start_controller()
            self.down = False
        self._go_on()
        self.lab.until_it_answers()
        for node in self.lab.nodes:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                self.lab.run("scontrol", "update", f"nodename={node}", "state=resume", timeout_s=5.0)

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
        return [f"{self._missing} jobs of strangers are gone"] if self._missing else []

    def close(self) -> None:
        """No cluster is left."""
        if not self._closed:
            self._closed = True
            self.restore()
            rows = self.lab.run("squeue", "-h", "-o", "%j").split()
            self._missing = STRANGERS - sum(row.startswith("soak.stranger") for row in rows)
            self.lab.close()
            rmtree(self.cluster, ignore_errors=True)
