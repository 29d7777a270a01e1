"""A world of its own for each test: a repository, a configuration, and a real daemon as a process.

The oracle is never the daemon's word: tasks append a line to a log of their own when they run.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "fakes"))  # `from processes import Processes`

from reconciler.cli.telling import read_status, status_json
from reconciler.core.errors import StoreError
from reconciler.core.model import SweepName
from reconciler.store import Reader

GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


class World:
    """One repository and one daemon in a short temporary directory."""

    def __init__(self, root: Path, *, slots: int = 4) -> None:
        self.root = root
        self.repository = root / "sweeps"
        self.state = root / "state"
        self.log = root / "tasks.log"
        self.config = root / "reconciler.yaml"
        self._daemon: subprocess.Popen[bytes] | None = None
        self._mounts: list[Path] = []
        self.repository.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.configure(slots=slots)

    def configure(self, *, slots: int, extra: str = "") -> None:
        self.config.write_text(
            f"repository: {{url: {self.repository}, branch: main, path: sweeps.d, interval: 1s}}\n"
            f"sources: {{local: {{scheduler: process, slots: {slots}}}}}\n"
            f"state: {{dir: {self.state}}}\n"
            f"results: {{dir: {self.root / 'results'}}}\n"
            'http: {listen: "127.0.0.1:0"}\n' + extra
        )

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.repository), *words],
            env={**os.environ, **GIT_ENVIRONMENT},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, **files: str | None) -> str:
        """Commit manifests by name (`None` deletes), and return the commit."""
        folder = self.repository / "sweeps.d"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            path = folder / f"{name}.yaml"
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")

    def manifest(self, name: str, parameters: str, *, command: str = "", extra: str = "") -> str:
        """A sweep whose tasks log themselves, then run `command` in a shell."""
        script = f'echo "$RECONCILER_SWEEP $RECONCILER_TASK $RECONCILER_ATTEMPT" >> {self.log}; {command or "true"}'
        return (
            "apiVersion: reconciler/v1alpha1\nkind: Sweep\n"
            f"metadata: {{name: {name}}}\n"
            "spec:\n"
            f"  command: [sh, -c, {json.dumps(script)}]\n"
            f"  parameters: {parameters}\n" + extra
        )

    def run(self, *words: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """One command of ours."""
        return subprocess.run(
            [sys.executable, "-m", "reconciler.cli", "--config", str(self.config), *words],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd=self.root,
        )

    def start(self) -> subprocess.Popen[bytes]:
        """The daemon, as a process of its own."""
        with (self.root / "daemon.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [sys.executable, "-m", "reconciler.cli", "--config", str(self.config), "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
            )
        return self._daemon

    def kill(self) -> None:
        """kill -9 of the daemon alone."""
        assert self._daemon is not None
        self._daemon.kill()
        self._daemon.wait()
        self._daemon = None

    def stop(self) -> int:
        """TERM, as an operator would; returns the exit code."""
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGTERM)
        code = self._daemon.wait(20)
        self._daemon = None
        return code

    def mount(self, folder: Path, options: str) -> None:
        """A private tmpfs; it is unmounted when the test ends. The test is marked `mounts`."""
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
        self._mounts.append(folder)

    def close(self) -> None:
        """Nothing of it is left: no daemon, no task, no mount, no file."""
        if self._daemon is not None:
            self.kill()
        deadline = time.monotonic() + 10
        while (mine := self._processes()) and time.monotonic() < deadline:
            for pid in mine:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for folder in reversed(self._mounts):
            subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def _processes(self) -> list[int]:
        """Shims are known by their claims, tasks by the folder that they were given."""
        mine = [claim["pid"] for claim in self.claims() if claim["kind"] == "started" and _is_shim(claim)]
        mark = f"RECONCILER_OUTPUT={self.state}/".encode()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                    mine.append(int(entry.name))
        return mine

    def claims(self) -> list[dict[str, Any]]:
        """Every start and every revocation, as it lies on the disk."""
        return [json.loads(path.read_text()) for path in sorted(self.state.rglob("claim"))]

    def status(self) -> dict[str, Any]:
        """What `status -o json` says, read in this process: the start of a command takes longer than the answer."""
        try:
            reader = Reader.open(self.state)
        except StoreError:  # the daemon has not made it yet
            return {"sweeps": [], "sources": [], "revision": None}
        try:
            told: Any = status_json(read_status(reader))
        finally:
            reader.close()
        return dict(told)

    def sweep(self, name: str) -> dict[str, Any]:
        """The sweep's status, or an empty one."""
        return next((sweep for sweep in self.status()["sweeps"] if sweep["name"] == name), {"tasks": Counter()})

    def counts(self, name: str) -> dict[str, int]:
        return dict(self.sweep(name)["tasks"])

    def tasks(self, name: str) -> dict[str, dict[str, Any]]:
        """The parameters of each desired task of a sweep, in declared order."""
        reader = Reader.open(self.state)
        try:
            return {str(task.key.task): dict(task.parameters) for task in reader.tasks(SweepName(name), limit=10_000)}
        finally:
            reader.close()

    def directories(self, name: str) -> dict[str, str]:
        """Where the newest attempt of each task lies."""
        found = {}
        for path in self.state.rglob("spec.json"):
            spec = json.loads(path.read_text())
            if spec.get("sweep") == name and spec["attempt"] >= found.get(spec["task"], (0, ""))[0]:
                found[spec["task"]] = (spec["attempt"], str(path.parent))
        return {task: directory for task, (_, directory) in found.items()}

    def wait(self, what: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Until it is so; the daemon's log is shown when it never is."""
        end = time.monotonic() + timeout_s
        while not what():
            if time.monotonic() > end:
                log = (self.root / "daemon.log").read_text(errors="replace")[-4000:]
                pytest.fail(f"never became true; the daemon said:\n{log}", pytrace=True)
            time.sleep(0.05)

    def succeeded(self, name: str, count: int, timeout_s: float = 60.0) -> None:
        """Wait until so many tasks of a sweep have succeeded, and nothing else is left of it."""
        self.wait(lambda: self.counts(name).get("succeeded") == count == self.counts(name).get("desired"), timeout_s)

    def runs(self) -> Counter[str]:
        """How often each task really ran, by its own log: `sweep task` → lines."""
        if not self.log.exists():
            return Counter()
        return Counter(line.rsplit(" ", 1)[0] for line in self.log.read_text().splitlines())


def _is_shim(claim: dict[str, Any]) -> bool:
    """Whether the process that won the claim still lives; its pid may have been given to another since."""
    try:
        fields = Path(f"/proc/{claim['pid']}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] != "Z" and int(fields[19]) == claim["start"]


@contextlib.contextmanager
def a_world(slots: int = 4) -> Iterator[World]:
    world = World(Path(tempfile.mkdtemp(prefix="rc-")), slots=slots)
    try:
        yield world
    finally:
        world.close()


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as world:
        yield world


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """One world, and a daemon that runs, for all tests of a module: each test has sweeps of its own."""
    with a_world(slots=64) as world:
        world.start()
        yield world
