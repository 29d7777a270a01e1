"""What the reconciler asks of the repository of manifests."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.clock import Clock
from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit, Instant
from reconciler.core.settings import RepositoryConfig
from reconciler.repository import failures
from reconciler.repository.address import check_name, manifest_path, parse_address
from reconciler.repository.bundles import write_bundle
from reconciler.repository.mirror import HEAD, Mirror
from reconciler.repository.objects import Objects
from reconciler.repository.reading import Listing, listing_of
from reconciler.repository.revisions import FULL, Revisions


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
    RevisionNotFound, Unverified, PathNotADirectory, TooManyFiles, CorruptObjects, CorruptMirror, MirrorUnwritable,
    NotFetched, UnsupportedFormat, Locked, OutputTooLarge, GitMissing, GitFailed.
    """

    def __init__(self, config: RepositoryConfig, directory: Path, *, clock: Clock) -> None:
        """directory: where the mirror lies, `<state>/repository.git`; made by the first fetch.

        Raises RepositoryError (UnsafeUrl, UnsafeName).
        """
        self._address = parse_address(config.url)
        self._branch = check_name(config.branch)
        self._path = manifest_path(config.path)
        self._verify = config.verify
        self._mirror = Mirror(self._address, directory, allowed_signers=config.verify.allowed_signers, clock=clock)
        self._revisions = Revisions(self._mirror, self._address)
        self._lock = asyncio.Lock()
        self._head: Head | None = None
        self._damaged = False

    @property
    def git_dir(self) -> Path:
        """The mirror itself: a local bare repository from which worktrees are made."""
        return self._mirror.directory

    @property
    def local(self) -> Path | None:
        """The repository's own directory, when it is on this machine."""
        return self._address.local

    async def fetch(self) -> Head:
        """Bring the mirror up to date and return the branch's head. A rewritten history is fetched all the same.

        A damaged mirror is thrown away and made anew, once per call.
        """
        async with self._lock:
            if not self._damaged:
                try:
                    return await self._fetch()
                except RepositoryError as error:
                    if error.reason != "CorruptMirror":
                        raise
            await self._mirror.discard()
            self._damaged = False
            self._head = None
            return await self._fetch()

    def head(self) -> Head | None:
        """What the last successful fetch found, asking nobody; None before the first one."""
        return self._head

    def listing(self, commit: Commit) -> Listing:
        """All manifests at a commit. A path that does not exist there is an empty listing."""
        with self._reading() as objects:
            tree = objects.tree(_full(commit), self._path)
            return listing_of(objects.entries(tree, self._path)) if tree else Listing(manifests=())

    def read(self, commit: Commit, path: str, *, limit: int) -> bytes:
        """One file below the manifest path, at most `limit` bytes.

        Raises ManifestError: FileNotFound, FileTooLarge, PathOutside, SymlinkRefused, SubmoduleRefused, OddFileRefused.
        """
        with self._reading() as objects:
            return objects.read(_full(commit), path, self._path, limit)

    async def is_descendant(self, old: Commit, new: Commit) -> bool:
        """Whether `new` is `old` or has it in its history.

        An `old` that the mirror does not have is not in the history of what it has: False.
        """
        with self._reading() as objects:
            if not objects.has_commit(_full(old)):
                return False
        result = await self._mirror.run("merge-base", "--is-ancestor", "--end-of-options", old, _full(new))
        if result.code not in (0, 1):
            raise failures.explain(result, self._address)
        return result.code == 0

    async def history(self, commit: Commit, *, limit: int) -> list[Commit]:
        """The commits that changed the manifests, up to this one, the newest first; at most so many."""
        words = ("--max-count", str(limit), "--end-of-options", _full(commit), "--", self._path)
        result = await self._mirror.run("rev-list", *words)
        if result.code:
            raise failures.explain(result, self._address)
        return [Commit(line) for line in result.stdout.split()]

    async def resolve(self, revision: str) -> Commit:
        """The commit of a full hash, a branch, a tag, or a shortened hash (at least 7 digits), in this order.

        The configured branch is answered from the last fetch, a hash that the mirror has without asking anybody.
        Raises RepositoryError (RevisionNotFound, UnsafeName, …).
        """
        check_name(revision, "revision")
        if revision == self._branch and self._head is not None:
            return self._head.commit
        async with self._lock:
            with self._reading():
                return await self._revisions.resolve(revision)

    async def bundle(self, commit: Commit, have: Collection[Commit], file: Path) -> None:
        """See `Stock`."""
        async with self._lock:
            with self._reading():
                await write_bundle(self._mirror, self._address, _full(commit), have, file)

    async def verify(self, commit: Commit) -> None:
        """With verification Head: raise RepositoryError (Unverified) unless an allowed signer signed the commit."""
        if self._verify.mode == "Off":
            return
        result = await self._mirror.run("verify-commit", "--raw", "--end-of-options", _full(commit))
        if result.code == 0 and 'Good "git" signature for ' in result.stderr:
            return
        told = failures.told(result) if result.stderr.strip() else "it is not signed"
        hint = f"sign with an SSH key of {self._verify.allowed_signers} and push; what was accepted before goes on"
        raise RepositoryError("Unverified", f"commit {commit[:12]} is not believed: {told}", hint=hint)

    async def keep(self, commits: Collection[Commit]) -> None:
        """Keep exactly these commits alive in the mirror, however the remote's history changes; earlier ones may go."""
        wanted = [_full(commit) for commit in commits]
        async with self._lock:
            await self._mirror.keep(wanted)

    def close(self) -> None:
        """End the processes that read; the next question starts them again."""
        self._mirror.close()

    async def _fetch(self) -> Head:
        commit = self._unchanged()
        if commit is None:
            result = await self._mirror.fetch(f"+refs/heads/{self._branch}:{HEAD}")
            if result.code:
                raise await self._branch_missing()
            commit = self._mirror.objects().reference(HEAD)
            if commit is None:
                raise RepositoryError("CorruptMirror", "the mirror lost its head", hint="it is made anew")
        if self._head is None or self._head.commit != commit:
            objects = self._mirror.objects()
            tree = objects.tree(commit, self._path)
            self._head = Head(commit=commit, tree=tree, committed_at=objects.committed_at(commit))
        return self._head

    def _unchanged(self) -> Commit | None:
        """The mirror's head, if a repository on this machine still has the same; None: fetch to find out."""
        if self._address.local is None or not self.git_dir.is_dir():
            return None
        try:
            original = Objects(self._address.local, {})
        except RepositoryError:
            return None
        theirs = original.reference(f"refs/heads/{self._branch}")
        original.close()
        ours = self._mirror.objects().reference(HEAD)
        if ours is None or ours != theirs:
            return None
        if not self._mirror.objects().has_commit(ours):
            raise RepositoryError("CorruptMirror", "the mirror lost its head", hint="it is made anew")
        return ours

    async def _branch_missing(self) -> RepositoryError:
        names = await self._mirror.remote_references("refs/heads/*")
        branches = [name.removeprefix("refs/heads/") for name in names]
        return failures.branch_not_found(self._branch, branches, self._address)

    @contextmanager
    def _reading(self) -> Iterator[Objects]:
        try:
            yield self._mirror.objects()
        except RepositoryError as error:
            self._damaged |= error.reason == "CorruptMirror"
            raise


def _full(commit: Commit) -> Commit:
    if FULL.fullmatch(commit) is None:
        raise RepositoryError("UnsafeName", f"{commit[:80]!r} is no commit", hint="40 hex digits")
    return commit
