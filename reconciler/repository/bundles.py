"""Commits of a mirror as one file, for who cannot read the mirror: a git bundle, thin against what is there."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit
from reconciler.crashpoints import crashpoint
from reconciler.repository import failures
from reconciler.repository.address import Address
from reconciler.repository.git import FETCH_TIMEOUT_S
from reconciler.repository.mirror import Mirror

SENT = "refs/reconciler/sent/"
TIPS_MAX = 100


async def write_bundle(mirror: Mirror, address: Address, commit: Commit, have: Collection[Commit], file: Path) -> None:
    """The commit with its history, without what the commits of `have` lead to. Raises RepositoryError."""
    known = [each for each in list(have)[:TIPS_MAX] if mirror.objects().has_commit(each)]
    reference = f"{SENT}{commit}"
    partial = file.with_name(file.name + ".partial")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        await _asked(mirror, address, "update-ref", reference, commit)
        without = [word for each in known for word in (f"^{each}", f"^{each}^{{tree}}")]  # also of no common history
        words = ("bundle", "create", "--quiet", str(partial), reference, *without)
        await _asked(mirror, address, *words)
        crashpoint("bundle.written")
        partial.rename(file)
        crashpoint("bundle.renamed")
        await _asked(mirror, address, "update-ref", "-d", reference)
    except OSError as error:
        raise RepositoryError("MirrorUnwritable", f"{file} cannot be written: {error.strerror}") from error


async def _asked(mirror: Mirror, address: Address, *words: str) -> None:
    result = await mirror.run(*words, timeout_s=FETCH_TIMEOUT_S)
    if result.code:
        raise failures.explain(result, address)
