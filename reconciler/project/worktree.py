"""The way Worktree: each commit is an immutable copy on the source, made once.

Tasks run in it, so that a commit made later changes nothing for tasks that wait, and two revisions run side by side.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.core.dispatch import Hold
from reconciler.core.errors import Refused, RepositoryError
from reconciler.core.model import Commit
from reconciler.core.settings import ProjectConfig
from reconciler.project.base import Brought
from reconciler.repository import Stock
from reconciler.source import Source, worktree


class Worktree:
    """Of one project. A source of this machine reads our mirror directly."""

    def __init__(self, project: ProjectConfig, stock: Stock, bundles: Path) -> None:
        self._project = project
        self._stock = stock
        self._bundles = bundles

    async def bring(self, source: Source, pin: Commit) -> Brought | Hold:
        """See `Way`."""
        question = worktree(self._project.name, pin, str(self._stock.git_dir))
        try:
            return Brought(path=await source.ask(question))
        except Refused:
            if not await self._restocked(pin):
                raise
        return Brought(path=await source.ask(question))

    async def _restocked(self, pin: Commit) -> bool:
        """Whether our mirror has the commit, brought anew if need be: it may have been thrown away as damaged."""
        try:
            return await self._stock.resolve(pin) == pin
        except RepositoryError:
            return False
