"""The way Worktree: each commit is an immutable copy on the source, made once.

Tasks run in it, so that a commit made later changes nothing for tasks that wait, and two revisions run side by side.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.core.dispatch import Hold
from reconciler.core.errors import Refused, RepositoryError
from reconciler.core.model import Commit
from reconciler.core.settings import ProjectConfig
from reconciler.core.wire_code import LaidOut, worktree
from reconciler.project.base import Brought
from reconciler.repository import Stock
from reconciler.source import Source


class Worktree:
    """Of one project. A source of this machine reads our mirror directly."""

    def __init__(self, project: ProjectConfig, stock: Stock, bundles: Path) -> None:
        self._project = project
        self._stock = stock
        self._bundles = bundles

    async def bring(self, source: Source, pin: Commit) -> Brought | Hold:
        """See `Way`."""
        try:
            laid_out = await self._lay_out(source, pin)
        except Refused as error:
            if error.reason == "WorktreeDiffers":
                return Hold(reason="ProjectDiffers", message=f"{error.message} ({error.hint})")
            if error.reason != "CommitMissing" or not await self._restocked(pin):
                raise
            laid_out = await self._lay_out(source, pin)
        return Brought(path=laid_out.path, seal=laid_out.seal)

    async def _lay_out(self, source: Source, pin: Commit) -> LaidOut:
        project = self._project
        return await source.ask(worktree(project.name, pin, project.link, str(self._stock.git_dir)))

    async def _restocked(self, pin: Commit) -> bool:
        """Whether our mirror has the commit, brought anew if need be: it may have been thrown away as damaged."""
        try:
            return await self._stock.resolve(pin) == pin
        except RepositoryError:
            return False
