"""A repository of manifests in memory, and a daemon's mirror of it, which answers as `repository.Repository` does."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from reconciler.clock import Clock
from reconciler.core.errors import ManifestError, Position, RepositoryError
from reconciler.core.model import Commit, Instant
from reconciler.repository import Head, Listing, ManifestFile
from tests.sim.manifests import Tree


@dataclass(frozen=True)
class Change:
    """One commit."""

    commit: Commit
    parent: Commit | None
    tree: Tree
    at: Instant


class History:
    """What was pushed. `head` is where the branch is; commits that it has left stay known to the oracle."""

    def __init__(self) -> None:
        self.changes: dict[Commit, Change] = {}
        self.head: Commit | None = None
        self.pushed: list[tuple[float, Commit]] = []
        self._count = 0

    def push(self, tree: Tree, now: Instant, *, parent: Commit | None = None, amend: bool = False) -> Commit:
        """A new head upon `parent` (default: the head; with `amend`: in its place)."""
        if parent is None and self.head is not None:
            parent = self.changes[self.head].parent if amend else self.head
        self._count += 1
        commit = Commit(hashlib.sha1(f"{self._count} {parent}".encode()).hexdigest())
        self.changes[commit] = Change(commit, parent, tree, now)
        self.head = commit
        self.pushed.append((now, commit))
        return commit

    def reset(self, commit: Commit, now: Instant) -> None:
        """The branch is set back, or anywhere."""
        self.head = commit
        self.pushed.append((now, commit))

    def ancestors(self, commit: Commit | None) -> list[Commit]:
        """The commit itself, its parent, and so on."""
        found = []
        while commit is not None:
            found.append(commit)
            commit = self.changes[commit].parent
        return found

    def descends(self, new: Commit, old: Commit) -> bool:
        return old in self.ancestors(new)


class Remote(Protocol):
    """How the server is to be reached at this moment."""

    def delay_s(self) -> float: ...

    def trouble(self) -> RepositoryError | None: ...


@dataclass
class Mirror:
    """What lies in a state directory: the commits that were fetched."""

    commits: set[Commit] = field(default_factory=set)


class SimRepository:
    """One daemon's view of the history."""

    def __init__(self, history: History, remote: Remote, mirror: Mirror, clock: Clock) -> None:
        self._history = history
        self._remote = remote
        self._mirror = mirror
        self._clock = clock
        self._head: Head | None = None

    @property
    def git_dir(self) -> Path:
        return Path("/mirror/repository.git")

    @property
    def local(self) -> Path | None:
        return None

    def head(self) -> Head | None:
        return self._head

    async def fetch(self) -> Head:
        await self._ask()
        commit = self._history.head
        if commit is None:
            raise RepositoryError("EmptyRepository", "there is no commit yet")
        self._mirror.commits.update(self._history.ancestors(commit))
        change = self._history.changes[commit]
        self._head = Head(commit=commit, tree=tree_hash(change.tree), committed_at=change.at)
        return self._head

    async def verify(self, commit: Commit) -> None:
        await self._clock.sleep(0)

    async def is_descendant(self, old: Commit, new: Commit) -> bool:
        await self._clock.sleep(0)
        return old in self._mirror.commits and self._history.descends(new, old)

    async def resolve(self, revision: str) -> Commit:
        await self._ask()
        for commit in self._history.ancestors(self._history.head):
            if commit.startswith(revision):
                return commit
        raise RepositoryError("RevisionNotFound", f"there is no revision {revision!r}")

    def listing(self, commit: Commit) -> Listing:
        files = self._tree(commit).files
        return Listing(manifests=tuple(ManifestFile(path=path, blob=_hash(files[path][0])) for path in sorted(files)))

    def read(self, commit: Commit, path: str, *, limit: int) -> bytes:
        found = self._tree(commit).files.get(path)
        if found is None:
            raise ManifestError("FileNotFound", "there is no such file", position=Position(file=path))
        return found[0].encode()

    async def keep(self, commits: Collection[Commit]) -> None:
        await self._clock.sleep(0)

    def close(self) -> None:
        """Nothing is held."""

    async def _ask(self) -> None:
        await self._clock.sleep(self._remote.delay_s())
        trouble = self._remote.trouble()
        if trouble is not None:
            raise trouble

    def _tree(self, commit: Commit) -> Tree:
        if commit not in self._mirror.commits:
            raise RepositoryError("CorruptMirror", f"the mirror does not have {commit}")
        return self._history.changes[commit].tree


def tree_hash(tree: Tree) -> str:
    """The hash of the manifests' folder; "" when it is not there."""
    if not tree.files:
        return ""
    return _hash("\n".join(f"{path} {text}" for path, (text, _) in sorted(tree.files.items())))


def _hash(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()
