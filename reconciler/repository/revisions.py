"""Which commit a revision names: a full hash, a branch, a tag, or a shortened hash, in this order."""

from __future__ import annotations

import re

from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit
from reconciler.repository.address import Address, check_name
from reconciler.repository.mirror import ASKED, EVERYTHING, Mirror

FULL = re.compile(r"[0-9a-f]{40}")
_SHORT = re.compile(r"[0-9a-f]{7,39}")
_HEAD = "HEAD"


class Revisions:
    """Of one mirror; what it does not have is fetched. Not for concurrent use. Raises RepositoryError."""

    def __init__(self, mirror: Mirror, address: Address) -> None:
        self._mirror = mirror
        self._address = address

    async def resolve(self, revision: str) -> Commit:
        """A hash that the mirror has is answered without asking anybody."""
        check_name(revision, "revision")
        found = None
        if FULL.fullmatch(revision) is None:
            found = await self._named(revision)
        if found is None and (FULL.fullmatch(revision) or _SHORT.fullmatch(revision)):
            found = await self._hashed(revision)
        if found is None:
            hint = "name a branch, a tag, or a commit that one of them leads to; was it pushed?"
            raise RepositoryError("RevisionNotFound", f"{self._address.shown} has no revision {revision!r}", hint=hint)
        return found

    async def default(self) -> Commit:
        """The head of the default branch."""
        there = await self._mirror.remote_references(_HEAD)
        if _HEAD not in there:
            hint = "name a `revision` in the manifest, or commit something and push it"
            raise RepositoryError("EmptyRepository", f"{self._address.shown} has no default branch", hint=hint)
        commit = await self._fetched(_HEAD, there[_HEAD])
        if commit is None:
            raise RepositoryError("CorruptMirror", "the mirror lost what was fetched", hint="it is made anew")
        return commit

    async def _named(self, name: str) -> Commit | None:
        """The commit of the remote's branch or tag, fetched if it is new to the mirror."""
        branch, tag = f"refs/heads/{name}", f"refs/tags/{name}"
        there = await self._mirror.remote_references(branch, tag, tag + "^{}")
        reference = branch if branch in there else tag
        if reference not in there:
            return None
        commit = there.get(tag + "^{}", there[tag]) if reference == tag else there[branch]
        return await self._fetched(reference, commit)

    async def _fetched(self, reference: str, commit: Commit) -> Commit | None:
        if not self._mirror.made or not self._mirror.objects().has_commit(commit):
            await self._mirror.fetch(f"+{reference}:{ASKED}")
        return await self._peeled(commit)

    async def _hashed(self, digits: str) -> Commit | None:
        found = await self._peeled(digits)
        if found is None:
            await self._mirror.fetch(*EVERYTHING)
            found = await self._peeled(digits)
        return found

    async def _peeled(self, revision: str) -> Commit | None:
        """The one commit that the mirror knows under a hash or its beginning."""
        result = await self._mirror.run("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
        found = result.stdout.strip()
        return Commit(found) if result.code == 0 and FULL.fullmatch(found) else None
