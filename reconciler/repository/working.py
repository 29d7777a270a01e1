"""A checkout's files, read as a commit's are: for `plan --working-tree`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from reconciler.core.errors import RepositoryError
from reconciler.repository import reading
from reconciler.repository.address import manifest_path
from reconciler.repository.reading import SUFFIXES, Entry, Kind, Listing, listing_of

_HASHED_LIMIT = 16 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class WorkingTree:
    """The manifest path of a checkout. Nothing is followed: a symlink is refused, wherever it stands."""

    def __init__(self, root: Path, path: str) -> None:
        """root: the checkout's top directory; path: the manifest path below it, as in the configuration."""
        self._root = root
        self._path = manifest_path(path)

    def listing(self) -> Listing:
        """Manifests and refusals; blobs are the hashes that git would give. A missing path is an empty listing.

        Raises RepositoryError (PathNotADirectory, TooManyFiles, Unreadable).
        """
        try:
            with self._directory(self._path.split("/") if self._path else []) as directory:
                return listing_of(self._entries(directory, self._path, depth=0))
        except FileNotFoundError:
            return Listing(manifests=())
        except NotADirectoryError:
            raise reading.not_a_directory(self._path) from None
        except OSError as error:
            raise _unreadable(error) from error

    def read(self, path: str, *, limit: int) -> bytes:
        """One file below the manifest path, at most `limit` bytes; raises as Repository.read does."""
        *directories, name = reading.parts_below(path, self._path)
        try:
            with self._directory(directories) as directory:
                mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    raise reading.not_found(path)
                if _kind(mode) is not Kind.FILE:
                    raise reading.refusal(path, _kind(mode))
                return _content(directory, name, path, limit)
        except FileNotFoundError:
            raise reading.not_found(path) from None
        except NotADirectoryError:
            raise reading.refusal(path, Kind.SYMLINK) from None
        except OSError as error:
            raise _unreadable(error) from error

    @contextlib.contextmanager
    def _directory(self, parts: list[str]) -> Iterator[int]:
        """A directory, opened one component at a time, so that no symlink is followed on the way."""
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                below = os.open(part, _DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def _entries(self, directory: int, path: str, depth: int) -> Iterator[Entry]:
        if depth > reading.MAX_DEPTH:
            raise reading.too_deep(path)
        with os.scandir(directory) as children:
            names = {child.name: child.stat(follow_symlinks=False).st_mode for child in children}
        for name, mode in names.items():
            below = f"{path}/{name}" if path else name
            if not stat.S_ISDIR(mode):
                yield Entry(below, _kind(mode), self._blob(directory, name, below, mode))
            elif name == ".git":
                continue
            elif _exists(f"{name}/.git", directory):
                yield Entry(below, Kind.SUBMODULE, "")
            else:
                inner = os.open(name, _DIRECTORY, dir_fd=directory)
                try:
                    yield from self._entries(inner, below, depth + 1)
                finally:
                    os.close(inner)

    def _blob(self, directory: int, name: str, path: str, mode: int) -> str:
        if not (stat.S_ISREG(mode) and name.endswith(SUFFIXES)):
            return ""
        data = _content(directory, name, path, _HASHED_LIMIT)
        # git's own name for the content; nothing is trusted because of it
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _exists(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return Kind.FILE
    return Kind.SYMLINK if stat.S_ISLNK(mode) else Kind.ODD


def _content(directory: int, name: str, path: str, limit: int) -> bytes:
    with os.fdopen(os.open(name, _FILE, dir_fd=directory), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise reading.too_large(path, size, limit)
        return file.read(limit)


def _unreadable(error: OSError) -> RepositoryError:
    return RepositoryError("Unreadable", f"the working tree cannot be read: {error}")
