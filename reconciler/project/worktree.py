"""The way Worktree: each commit is an immutable copy on the source, made once.

Tasks run in it, so that a commit made later changes nothing for tasks that wait, and two revisions run side by side.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.core.dispatch import Hold
from reconciler.core.model import Commit, ProjectName
from reconciler.project.base import Brought
from reconciler.source import Source, worktree


class Worktree:
    """Of one project. A source of this machine reads our mirror directly."""

    def __init__(self, project: ProjectName, mirror: Path) -> None:
        self._project = project
        self._mirror = mirror

    async def bring(self, source: Source, pin: Commit) -> Brought | Hold:
        """See `Way`."""
        return Brought(path=await source.ask(worktree(self._project, pin, str(self._mirror))))
