"""The way Worktree: each commit is an immutable copy on the source, made once.

Tasks run in it, so that a commit made later changes nothing for tasks that wait, and two revisions run side by side.
A source of this machine reads our mirror directly; to any other one missing commits are brought first.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import assert_never

from reconciler.clock import Clock
from reconciler.core.dispatch import Hold
from reconciler.core.errors import Refused
from reconciler.core.model import Commit
from reconciler.core.settings import ProjectConfig, Transfer
from reconciler.core.wire_code import fetch, worktree
from reconciler.project.base import Brought, Coming
from reconciler.project.transfer import send
from reconciler.repository import Stock, parse_address
from reconciler.source import Source


class Worktree:
    """Of one project. bundles: a folder for what is on its way."""

    def __init__(self, project: ProjectConfig, stock: Stock, bundles: Path, clock: Clock) -> None:
        self._project = project
        self._stock = stock
        self._bundles = bundles
        self._clock = clock

    async def bring(self, source: Source, pin: Commit) -> Brought | Coming | Hold:
        """See `Way`."""
        project = self._project
        git_dir = str(self._stock.git_dir) if source.config.host is None else None
        question = worktree(project.name, pin, project.link, git_dir)
        try:
            laid_out = await source.ask(question)
        except Refused as error:
            if error.reason == "WorktreeDiffers":
                return Hold(reason="ProjectDiffers", message=f"{error.message} ({error.hint})")
            if error.reason != "CommitMissing":
                raise
            return Coming(supply=partial(self._supply, source, pin))
        return Brought(path=laid_out.path, seal=laid_out.seal)

    async def _supply(self, source: Source, pin: Commit) -> int:
        project = self._project
        if source.config.host is None:  # our mirror was thrown away as damaged, say
            await self._stock.resolve(pin)
            return 0
        match project.transfer:
            case Transfer.BUNDLE:
                return await send(
                    source, project.name, pin, stock=self._stock, bundles=self._bundles, clock=self._clock
                )
            case Transfer.FETCH:
                address = parse_address(project.url)
                await source.ask(fetch(project.name, pin, address.url, address.protocol))
                return 0
            case _:
                assert_never(project.transfer)
