"""The reconciler: a daemon, a repository and a commit; every start and end in the store, output files, exit records.

The clock runs from before the commit until the last task is recorded as succeeded: it has fetching, checking, expanding
and accepting in it. The daemon is up before, as the peers' servers are.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.contender import SLOTS
from reconciler import __version__
from reconciler.core.errors import StoreError
from reconciler.core.model import Phase, SweepName
from reconciler.store import Reader

NAME = "reconciler"
SWEEP = SweepName("bench")


def version() -> str:
    return __version__


def dispatch(tasks: int) -> float:
    folder = Path.cwd()
    repository = make_repository(folder)
    daemon = start_daemon(folder, repository, slots=SLOTS)
    try:
        started = time.time()
        commit(repository, manifest(f"{{range: {{start: 0, stop: {tasks}, step: 1}}}}"))
        wait_for(folder, Phase.SUCCEEDED, tasks)
        return time.time() - started
    finally:
        stop_daemon(daemon)


def manifest(values: str, command: str = "[true]", extra: str = "") -> str:
    """A sweep with one axis."""
    return (
        f"apiVersion: reconciler/v1alpha1\nkind: Sweep\nmetadata: {{name: {SWEEP}}}\n"
        f"spec:\n  command: {command}\n  parameters:\n    x: {values}\n{extra}"
    )


def make_repository(folder: Path) -> Path:
    """A repository with one empty commit."""
    repository = folder / "sweeps"
    repository.mkdir()
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "empty")
    return repository


def commit(repository: Path, text: str) -> None:
    (repository / "sweeps.d").mkdir(exist_ok=True)
    (repository / "sweeps.d" / "bench.yaml").write_text(text)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "bench")


def git(repository: Path, *words: str) -> None:
    identity = {
        f"GIT_{who}_{what}": "bench@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-C", str(repository), *words], check=True, capture_output=True, env=environment)


def start_daemon(folder: Path, repository: Path, *, slots: int, limit: int = 100_000) -> subprocess.Popen[bytes]:
    """A daemon that has looked at the repository and at its source."""
    config = folder / "reconciler.yaml"
    config.write_text(
        f"repository: {{url: {repository}, branch: main, path: sweeps.d, interval: 30s}}\n"
        f"sources: {{local: {{scheduler: process, slots: {slots}}}}}\n"
        f"state: {{dir: {folder / 'state'}}}\nresults: {{dir: {folder / 'results'}}}\n"
        f'limits: {{maxTasksPerSweep: {limit}}}\nhttp: {{listen: "127.0.0.1:0"}}\n'
    )
    with (folder / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "reconciler.cli", "--config", str(config), "run"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    wait_until(lambda: (folder / "state" / "http").exists() and source_is_up(folder), daemon)
    return daemon


def source_is_up(folder: Path) -> bool:
    reader = Reader.open(folder / "state")
    try:
        states = [row.state for row in reader.sources()]
    finally:
        reader.close()
    return any(isinstance(state, dict) and state.get("up") is True for state in states)


def wait_for(folder: Path, phase: Phase, tasks: int, timeout_s: float = 600) -> None:
    """Until so many tasks of the sweep are recorded in this phase."""
    reader = Reader.open(folder / "state")
    end = time.time() + timeout_s
    try:
        while count(reader, phase) < tasks:
            if time.time() > end:
                raise TimeoutError(f"{count(reader, phase)} of {tasks} tasks are {phase}")
            time.sleep(0.02)
    finally:
        reader.close()


def count(reader: Reader, phase: Phase) -> int:
    return sum(n for (_, each), n in reader.counts(SWEEP).items() if each is phase)


def wait_until(condition: Callable[[], bool], daemon: subprocess.Popen[bytes], timeout_s: float = 30) -> None:
    end = time.time() + timeout_s
    while True:
        try:
            if condition():
                return
        except StoreError:
            pass  # not made yet
        if time.time() > end or daemon.poll() is not None:
            raise TimeoutError("the daemon did not come up")
        time.sleep(0.05)


def stop_daemon(daemon: subprocess.Popen[bytes]) -> None:
    daemon.send_signal(signal.SIGTERM)
    daemon.wait(30)
