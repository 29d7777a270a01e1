"""Code without git: a folder here, pinned to the SHA-256 of all its files, and kept as it was when it was pinned.

What was pinned is committed into a repository of ours, where equal files are always the same commit, so that it comes
to sources like any other commit: only what is missing travels, and what arrives is an immutable copy. What lies there
is then compared with the pinned hash, file by file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

from reconciler.clock import Clock
from reconciler.core.errors import ReconcilerError, RepositoryError
from reconciler.core.model import Commit, InstanceId, ProjectName
from reconciler.core.settings import Config, ProjectConfig, ProjectKind
from reconciler.core.trees import TREE_PIN, Tree, hash_of, pin_of
from reconciler.core.wire_trees import tree
from reconciler.links.local import LocalLink
from reconciler.plumbing import branches, collect, name_commit, snapshot
from reconciler.repository import GitCodebase

LOOKS = 3
HASH_DIGITS = 64


class TreeStock:
    """Where the snapshots of one folder lie: see `Stock`. A pin of it is resolved to the commit with those files."""

    def __init__(self, folder: Path, mirror: GitCodebase) -> None:
        self.folder = folder  # the repository of snapshots; the mirror follows it, as that of any project
        self._mirror = mirror

    @property
    def git_dir(self) -> Path:
        return self._mirror.git_dir

    async def resolve(self, revision: str) -> Commit:
        """See `Stock`. Raises RepositoryError (RevisionNotFound) for a folder that was never pinned."""
        if not revision.startswith(TREE_PIN):
            return await self._mirror.resolve(revision)
        commit = (await branches(self.folder)).get(_branch(revision))
        if commit is None:
            message = f"the folder is not kept as it was at {hash_of(Commit(revision))[:12]}"
            hint = "`reconciler reconcile --repin` pins the sweep to the folder as it is"
            raise RepositoryError("RevisionNotFound", message, hint=hint)
        return await self._mirror.resolve(commit)

    async def bundle(self, commit: Commit, have: Collection[Commit], file: Path) -> None:
        """See `Stock`."""
        await self._mirror.bundle(commit, have, file)


class TreeCodebase:
    """A project without git: see `Codebase`."""

    def __init__(self, project: ProjectConfig, directory: Path, *, clock: Clock) -> None:
        """directory: of the state, for what is made of this project. Raises RepositoryError (UnsafeUrl)."""
        folder = directory / f"{project.name}.snapshots"
        self._project = project
        self._cache = directory / f"{project.name}.looked"
        self._mirror = GitCodebase(str(folder), directory / f"{project.name}.git", clock=clock)
        self._lock = asyncio.Lock()
        self.stock = TreeStock(folder, self._mirror)

    async def resolve(self, revision: str | None) -> Commit:
        """The pin of the folder as it is now, or of an earlier snapshot by its hash."""
        if revision is None and not self._project.url:
            message = f"the project {self._project.name} has no `url`, so that nobody can say what its folder holds"
            hint = "write the hash of the folder as `revision`, or give the project a `url` in the configuration"
            raise RepositoryError("RevisionNotFound", message, hint=hint)
        if revision is None:
            async with self._lock:
                return await self._taken()
        named = revision.removeprefix(TREE_PIN)
        found = [name for name in await branches(self.stock.folder) if name.startswith(f"tree-{named}")]
        if len(named) == HASH_DIGITS and not found:
            return pin_of(named)  # of a folder on a source, perhaps: there it is compared
        if len(found) != 1 or len(named) < 8:
            message = f"{revision!r} is not the hash of a snapshot of {self._project.url}"
            raise RepositoryError("RevisionNotFound", message, hint="without `revision` it is the folder as it is")
        return pin_of(found[0].removeprefix("tree-"))

    async def keep(self, pins: Collection[Commit]) -> None:
        """See `Codebase`."""
        async with self._lock:
            known = await branches(self.stock.folder)
            wanted = {_branch(pin) for pin in pins if pin.startswith(TREE_PIN)}
            gone = [name for name in known.keys() - wanted - {"main"} if known[name] != known.get("main")]
            for name in gone:
                await name_commit(self.stock.folder, name, None)
            if gone:
                await collect(self.stock.folder)
            await self._mirror.keep({known[name] for name in wanted & known.keys()})

    def close(self) -> None:
        """See `Codebase`."""
        self._mirror.close()

    async def _taken(self) -> Commit:
        """Look, keep, and look again: what changed meanwhile was nobody's state of the folder."""
        folder = Path(self._project.url)
        found = await self._look()
        for _ in range(LOOKS):
            pin = pin_of(found.hash)
            if _branch(pin) in await branches(self.stock.folder):
                return pin
            try:
                commit = await snapshot(self.stock.folder, folder, found.files)
                again = await self._look()
            except OSError as error:
                raise RepositoryError("Unreadable", f"{folder} cannot be read: {error}") from error
            if again.hash == found.hash:
                await name_commit(self.stock.folder, "main", commit)
                await name_commit(self.stock.folder, _branch(pin), commit)
                return pin
            found = again
        raise RepositoryError("Unreadable", f"{folder} changes all the time", hint="pin it when nobody writes into it")

    async def _look(self) -> Tree:
        """The files of the folder, as an agent here sees them: the same code looks on sources."""
        self._cache.joinpath("projects").mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            session = await LocalLink().open(instance=InstanceId(""), root=str(self._cache), slots=1, gpus=())
            try:
                exchange = tree(self._project.url)
                return exchange.parse(await session.ask(exchange.request))
            finally:
                await session.aclose()
        except RepositoryError:
            raise
        except ReconcilerError as error:
            raise RepositoryError(error.reason, error.message, hint=error.hint) from error


def tree_codebases(config: Config, folder: str, clock: Clock) -> dict[ProjectName, TreeCodebase]:
    """Each project without git; what is made of those that have a folder here lies in this folder of the state."""
    return {
        project.name: TreeCodebase(project, Path(config.state_dir) / folder, clock=clock)
        for project in config.projects
        if project.kind is ProjectKind.TREE
    }


def _branch(pin: str) -> str:
    return f"tree-{pin.removeprefix(TREE_PIN)}"
