"""The mirror of a project: code that sweeps run, and that is not the repository of the manifests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from reconciler.clock import Clock
from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit, ProjectName
from reconciler.core.settings import SELF, Config, ProjectConfig, ProjectKind
from reconciler.repository.address import parse_address
from reconciler.repository.bundles import write_bundle
from reconciler.repository.mirror import Mirror
from reconciler.repository.revisions import Revisions

T = TypeVar("T")

MIRRORS = "projects"
PLANNED = "plan-projects"
CLONE_TIMEOUT_S = 900.0


class Codebase(Protocol):
    """Where the code of one project comes from. All raise RepositoryError.

    `resolve`: what a revision of a manifest is pinned to; None is the project's default.
    `keep`: exactly this must stay there, however the origin changes.
    """

    async def resolve(self, revision: str | None) -> Commit: ...

    async def keep(self, pins: Collection[Commit]) -> None: ...

    def close(self) -> None: ...


class Stock(Protocol):
    """A repository of ours that holds pinned commits: `resolve` of a commit brings it there if it has gone."""

    @property
    def git_dir(self) -> Path: ...

    async def resolve(self, revision: str) -> Commit: ...

    async def bundle(self, commit: Commit, have: Collection[Commit], file: Path) -> None: ...


class GitCodebase:
    """A git project, as a bare mirror of ours beside that of the manifests. A damaged one is made anew, once a call."""

    def __init__(self, url: str, directory: Path, *, clock: Clock) -> None:
        """Raises RepositoryError (UnsafeUrl)."""
        self._address = parse_address(url)
        self._mirror = Mirror(
            self._address, directory, allowed_signers=None, clock=clock, fetch_timeout_s=CLONE_TIMEOUT_S
        )
        self._revisions = Revisions(self._mirror, self._address)
        self._lock = asyncio.Lock()

    @property
    def git_dir(self) -> Path:
        return self._mirror.directory

    async def resolve(self, revision: str | None) -> Commit:
        """See `Codebase`."""
        if revision is None:
            return await self._certainly(self._revisions.default)
        return await self._certainly(lambda: self._revisions.resolve(revision))

    async def keep(self, pins: Collection[Commit]) -> None:
        """See `Codebase`."""
        async with self._lock:
            if pins or self._mirror.made:
                await self._mirror.keep(pins)

    async def bundle(self, commit: Commit, have: Collection[Commit], file: Path) -> None:
        """See `Stock`."""
        await self._certainly(lambda: write_bundle(self._mirror, self._address, commit, have, file))

    def close(self) -> None:
        """See `Codebase`."""
        self._mirror.close()

    async def _certainly(self, ask: Callable[[], Coroutine[None, None, T]]) -> T:
        async with self._lock:
            try:
                return await ask()
            except RepositoryError as error:
                if error.reason != "CorruptMirror":
                    raise
            await self._mirror.discard()
            return await ask()


def git_codebases(config: Config, folder: str, clock: Clock) -> dict[ProjectName, GitCodebase]:
    """The mirror of each git project with a url, in this folder of the state. Raises RepositoryError (UnsafeUrl)."""
    return {
        project.name: GitCodebase(project.url, Path(config.state_dir) / folder / f"{project.name}.git", clock=clock)
        for project in _with_git(config.projects)
    }


def _with_git(projects: Iterable[ProjectConfig]) -> Iterable[ProjectConfig]:
    return (each for each in projects if each.kind is ProjectKind.GIT and each.url and each.name != SELF)
