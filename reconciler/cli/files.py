"""Manifests read from the disk, as they are there now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.errors import ManifestError, Position, UsageError
from reconciler.manifests import Broken, Loaded, load_all

SUFFIXES = (".yaml", ".yml", ".json")
MANIFEST_BYTES = 1 << 20
TABLE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one file holds."""

    file: str
    loaded: tuple[Loaded, ...]
    errors: tuple[ManifestError, ...]


def manifests_in(paths: Iterable[Path]) -> list[Path]:
    """The files, and the manifests below the folders, each once. Raises UsageError when there are none."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            below = (each for each in path.rglob("*") if each.suffix in SUFFIXES and each.is_file())
            found |= dict.fromkeys(sorted(below))
        elif path.exists():
            found[path] = None
        else:
            raise UsageError("FileNotFound", f"there is no file or folder {str(path)!r}")
    if not found:
        raise UsageError("NoManifests", "there is no manifest", hint=f"manifests end in {', '.join(SUFFIXES)}")
    return list(found)


def read_manifest(file: Path, *, max_tasks: int) -> Read:
    """Load a file as the daemon would. Raises UsageError when it cannot be read."""

    def beside(relative: str) -> bytes:
        return _bytes(file.parent / relative, TABLE_BYTES)

    try:
        text = _bytes(file, MANIFEST_BYTES + 1)
    except IsADirectoryError:
        raise UsageError("FileNotFound", f"{str(file)!r} is a folder", hint="name a manifest in it") from None
    except FileNotFoundError:
        raise UsageError("FileNotFound", f"there is no file {str(file)!r}") from None
    if len(text) > MANIFEST_BYTES:
        error = ManifestError(
            "FileTooLarge", f"the file has more than {MANIFEST_BYTES} bytes", position=Position(file=str(file)),
            hint="put long tables of points beside it: `points: {file: points.csv}`",
        )  # fmt: skip
        return Read(file=str(file), loaded=(), errors=(error,))
    results = load_all(text, file=str(file), read=beside, max_tasks=max_tasks)
    return Read(
        file=str(file),
        loaded=tuple(each for each in results if isinstance(each, Loaded)),
        errors=tuple(error for each in results if isinstance(each, Broken) for error in each.errors),
    )


def _bytes(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)
