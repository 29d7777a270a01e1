"""Bringing commits to a source that cannot read our mirror: as a bundle over the link, or fetched by the source.

A bundle goes in pieces, so that whatever else is to be said comes between them: each is as large as the line carries in
a moment. What has arrived before a cut is not sent again: the bundle is kept here until it was taken in there.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from reconciler.clock import Clock
from reconciler.core.errors import Busy, RepositoryError
from reconciler.core.identity import short_hash
from reconciler.core.model import Commit, ProjectName
from reconciler.core.wire_code import have, piece, unbundle
from reconciler.crashpoints import crashpoint
from reconciler.repository import Stock
from reconciler.source import Source

LEAST_BYTES, MOST_BYTES = 1 << 15, 3 << 18  # of a piece; base64 makes a third more of it
QUICK_S, SLOW_S = 0.2, 1.0
OLD_S = 86400.0


async def send(
    source: Source, project: ProjectName, commit: Commit, *, stock: Stock, bundles: Path, clock: Clock
) -> int:
    """Send what the source lacks of a commit; returns the bytes that went. Raises as `Source.ask`, RepositoryError."""
    await stock.resolve(commit)
    tips = await source.ask(have(project))
    name = f"{project}.{commit}.{short_hash(' '.join(sorted(tips)))}.{source.config.name}.bundle"
    file = bundles / name
    if not file.exists():
        await asyncio.to_thread(_forget_old, bundles, clock.now())
        await stock.bundle(commit, tips, file)
    try:
        size, sha256 = await asyncio.to_thread(_measured, file)
        sent = await _pieces(source, project, file, sha256, size, clock)
        await source.ask(unbundle(project, commit, sha256))
    except Busy:  # it may be the bundle itself
        file.unlink(missing_ok=True)
        raise
    except OSError as error:
        raise RepositoryError("MirrorUnwritable", f"{file} cannot be read: {error.strerror}") from error
    crashpoint("transfer.done")
    file.unlink(missing_ok=True)
    return sent


async def _pieces(source: Source, project: ProjectName, file: Path, sha256: str, size: int, clock: Clock) -> int:
    """Everything from where it was cut; returns the bytes that went."""
    at = first = await source.ask(piece(project, sha256, size=size, offset=0, data=b""))
    length = LEAST_BYTES
    while at < size:
        data = await asyncio.to_thread(_read, file, at, length)
        began = clock.elapsed()
        there = await source.ask(piece(project, sha256, size=size, offset=at, data=data))
        if there != at + len(data):
            raise Busy("Busy", f"a piece of the bundle did not arrive: {there} bytes are there, not {at + len(data)}")
        crashpoint("transfer.piece")
        at, length = there, _next_length(length, clock.elapsed() - began)
    return size - first


def _next_length(length: int, took_s: float) -> int:
    """What goes in a moment: nothing else should wait longer for its turn on the line."""
    if took_s < QUICK_S:
        return min(MOST_BYTES, length * 2)
    return max(LEAST_BYTES, length // 2) if took_s > SLOW_S else length


def _measured(file: Path) -> tuple[int, str]:
    with file.open("rb") as stream:
        return file.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest()


def _read(file: Path, at: int, length: int) -> bytes:
    with file.open("rb") as stream:
        stream.seek(at)
        return stream.read(length)


def _forget_old(bundles: Path, now: float) -> None:
    """Bundles of sources that never came back for the rest."""
    for file in bundles.glob("*.bundle*"):
        if now - file.stat().st_mtime > OLD_S:
            file.unlink(missing_ok=True)
