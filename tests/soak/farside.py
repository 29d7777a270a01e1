"""Two machines more: sources over real sshd, whose connections are cut, and which are stopped and come back.

Each has a root of its own. What their tasks write is known from their values, so that what lies in the results tree in
the end is compared with what must lie there, byte by byte.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from reconciler.core.errors import StoreError
from reconciler.core.model import SweepName, Task
from reconciler.store import Reader
from tests.fakes.processes import MARK
from tests.fakes.ssh_lab import ADDRESS, SshHost, SshLab
from tests.soak.ground import SWEEP, Ground, Start

NAMES = ("box-a", "box-b")
CUT_EVERY_S = 1.2  # of the life of a daemon, on average
AGENT_SHARE = 0.4  # of the lives
OUTAGE_SHARE = 0.3
OUTAGE_S = (0.3, 3.0)
LONG_EVERY = 25  # so many tasks write more than one piece
LONG_LINES = 60_000
MOST_TASKS = 1_000_000
UP_S = 20.0
LOOK_S = 0.02


class FarGround(Ground):
    """A ground with three sources: this machine, and two others."""

    LENGTHS_S = ((0.3, 0.05), (1.0, 0.5))
    MORE = (
        f'echo "value $1"; expr $1 % {LONG_EVERY} >/dev/null || seq {LONG_LINES} >&2; '
        'echo "{\\"value\\": $1}" > "$RECONCILER_OUTPUT/metrics.json"; '
    )

    def __init__(self, folder: Path, *, slots: int, seed: int) -> None:
        super().__init__(folder, slots=slots, seed=seed)
        self.lab = SshLab(folder / "ssh")
        self.lab.config.write_text(f"SetEnv {MARK}={folder}\n")
        self.hosts = [self.lab.host(name, more=(f"AcceptEnv {MARK}",)) for name in NAMES]
        own = f"root: {self.root}}}"
        far = "".join(f", {host.name}: {self._source(host, slots)}" for host in self.hosts)
        self.world.config.write_text(self.world.config.read_text().replace(own, own + far))

    def _source(self, host: SshHost, slots: int) -> str:
        lab, address = self.lab, f"ssh://{getpass.getuser()}@{ADDRESS}:{host.port}"
        return (
            f"{{scheduler: process, slots: {slots}, host: '{address}', root: {host.folder / 'root'}, "
            f"identityFile: {lab.identity}, knownHosts: {lab.known_hosts}, sshConfig: {lab.config}}}"
        )

    def roots(self) -> list[Path]:
        """Of all sources."""
        return [self.root, *(host.folder / "root" for host in self.hosts)]

    def start(self) -> Start:
        """A daemon that serves: on a busy machine, connections to others would not be made in a short life."""
        start, until = super().start(), time.monotonic() + UP_S
        while not (self.world.state / "http").exists() and self.died() is None and time.monotonic() < until:
            time.sleep(LOOK_S)
        return start

    # -- attacks

    def attacks(self, dice: random.Random, life_s: float) -> list[tuple[float, Callable[[], None]]]:
        """Connections and agents that are killed, and now and then a machine that is away for a while."""
        self.restore()
        cuts = [dice.uniform(0, life_s) for _ in range(round(dice.expovariate(CUT_EVERY_S / life_s)))]
        found: list[tuple[float, Callable[[], None]]] = [(at, lambda: self._cut(dice)) for at in cuts]
        if dice.random() < AGENT_SHARE:
            found.append((dice.uniform(0, life_s), lambda: self.kill_agent(dice)))
        if dice.random() < OUTAGE_SHARE:
            host, at = dice.choice(self.hosts), dice.uniform(0, life_s)
            found += [(at, lambda: self._stop(host))]
            back = at + dice.uniform(*OUTAGE_S)
            found += [(back, self.restore)] if back < life_s else []
        return found

    def _cut(self, dice: random.Random) -> None:
        """kill -9 of one or of all of the processes that serve logins on one machine."""
        host = dice.choice(self.hosts)
        sessions = host.sessions()
        for pid in sessions if dice.random() < 0.5 else sessions and [dice.choice(sessions)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.cuts += 1

    def _stop(self, host: SshHost) -> None:
        sessions = len(host.sessions())
        host.cut()
        host.stop()
        self.outages += 1
        self.cuts += sessions

    def restore(self) -> None:
        """Nothing is away any more."""
        for host in self.hosts:
            if host.process is None:
                host.start()

    def close(self) -> None:
        """No sshd is left; agents end with their connections."""
        self.lab.close()

    # -- what has come here

    def settled(self) -> bool:
        """Whether nothing more is to come here."""
        reader = Reader.open(self.world.state)
        try:
            return not reader.uncollected_counts()
        finally:
            reader.close()

    def faults(self) -> list[str]:
        """Results that did not come as they were written."""
        try:
            reader = Reader.open(self.world.state)
        except StoreError as error:
            return [error.message]
        try:
            tasks = list(reader.tasks(SweepName(SWEEP), limit=MOST_TASKS))
            left = [f"{n} results of {source} have not come" for source, n in reader.uncollected_counts().items()]
        finally:
            reader.close()
        far = [task for task in tasks if task.source in NAMES]
        wrong = [f"the results of task {task.parameters['n']}: {why}" for task in far if (why := self._differs(task))]
        self.collected = len(far) - len(wrong)
        used = {task.source for task in far}
        return [*left, *wrong, *(f"nothing was left to run on {name}" for name in NAMES if name not in used)]

    def _differs(self, task: Task) -> str:
        folder = self.folder / "results" / SWEEP / "tasks" / task.key.task
        try:
            status = yaml.safe_load((folder / "status.yaml").read_text())
            written = {name: file.encode() for name, file in _written(int(str(task.parameters["n"]))).items()}
            written["exit.json"] = (Path(status["directory"]) / "exit.json").read_bytes()
            here = {name: (folder / name).read_bytes() for name in written}
            told = {name: status["files"][name] for name in written}
        except (OSError, KeyError) as error:
            return str(error)
        hashes = {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in written.items()
        }
        names = [name for name in written if here[name] != written[name] or told[name] != hashes[name]]
        return ", ".join([*names, *([] if status["source"] == task.source else ["source"])])


def _written(value: int) -> Mapping[str, str]:
    """What a task of this value writes."""
    lines = range(1, LONG_LINES + 1) if value % LONG_EVERY == 0 else ()
    return {
        "stdout.log": f"value {value}\n",
        "stderr.log": "".join(f"{line}\n" for line in lines),
        "metrics.json": f'{{"value": {value}}}\n',
    }
