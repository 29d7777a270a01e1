"""Log files of attempts on this machine, read while they may still grow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.model import Attempt
from reconciler.core.settings import Config, SourceConfig

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


@dataclass(frozen=True, slots=True)
class NearFile:
    """A file on this machine, asked as one that lies far away is (`faraway.FarFile`)."""

    path: Path

    async def size(self) -> int:
        """In bytes, now; 0 when there is no such file."""
        return self.path.stat().st_size if self.path.exists() else 0

    async def chunks(self, offset: int) -> AsyncIterator[bytes]:
        """What it holds from an offset on; nothing when it is not there yet."""
        for chunk in chunks(self.path, offset):
            yield chunk

    async def aclose(self) -> None:
        """Nothing is kept open."""


def far_source(config: Config, attempt: Attempt) -> SourceConfig | None:
    """The attempt's source, if that is on another machine."""
    found = (source for source in config.sources if source.name == attempt.source and source.host is not None)
    return next(found, None)


def place_here(config: Config, attempt: Attempt, name: str) -> Path:
    """Where a file of the attempt lies on this machine, or will lie once it was collected."""
    from reconciler.results import ResultsTree

    if far_source(config, attempt) is None:
        return Path(attempt.directory) / name
    return ResultsTree(Path(config.results_dir)).folder(attempt.key) / name
