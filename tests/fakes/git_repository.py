"""Real repositories for tests, made with the real git, untouched by the account's configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from reconciler.clock import SystemClock
from reconciler.core.settings import RepositoryConfig
from reconciler.repository import Repository


class GitRepository:
    """A checkout (or, with bare, a bare repository) on the branch main."""

    def __init__(self, directory: Path, *, bare: bool = False) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", *(["--bare"] if bare else []))

    def git(self, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> str:
        names = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
        identity = {f"GIT_{name}": "a@example.org" for name in names}
        ours = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": os.environ["PATH"], **identity}
        argv = ["git", "-c", "protocol.file.allow=always", *arguments]
        result = subprocess.run(
            argv, cwd=self.directory, env={**ours, **(environment or {})}, input=stdin, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def write(self, path: str, text: str) -> None:
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self, files: Mapping[str, str] | None = None, *options: str, date: str = "") -> str:
        """Commit these files beside what is there, and return the commit."""
        for path, text in (files or {}).items():
            self.write(path, text)
        self.git("add", "--all")
        environment = {"GIT_COMMITTER_DATE": date} if date else None
        self.git("commit", "--quiet", "--allow-empty", "--message", "a change", *options, environment=environment)
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, entries: str) -> str:
        """Commit a tree as no honest git would write it; entries as for `git mktree --missing`, on the branch main."""
        tree = self.git("mktree", "--missing", "-z", stdin=entries)
        parents = ["-p", "HEAD"] if self.git("for-each-ref", "refs/heads/main") else []
        commit = self.git("commit-tree", "-m", "odd", *parents, tree)
        self.git("update-ref", "refs/heads/main", commit)
        return commit


_opened: list[Repository] = []


def mirror_of(url: Path | str, state: Path, **changes: str) -> Repository:
    """The mirror of a repository below `state`; changes: of its configuration. `close_mirrors` closes it."""
    config = RepositoryConfig(url=str(url), **changes)
    _opened.append(Repository(config, state / "state" / "repository.git", clock=SystemClock()))
    return _opened[-1]


def close_mirrors() -> None:
    """End the processes of git that read for mirrors of this test."""
    while _opened:
        _opened.pop().close()
