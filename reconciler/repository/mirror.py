"""The bare mirror as git sees it: made, brought up to date, kept small, thrown away when it is damaged.

References of the mirror, none of which has a stranger's name:

    refs/reconciler/head           the configured branch, as of the last fetch
    refs/reconciler/asked          the last revision that somebody asked for
    refs/reconciler/all/…          all branches and tags, fetched only for a commit that no known one leads to
    refs/reconciler/kept/<commit>  what must not be collected though its branch is gone
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from reconciler.clock import Clock
from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit
from reconciler.crashpoints import crashpoint
from reconciler.repository import failures
from reconciler.repository.address import Address
from reconciler.repository.git import FETCH_TIMEOUT_S, LOCAL_TIMEOUT_S, Git, Result, global_file, settings
from reconciler.repository.objects import Objects

HEAD = "refs/reconciler/head"
ASKED = "refs/reconciler/asked"
EVERYTHING = ("+refs/heads/*:refs/reconciler/all/heads/*", "+refs/tags/*:refs/reconciler/all/tags/*")
_KEPT = "refs/reconciler/kept/"
_FETCH = (
    "fetch", "--quiet", "--prune", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--update-shallow",
)  # fmt: skip
_LOCKS = ("*.lock", "refs/reconciler/**/*.lock")
_STALE_LOCK_S = 60.0
_COLLECT_EVERY = 50  # fetches, between two looks whether loose objects should be packed


class Mirror:
    """git on the mirror. Not for concurrent use: its owner holds a lock."""

    def __init__(
        self,
        address: Address,
        directory: Path,
        *,
        allowed_signers: str | None,
        clock: Clock,
        fetch_timeout_s: float = FETCH_TIMEOUT_S,
    ) -> None:
        self._fetch_timeout_s = fetch_timeout_s
        self._address = address
        self._directory = directory
        self._clock = clock
        self._config_file = directory.with_name(directory.name + ".config")
        self._settings = settings(address, allowed_signers)
        self._git = Git(directory, config_file=self._config_file, settings=self._settings)
        self._objects: Objects | None = None
        self._prepared = False
        self._fetches = 0

    @property
    def directory(self) -> Path:
        return self._directory

    @property
    def made(self) -> bool:
        """Whether there is a mirror at all."""
        return self._directory.is_dir()

    def objects(self) -> Objects:
        """The mirror's objects as of the last fetch. Raises RepositoryError (NotFetched, CorruptMirror)."""
        if self._objects is None:
            if not self._directory.is_dir():
                raise RepositoryError("NotFetched", f"{self._address.shown} was never fetched")
            self._objects = Objects(self._directory, self._git.environment())
        return self._objects

    async def run(self, *arguments: str, stdin: str = "", timeout_s: float = LOCAL_TIMEOUT_S) -> Result:
        """A git that needs no network."""
        await self._prepare()
        return await self._git.run(*arguments, stdin=stdin, timeout_s=timeout_s)

    async def fetch(self, *refspecs: str) -> Result:
        """Fetch; a missing reference is a Result, any other failure is raised. A stale lock is removed, once."""
        result = await self._fetch(refspecs)
        if result.code and not failures.is_missing_reference(result):
            error = failures.explain(result, self._address)
            if error.reason != "Locked" or not self._remove_stale_locks():
                raise error
            result = await self._fetch(refspecs)
            if result.code and not failures.is_missing_reference(result):
                raise failures.explain(result, self._address)
        crashpoint("mirror.fetched")
        await self._collect_garbage()
        return result

    async def remote_references(self, *patterns: str) -> dict[str, Commit]:
        """Name → hash of the remote's references that match."""
        await self._prepare()
        result = await self._git.run(
            "ls-remote", "--quiet", "--", self._address.url, *patterns, timeout_s=FETCH_TIMEOUT_S
        )
        if result.code:
            raise failures.explain(result, self._address)
        rows = (line.split("\t") for line in result.stdout.splitlines())
        return {row[1]: Commit(row[0]) for row in rows if len(row) == 2}

    async def keep(self, commits: Collection[Commit]) -> None:
        """One reference per commit that the mirror has; those of other commits go."""
        listed = await self.run("for-each-ref", "--format=%(refname)", _KEPT)
        have = {line.removeprefix(_KEPT) for line in listed.stdout.splitlines()}
        want = {commit for commit in commits if self.objects().has_commit(commit)}
        orders = [f"create {_KEPT}{commit} {commit}\n" for commit in sorted(want - have)]
        orders += [f"delete {_KEPT}{commit}\n" for commit in sorted(have - want)]
        if not orders:
            return
        for commit in want - have:  # a file that is there and was not listed is torn, and would lock its name for ever
            _remove(self._directory / _KEPT / commit)
        result = await self.run("update-ref", "--stdin", stdin="".join(orders))
        if result.code:
            raise failures.explain(result, self._address)

    async def discard(self) -> None:
        """Throw the mirror away; the next fetch makes it anew. Raises RepositoryError."""
        self.close()
        self._prepared = False
        doomed = self._directory.with_name(self._directory.name + ".damaged")
        await asyncio.to_thread(shutil.rmtree, doomed, ignore_errors=True)
        try:
            self._directory.rename(doomed)
        except FileNotFoundError:
            pass
        except OSError as error:
            message = f"the damaged mirror {self._directory} cannot be moved away: {error.strerror}"
            raise RepositoryError("MirrorUnwritable", message) from error
        crashpoint("mirror.discarded")
        await asyncio.to_thread(shutil.rmtree, doomed, ignore_errors=True)

    async def _fetch(self, refspecs: tuple[str, ...]) -> Result:
        await self._prepare()
        return await self._git.run(*_FETCH, "--", self._address.url, *refspecs, timeout_s=self._fetch_timeout_s)

    async def _prepare(self) -> None:
        if self._prepared:
            return
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write_config()
        except OSError as error:
            raise RepositoryError("MirrorUnwritable", f"the mirror cannot be written: {error}") from error
        result = await self._git.run("init", "--bare", "--quiet", "--template=")
        if result.code:
            raise failures.explain(result, self._address)
        crashpoint("mirror.made")
        self._prepared = True

    def _write_config(self) -> None:
        partial = self._config_file.with_name(f"{self._config_file.name}.{os.getpid()}")
        partial.write_text(global_file(self._settings))
        crashpoint("mirror.configured")
        partial.rename(self._config_file)

    def _remove_stale_locks(self) -> bool:
        """Remove locks that a killed git has left: nobody holds one that long. Whether there were any."""
        limit = self._clock.now() - _STALE_LOCK_S
        stale = [path for pattern in _LOCKS for path in self._directory.glob(pattern) if path.stat().st_mtime < limit]
        for path in stale:
            _remove(path)
        return bool(stale)

    async def _collect_garbage(self) -> None:
        self._fetches += 1
        if self._fetches % _COLLECT_EVERY:
            return
        self.close()
        # Its failure is no failure of the fetch: the mirror is whole, only larger than it could be.
        with contextlib.suppress(RepositoryError):
            await self._git.run("gc", "--auto", "--quiet", timeout_s=FETCH_TIMEOUT_S)

    def close(self) -> None:
        """End what reads; the next question starts it again."""
        if self._objects is not None:
            self._objects.close()
            self._objects = None


def _remove(path: Path) -> None:
    """Raises RepositoryError when the mirror cannot be written."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RepositoryError("MirrorUnwritable", f"{path} cannot be removed: {error.strerror}") from error
