"""The demo's folder: a git repository of manifests, a configuration, and a daemon that serves it on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.cli.demo.manifest import FILE
from reconciler.cli.git import git
from reconciler.cli.logfiles import tail
from reconciler.cli.shipped import shipped
from reconciler.core.errors import ReconcilerError, UsageError
from reconciler.core.model import Commit

STOP_S = 20.0
LOG_LINES = 20
SLOTS = 4
GIT_SETTINGS = (
    "user.name=reconciler demo",
    "user.email=demo@localhost",
    "commit.gpgSign=false",
    "core.hooksPath=/dev/null",
    "core.autocrlf=false",
    "color.ui=false",
)


class World:
    """Everything that the demo makes lies in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.repository = directory / "repository"
        self.state = directory / "state"
        self.config = directory / "reconciler.yaml"
        self.log = directory / "daemon.log"
        self._daemon: subprocess.Popen[bytes] | None = None

    def build(self) -> None:
        """Make the repository and the configuration. Raises UsageError (GitMissing, GitFailed, FolderNotEmpty)."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if any(self.directory.iterdir()):
            raise UsageError("FolderNotEmpty", f"{self.directory} is not empty", hint="name another folder")
        self.repository.mkdir()
        self._git("init", "--quiet", "--initial-branch=main")
        example = self.repository / "examples" / "ising"
        example.mkdir(parents=True)
        shutil.copyfile(shipped("examples/ising/ising.py"), example / "ising.py")
        self.config.write_text(json.dumps(self._config(), indent=2) + "\n")  # JSON is YAML, whatever the path is

    def _config(self) -> dict[str, object]:
        slots = max(2, min(SLOTS, len(os.sched_getaffinity(0))))
        return {
            "repository": {"url": str(self.repository), "branch": "main", "path": "sweeps.d", "interval": "5s"},
            "sources": {"here": {"scheduler": "process", "slots": slots, "root": str(self.directory / "source")}},
            "state": {"dir": str(self.state)},
            "results": {"dir": str(self.directory / "results")},
            "http": {"listen": "127.0.0.1:0"},
        }

    def commit(self, manifest: str, message: str) -> Commit:
        """Write the manifest and commit it."""
        path = self.repository / FILE
        path.parent.mkdir(exist_ok=True)
        path.write_text(manifest)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)
        return Commit(self._git("rev-parse", "HEAD").strip())

    def difference(self) -> list[str]:
        """The lines that the last commit took away and added."""
        lines = self._git("show", "--format=", "--unified=0", "HEAD", "--", FILE).splitlines()
        return [line for line in lines if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")]

    def _git(self, *arguments: str) -> str:
        """git, whatever the settings of this account say about names, signatures and hooks."""
        return git(self.repository, *arguments, settings=GIT_SETTINGS)

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """A daemon for as long as the block runs, then stopped by TERM."""
        argv = [sys.executable, "-m", "reconciler.cli", "--config", str(self.config), "run"]
        with self.log.open("wb") as log:
            self._daemon = subprocess.Popen(argv, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield
        finally:
            self._stop(self._daemon)

    def _stop(self, daemon: subprocess.Popen[bytes]) -> None:
        daemon.terminate()
        try:
            daemon.wait(STOP_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def check_daemon(self) -> None:
        """Raises ReconcilerError when the daemon has ended by itself."""
        if self._daemon is not None and self._daemon.poll() is not None:
            raise ReconcilerError("DaemonEnded", f"the daemon ended with exit code {self._daemon.returncode}")

    def log_tail(self) -> list[str]:
        """The end of what the daemon said."""
        return tail(self.log, LOG_LINES)

    def metrics_url(self) -> str:
        """Where the metrics are, "" while the daemon has not said."""
        with contextlib.suppress(OSError):
            return (self.state / "http").read_text().strip().rstrip("/") + "/metrics"
        return ""
