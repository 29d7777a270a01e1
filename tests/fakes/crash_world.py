"""A small world whose daemon is really killed at a named point, and what must be true in the end.

A story is played against a daemon that may die at any moment: whoever waits looks after it, and starts it again. The
point is passed once, over all processes and restarts, because the token that arms it can be unlinked but once.

The oracle is the tasks' own log: a line when one begins and one when it is done, and a lock of the task's own, held as
long as anything of it lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from processes import MARK, Processes, text_of
from recount import faults
from zygote import Zygote

from reconciler import requests
from reconciler.core.errors import StoreError
from reconciler.store import Reader

PATIENCE_S = 100.0
LOOK_EVERY_S = 0.05
GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


class NeverTrueError(Exception):
    """What a story waited for did not come."""


class CrashWorld:
    """One repository, one root and one daemon, which dies at each of `points` in turn."""

    def __init__(self, zygote: Zygote, points: tuple[str, ...], *, slots: int = 4) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rx-"))
        self.state = self.folder / "state"
        self.root = self.folder / "root"
        self.marks = self.folder / "marks"
        self.processes = Processes(self.folder)
        self.points = points
        self.passed = 0  # how many of them somebody has died at
        self.between: Callable[[], None] | None = None  # to be done after the first death, before the next start
        self._zygote = zygote
        self._repository = self.folder / "sweeps"
        self._log = self.folder / "tasks.log"
        self._pid = 0
        self._asked = 0
        self._head = ""  # of the repository
        self._reader: Reader | None = None
        for folder in (self._repository / "sweeps.d", self.marks):
            folder.mkdir(parents=True)
        self._token.touch()
        self.collects = False
        self.configure(slots)
        self.git("init", "--quiet", "--initial-branch=main")

    @property
    def _token(self) -> Path:
        """One for each point: a shim that has outlived the last death must not die at that point once more."""
        return self.folder / f"token.{self.passed}"

    # -- the repository

    def configure(self, slots: int) -> None:
        (self.folder / "reconciler.yaml").write_text(
            f"repository: {{url: {self._repository}, branch: main, path: sweeps.d, interval: 1s}}\n"
            f"sources: {{local: {{scheduler: process, slots: {slots}, root: {self.root}}}}}\n"
            f"state: {{dir: {self.state}}}\n"
            f"results: {{dir: {self.folder}/results, sources: {'All' if self.collects else 'Hosts'}}}\n"
            'http: {listen: "127.0.0.1:0"}\n'
        )

    def git(self, *words: str) -> str:
        command = ["git", "-C", str(self._repository), "-c", "maintenance.auto=false", *words]
        environment = {**os.environ, **GIT_ENVIRONMENT}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, *, amend: bool = False, **files: str | None) -> None:
        """Manifests by name; None takes one away."""
        for name, text in files.items():
            path = self._repository / "sweeps.d" / f"{name}.yaml"
            if text is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change", *(["--amend"] if amend else []))
        self._head = (self._repository / ".git/refs/heads/main").read_text().strip()

    def manifest(self, name: str, values: list[int], command: str, extra: str = "") -> str:
        """A sweep of tasks that hold a lock of their own, and log when they begin and when they are done."""
        who = "$RECONCILER_SWEEP $RECONCILER_TASK $RECONCILER_ATTEMPT $(n)"
        lock = f"{self.marks}/$RECONCILER_SWEEP.$RECONCILER_TASK"
        script = (
            f'exec 9>>{lock}; flock -n 9 || echo "doubled {who}" >> {self._log}; echo "begun {who}" >> {self._log}; '
            f'{command} || exit 3; echo "done {who}" >> {self._log}'
        )
        return (
            f"apiVersion: reconciler/v1alpha1\nkind: Sweep\nmetadata: {{name: {name}}}\nspec:\n"
            f"  command: [sh, -c, {json.dumps(script)}]\n  parameters: {{n: {values}}}\n{extra}"
        )

    # -- the daemon

    def start(self, command: str = "run") -> None:
        environment = {**os.environ, MARK: str(self.folder)}
        if self.passed < len(self.points):
            environment["RECONCILER_CRASH_AT"] = self.points[self.passed]
            environment["RECONCILER_CRASH_TOKEN"] = str(self._token)
        words = ("--config", str(self.folder / "reconciler.yaml"), command)
        self._pid = self._zygote.start(
            words, environment=environment, folder=self.folder, log=self.folder / "daemon.log"
        )

    def rebuild(self) -> None:
        """Make the state anew, and again when that is killed, unless it had come to its end."""
        self._forget_reader()
        self.start("rebuild")
        code = self._ended()
        if code == -signal.SIGKILL:
            self.passed += 1
            self.start("rebuild")
            code = self._ended()
        if code and not (self.passed and "StateIsWhole" in self._said()):
            raise NeverTrueError(f"it was not rebuilt:\n{self._said()}")

    def copy(self) -> bytes:
        """The state, of a daemon that has stopped: whoever reads meanwhile would keep a part of it in the log."""
        self._forget_reader()
        self.stop()
        return (self.state / "state.db").read_bytes()

    def put_back(self, copy: bytes) -> None:
        """The state is what it was when it was copied."""
        self._forget_reader()
        for side in ("-wal", "-shm"):
            (self.state / f"state.db{side}").unlink(missing_ok=True)
        (self.state / "state.db").write_bytes(copy)

    def end(self, number: signal.Signals) -> int:
        """End the daemon; returns its exit code."""
        assert self._pid > 0
        os.kill(self._pid, number)
        return self._ended()

    def _ended(self) -> int:
        deadline = time.monotonic() + PATIENCE_S
        while (code := self._zygote.ended(self._pid)) is None:
            if time.monotonic() > deadline:
                raise NeverTrueError(f"it does not end:\n{self._said()}")
            time.sleep(0.01)
        self._pid = 0
        return code

    def restart(self) -> None:
        """As an operator would who cannot wait."""
        self.end(signal.SIGKILL)
        self.start()

    def stop(self) -> None:
        """TERM. One that is killed on the way out is started again, to come to the same end."""
        while (code := self.end(signal.SIGTERM)) == -signal.SIGKILL:
            self.tend()
        if code:
            raise NeverTrueError(f"the daemon ended with {code}")

    def tend(self) -> None:
        """Whoever was killed lives again; after a death at one point the next one is armed."""
        code = self._zygote.ended(self._pid) if self._pid else None
        if code is not None:
            self._pid = 0
            if code != -signal.SIGKILL:
                raise NeverTrueError(f"the daemon ended with {code}")
        if self.passed < len(self.points) and not self._token.exists():
            self.passed += 1
            if self.passed < len(self.points):
                self._arm_next()
        if not self._pid:
            self.start()

    def _arm_next(self) -> None:
        """A daemon that outlived it, because another process died, would not know of the next point."""
        if self._pid:
            self.end(signal.SIGKILL)
        if self.between is not None:
            self.between()
        self._token.touch()

    def until(self, what: Callable[[], bool]) -> None:
        """Raises NeverTrue with what the daemon said."""
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            if time.monotonic() > deadline:
                raise NeverTrueError(f"never came true: {self.sweeps()}\n{self._said()}")
            self.tend()
            time.sleep(LOOK_EVERY_S)

    def _said(self) -> str:
        return text_of(self.folder / "daemon.log")[-3000:]

    def ask(self, verb: requests.Verb, **arguments: Any) -> None:
        """Leave a request."""
        self._asked += 1
        action = requests.Action(id=f"r{self._asked}", verb=verb, at=time.time(), by="a", arguments=arguments)
        requests.submit(self.state, action)

    def answered(self) -> bool:
        """Whether no request waits."""
        return not list(requests.directory(self.state).glob("*"))

    def unanswered(self) -> list[str]:
        """Requests without an outcome."""
        asked = [f"r{number}" for number in range(1, self._asked + 1)]
        return [name for name in asked if requests.outcome(self.state, name) is None]

    # -- what is known

    def sweeps(self) -> dict[str, Counter[str]]:
        """Desired tasks by phase, of each sweep, and all of them; none before the newest commit is in force."""
        if self._reader is None:
            try:
                self._reader = Reader.open(self.state)
            except StoreError:  # not made so far
                return {}
        if self._reader.repository().accepted != self._head:
            return {}
        found = {}
        for sweep in self._reader.sweeps():
            counts = self._reader.counts(sweep.name)
            found[str(sweep.name)] = Counter({"desired": sum(counts.values())})
            for (_, phase), count in counts.items():
                found[str(sweep.name)][phase.value] += count
        return found

    def _forget_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def lines(self, kind: str) -> list[tuple[str, ...]]:
        """(sweep, task, attempt, n) of each line of the tasks' log that begins with this word."""
        rows = (line.split() for line in text_of(self._log).splitlines())
        return [tuple(row[1:]) for row in rows if row[0] == kind]

    def started(self) -> dict[tuple[str, ...], bool]:
        """(sweep, task, attempt, n) of each start that somebody has won → whether its end was recorded."""
        found = {}
        for claim in self.root.glob("attempts/*/*/claim"):
            if json.loads(claim.read_text())["kind"] == "started":
                spec = json.loads((claim.parent / "spec.json").read_text())
                key = (spec["sweep"], spec["task"], str(spec["attempt"]), str(spec["parameters"]["n"]))
                found[key] = (claim.parent / "exit.json").exists()
        return found

    def collected(self) -> bool:
        """Whether nothing is to be collected any more, and the reader knows it."""
        return not self.collects or (self._reader is not None and not self._reader.uncollected_counts())

    def pinned(self) -> bool:
        """Whether nothing waits to be pinned anew."""
        return self._reader is not None and not self._reader.repins()

    def uncollected(self) -> list[str]:
        """Files of ended attempts that do not lie in the results tree as they lie on the source."""
        found = []
        for record in self.root.glob("attempts/*/*/exit.json") if self.collects else ():
            spec = json.loads((record.parent / "spec.json").read_text())
            folder = (
                self.folder / "results" / spec["sweep"] / "tasks" / spec["task"] / "attempts" / str(spec["attempt"])
            )
            for name in ("stdout.log", "stderr.log", "exit.json", "params.json"):
                here, there = folder / name, record.parent / name
                if not here.exists() or here.read_bytes() != there.read_bytes():
                    found.append(f"{here} is not what was written")
        results = self.folder / "results"
        return found + [f"left: {path}" for path in results.rglob(".*") if self.collects and path.is_file()]

    def phases(self) -> dict[tuple[str, str, str], str]:
        """What the store holds of each attempt: (sweep, task, number) → phase."""
        database = sqlite3.connect(f"file:{self.state}/state.db?mode=ro", uri=True)
        sql = "SELECT s.name, a.task, a.number, a.phase FROM attempts a JOIN sweeps s ON s.id = a.sweep"
        found = {(sweep, task, str(number)): phase for sweep, task, number, phase in database.execute(sql)}
        database.close()
        return found

    def left(self) -> list[str]:
        """What lives although the daemon was stopped: agents and idle shims take a moment to see that."""
        deadline = time.monotonic() + 10
        while (found := self.processes.left()) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S)
        return found

    def recount(self) -> list[str]:
        return faults(self.state)

    def close(self) -> None:
        """Nothing of it is left."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                self.end(signal.SIGKILL)
        self._forget_reader()
        self.processes.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def crash_world(zygote: Zygote, points: tuple[str, ...]) -> Iterator[CrashWorld]:
    world = CrashWorld(zygote, points)
    try:
        yield world
    finally:
        world.close()
