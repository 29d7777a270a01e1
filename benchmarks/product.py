"""The whole product under measurement: a repository, a daemon on it, and what the two of them have recorded.

Everything lies under one folder, which the caller makes and removes. Nothing reaches into the daemon: it is watched
through its store, its metrics and /proc, as an operator would.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.core.errors import StoreError
from reconciler.core.model import Phase, SweepName
from reconciler.store import Reader

SWEEP = SweepName("bench")
SOURCE = "local"
TIMEOUT_S = 600


def manifest(values: str, command: str = '["true"]', extra: str = "", name: str = SWEEP) -> str:
    """A sweep with one axis; `extra`: further lines of the spec."""
    return (
        f"apiVersion: reconciler/v1alpha1\nkind: Sweep\nmetadata: {{name: {name}}}\n"
        f"spec:\n  command: {command}\n  parameters:\n    x: {values}\n{extra}"
    )


def whole_numbers(count: int) -> str:
    """The axis 0, 1, … count - 1."""
    return f"{{range: {{start: 0, stop: {count}, step: 1}}}}"


def make_repository(folder: Path) -> Path:
    """A repository with one empty commit."""
    repository = folder / "sweeps"
    repository.mkdir()
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "empty")
    return repository


def commit(repository: Path, text: str, name: str = SWEEP) -> float:
    """Commit a manifest; returns the instant just before `git commit` was started."""
    (repository / "sweeps.d").mkdir(exist_ok=True)
    (repository / "sweeps.d" / f"{name}.yaml").write_text(text)
    git(repository, "add", "--all")
    began = time.time()
    git(repository, "commit", "--quiet", "--message", "bench")
    return began


def git(repository: Path, *words: str) -> None:
    identity = {
        f"GIT_{who}_{what}": "bench@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-C", str(repository), *words], check=True, capture_output=True, env=environment)


class Daemon:
    """A running daemon."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self._folder = folder
        self.process = process

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """The store as it is now."""
        reader = Reader.open(self._folder / "state")
        try:
            yield reader
        finally:
            reader.close()

    def metrics(self) -> str:
        """The page of /metrics."""
        url = (self._folder / "state" / "http").read_text().strip()
        with urllib.request.urlopen(url + "/metrics", timeout=10) as answer:
            return str(answer.read(), "utf-8")

    def wait_for_tasks(self, phase: Phase, tasks: int, sweep: SweepName = SWEEP) -> None:
        """Until so many tasks of the sweep are recorded in this phase."""
        with self.reader() as reader:
            self.wait(lambda: count(reader, sweep, phase) >= tasks, f"{tasks} tasks {phase}", every_s=0.02)

    def wait(self, condition: Callable[[], bool], what: str, *, every_s: float = 0.05) -> None:
        """Until the condition holds; a daemon that is gone, or takes too long, is an error."""
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                raise TimeoutError(f"waited in vain for {what}: {self.last_words()}")
            time.sleep(every_s)

    def is_up(self) -> bool:
        """Whether it serves, and has told that its source can be used."""
        if not (self._folder / "state" / "http").exists():
            return False
        try:
            with self.reader() as reader:
                states = [row.state for row in reader.sources()]
        except StoreError:
            return False  # not made yet
        return any(isinstance(state, dict) and state.get("up") is True for state in states)

    def last_words(self) -> str:
        return (self._folder / "daemon.log").read_text()[-1000:]


def configure(
    folder: Path, repository: Path, *, slots: int, limit: int = 100_000, source: str = "", collect: bool = False
) -> Path:
    """A configuration with one source: this machine with so many slots, or `source`, an entry of the configuration.

    collect: fetch the results of this machine, too.
    """
    config = folder / "reconciler.yaml"
    source = source or f"{{scheduler: process, slots: {slots}}}"
    config.write_text(
        f"repository: {{url: {repository}, branch: main, path: sweeps.d, interval: 30s}}\n"
        f"sources: {{{SOURCE}: {source}}}\nstate: {{dir: {folder / 'state'}}}\n"
        f"results: {{dir: {folder / 'results'}, sources: {'All' if collect else 'Hosts'}}}\n"
        f'limits: {{maxTasksPerSweep: {limit}}}\nhttp: {{listen: "127.0.0.1:0"}}\n'
    )
    return config


@contextmanager
def running(
    folder: Path, repository: Path, *, slots: int, limit: int = 100_000, source: str = "", collect: bool = False
) -> Iterator[Daemon]:
    """A daemon that has looked at its source, stopped at the end; see `configure`."""
    config = configure(folder, repository, slots=slots, limit=limit, source=source, collect=collect)
    (folder / "state" / "http").unlink(missing_ok=True)
    with (folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler.cli", "--config", str(config), "run"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    daemon = Daemon(folder, process)
    try:
        daemon.wait(daemon.is_up, "the daemon")
        yield daemon
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def count(reader: Reader, sweep: SweepName, phase: Phase) -> int:
    return sum(n for (_, each), n in reader.counts(sweep).items() if each is phase)
