"""A repository of manifests in memory: what `reconciler.repository.Repository` answers, without git or time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha1
from pathlib import Path

from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit
from reconciler.repository import Head, Listing
from reconciler.repository.reading import Entry, Kind, listing_of

Files = Mapping[str, bytes]
FOLDER = "sweeps.d"


class FakeGit:
    """Whole trees by commit. `main` is where people push; a fetch sees it, unless the repository is away."""

    git_dir = Path("/nowhere/repository.git")

    def __init__(self) -> None:
        self.parents: dict[Commit, Commit | None] = {}
        self.trees: dict[Commit, Files] = {}
        self.tags: dict[str, Commit] = {}
        self.away = False
        self.fetched: Commit | None = None
        self.main = self.push({})

    # -- what people do

    def push(self, files: Files, onto: Commit | None = None) -> Commit:
        """A new head: a child of the head, or of an older commit, as after a force-push."""
        commit = Commit(sha1(b"%d" % len(self.trees), usedforsecurity=False).hexdigest())
        self.parents[commit] = onto if onto is not None else getattr(self, "main", None)
        self.trees[commit] = dict(files)
        self.main = commit
        return commit

    def line(self, commit: Commit | None) -> list[Commit]:
        """The commit and all before it, the newest first."""
        found = []
        while commit is not None:
            found.append(commit)
            commit = self.parents[commit]
        return found

    # -- what the reconciler asks

    async def fetch(self) -> Head:
        if self.away:
            raise RepositoryError("Unreachable", "nobody is there")
        self.fetched = self.main
        tree = sha1(repr(sorted(self.trees[self.main].items())).encode(), usedforsecurity=False).hexdigest()
        return Head(commit=self.main, tree=tree if self.trees[self.main] else "", committed_at=0.0)

    async def verify(self, commit: Commit) -> None:
        pass

    async def is_descendant(self, old: Commit, new: Commit) -> bool:
        return old in self.line(new)

    async def resolve(self, revision: str) -> Commit:
        if revision == "main" and self.fetched is not None:
            return self.fetched
        if revision in self.tags:
            return self.tags[revision]
        raise RepositoryError("RevisionNotFound", f"there is no revision {revision}")

    async def keep(self, commits: Collection[Commit]) -> None:
        unknown = [commit for commit in commits if commit not in self.trees]
        assert not unknown, unknown

    def listing(self, commit: Commit) -> Listing:
        files = self.trees[commit].items()
        return listing_of(Entry(path, Kind.FILE, sha1(text, usedforsecurity=False).hexdigest()) for path, text in files)

    def read(self, commit: Commit, path: str, *, limit: int) -> bytes:
        assert len(self.trees[commit][path]) <= limit
        return self.trees[commit][path]
