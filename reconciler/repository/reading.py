"""Which files are manifests, and which entries are refused by name: one rule for commits and for checkouts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from reconciler.core.errors import ManifestError, Position, RepositoryError

SUFFIXES = (".yaml", ".yml", ".json")
MAX_ENTRIES = 20_000
MAX_DEPTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """A manifest at a commit. path: from the repository's root, with "/"; blob: git's hash of its content."""

    path: str
    blob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All that lies under the manifest path, ordered by path.

    manifests   regular files *.yaml, *.yml and *.json, sub-directories included
    refused     symlinks, submodules, odd modes and odd names: each with its position; they hide no other file
    """

    manifests: tuple[ManifestFile, ...]
    refused: tuple[ManifestError, ...] = ()


class Kind(Enum):
    """What an entry of a tree is; a directory is entered, and so is none of these."""

    FILE = "a file"
    SYMLINK = "a symlink"
    SUBMODULE = "a submodule"
    ODD = "neither a plain file nor a directory"


class Entry(NamedTuple):
    """One entry that is no directory. blob: its hash, "" where it has none."""

    path: str
    kind: Kind
    blob: str


def listing_of(entries: Iterable[Entry]) -> Listing:
    """Sort entries into manifests and refusals; other plain files do not matter. Raises TooManyFiles."""
    manifests: list[ManifestFile] = []
    refused: list[ManifestError] = []
    for number, entry in enumerate(sorted(entries)):
        if number >= MAX_ENTRIES:
            raise too_many_files()
        if entry.kind is not Kind.FILE:
            refused.append(refusal(entry.path, entry.kind))
        elif not entry.path.endswith(SUFFIXES):
            continue
        elif not entry.path.isprintable():
            refused.append(_odd_name(entry.path))
        else:
            manifests.append(ManifestFile(path=entry.path, blob=entry.blob))
    return Listing(manifests=tuple(manifests), refused=tuple(refused))


def refusal(path: str, kind: Kind) -> ManifestError:
    """Why an entry is not read."""
    reason = {Kind.SYMLINK: "SymlinkRefused", Kind.SUBMODULE: "SubmoduleRefused"}.get(kind, "OddFileRefused")
    hint = "put the manifest itself here" if kind is Kind.SYMLINK else "keep it outside the manifest path"
    return ManifestError(reason, f"this is {kind.value}, which is never followed", position=_at(path), hint=hint)


def not_found(path: str) -> ManifestError:
    return ManifestError("FileNotFound", "there is no such file", position=_at(path))


def too_large(path: str, size: int, limit: int) -> ManifestError:
    hint = f"the limit is {limit} bytes"
    return ManifestError("FileTooLarge", f"the file has {size} bytes", position=_at(path), hint=hint)


def too_many_files() -> RepositoryError:
    hint = "keep manifests in a directory of their own and name it in repository.path"
    return RepositoryError("TooManyFiles", f"more than {MAX_ENTRIES} entries under the manifest path", hint=hint)


def too_deep(path: str) -> RepositoryError:
    message = f"directories under the manifest path are nested more than {MAX_DEPTH} deep: {ascii(path)[:100]}"
    return RepositoryError("TooManyFiles", message)


def not_a_directory(path: str) -> RepositoryError:
    message = f"the manifest path {path!r} is no directory"
    return RepositoryError("PathNotADirectory", message, hint="see repository.path")


def parts_below(path: str, base: str) -> list[str]:
    """The components of a file's path. Raises ManifestError when it does not lie, plainly spelled, below `base`."""
    parts = path.split("/")
    inside = not base or path.startswith(base + "/")
    plain = not any(part in ("", ".", "..", ".git") for part in parts) and "\0" not in path
    if not inside or not plain or len(parts) > 2 * MAX_DEPTH:
        hint = f"files are read below {base!r} only" if base else ""
        raise ManifestError("PathOutside", "the path leaves the manifest path", position=_at(path), hint=hint)
    return parts


def _odd_name(path: str) -> ManifestError:
    return ManifestError("OddNameRefused", "the name has characters that cannot be printed", position=_at(path))


def _at(path: str) -> Position:
    shown = path if path.isprintable() else ascii(path)
    return Position(file=shown)
