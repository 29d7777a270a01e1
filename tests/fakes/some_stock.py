"""Where the code of the repository itself lies here, for tests that bring none from elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from reconciler.clock import SystemClock
from reconciler.core.model import Commit
from reconciler.core.settings import SELF, ProjectConfig
from reconciler.project import Ways, Worktree


class SomeStock:
    """A mirror that has every commit."""

    def __init__(self, git_dir: Path) -> None:
        self.git_dir = git_dir

    async def resolve(self, revision: str) -> Commit:
        return Commit(revision)

    async def bundle(self, commit: Commit, have: Collection[Commit], file: Path) -> None:
        file.write_bytes(b"")


def only_self(git_dir: Path) -> Ways:
    """One project, `self`, whose mirror is this."""
    return {
        SELF: Worktree(
            ProjectConfig(name=SELF, url="/r"), SomeStock(git_dir), git_dir.with_name("bundles"), SystemClock()
        )
    }
