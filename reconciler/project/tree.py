"""The way of code without git: a snapshot, brought like a commit, and compared with the pinned hash where it lies."""

from __future__ import annotations

from pathlib import Path

from reconciler.clock import Clock
from reconciler.core.dispatch import Hold
from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit
from reconciler.core.settings import ProjectConfig
from reconciler.core.trees import TREE_PIN, hash_of, tree_differs_from
from reconciler.core.wire_trees import tree
from reconciler.project.base import Brought, Coming
from reconciler.project.worktree import Worktree
from reconciler.repository import Stock
from reconciler.source import Source


class Snapshot:
    """Of one project."""

    def __init__(self, project: ProjectConfig, stock: Stock, bundles: Path, clock: Clock) -> None:
        self._project = project
        self._stock = stock
        self._worktree = Worktree(project, stock, bundles, clock)

    async def bring(self, source: Source, pin: Commit) -> Brought | Coming | Hold:
        """See `Way`."""
        if not pin.startswith(TREE_PIN):
            message = f"the project {self._project.name} was pinned to {pin[:12]} while it was of another kind"
            return Hold(reason="ProjectNotReady", message=message)
        try:
            commit = await self._stock.resolve(pin)
        except RepositoryError as error:
            return Hold(reason="ProjectNotReady", message=f"{error.message} ({error.hint})")
        found = await self._worktree.bring(source, commit)
        if not isinstance(found, Brought) or self._project.link:  # what is linked in belongs to no snapshot
            return found
        there = await source.ask(tree(found.path, hash_of(pin), self._project.name))
        if there.seal:
            return Brought(path=found.path, seal=there.seal)
        message = f"{found.path} on {source.config.name}: {tree_differs_from(there, None, pin)}"
        return Hold(reason="ProjectDiffers", message=message)
