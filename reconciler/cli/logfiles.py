"""Log files of attempts on this machine, read while they may still grow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CHUNK = 1 << 16
TAIL_BYTES = 1 << 16


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file, as far as they lie in its last 64 KiB; none when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            text = file.read(TAIL_BYTES).decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]


def chunks(path: Path, offset: int) -> Iterator[bytes]:
    """What the file holds from an offset on; nothing when it is not there yet."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := file.read(CHUNK):
                yield chunk
    except FileNotFoundError:
        return
