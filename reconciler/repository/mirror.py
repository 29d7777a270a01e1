"""The bare mirror: fetch by the hardened git, read in process by GitPython."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from reconciler.clock import Clock
from reconciler.core.model import Commit, Instant, RepositoryConfig
from reconciler.repository.reading import Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The fetched head of the branch.

    tree           hash of the manifest path's tree; "" when the path does not exist at this commit
    committed_at   committer's date
    """

    commit: Commit
    tree: str
    committed_at: Instant


class Repository:
    """The mirror of one repository. Every method that asks git raises RepositoryError, whose reason is one of

    NotFound, BranchNotFound, EmptyRepository, AuthFailed, HostKeyRefused, Unreachable, TimedOut, UnsafeUrl, UnsafeName,
    RevisionNotFound, Unverified, PathNotADirectory, TooManyFiles, CorruptObjects, UnsupportedFormat, GitMissing, GitFailed.
    """

    def __init__(self, config: RepositoryConfig, directory: Path, *, clock: Clock) -> None:
        """directory: where the mirror lies, `<state>/repository.git`; made on the first fetch. Raises RepositoryError (UnsafeUrl, UnsafeName)."""
        raise NotImplementedError

    @property
    def git_dir(self) -> Path:
        """The mirror itself: a local bare repository from which worktrees are made."""
        raise NotImplementedError

    async def fetch(self) -> Head:
        """Bring the mirror up to date and return the branch's head. A rewritten history is fetched all the same."""
        raise NotImplementedError

    def head(self) -> Head | None:
        """What the last successful fetch found, asking nobody; None before the first one."""
        raise NotImplementedError

    def listing(self, commit: Commit) -> Listing:
        """All manifests at a commit. A path that does not exist there is an empty listing."""
        raise NotImplementedError

    def read(self, commit: Commit, path: str, *, limit: int) -> bytes:
        """One file below the manifest path, at most `limit` bytes. Raises ManifestError (NotFound, TooLarge, Symlink…)."""
        raise NotImplementedError

    async def is_descendant(self, old: Commit, new: Commit) -> bool:
        """Whether `new` is `old` or has it in its history. An `old` that the mirror does not know is in nobody's history: False."""
        raise NotImplementedError

    async def resolve(self, revision: str) -> Commit:
        """The commit of a branch, a tag, or a (shortened, at least 7 digits) commit, in this order; asks the remote when needed.

        The configured branch is answered from the last fetch. Raises RepositoryError (RevisionNotFound, UnsafeName, …).
        """
        raise NotImplementedError

    async def verify(self, commit: Commit) -> None:
        """With verification Head: returns if an allowed signer signed the commit, else raises RepositoryError (Unverified). Off: returns."""
        raise NotImplementedError

    async def keep(self, commits: Collection[Commit]) -> None:
        """Keep exactly these commits alive in the mirror, however the remote's history changes; earlier ones may go."""
        raise NotImplementedError
