"""A checkout's files, read as a commit's are: for `plan --working-tree`."""

from __future__ import annotations

from pathlib import Path

from reconciler.repository.reading import Listing


class WorkingTree:
    """The manifest path of a checkout. Nothing is followed: a symlink is refused, wherever it stands."""

    def __init__(self, root: Path, path: str) -> None:
        """root: the checkout's top directory; path: the manifest path below it, as in the configuration."""
        raise NotImplementedError

    def listing(self) -> Listing:
        """Manifests and refusals; blobs are the hashes that git would give. Raises RepositoryError (PathNotADirectory, TooManyFiles)."""
        raise NotImplementedError

    def read(self, path: str, *, limit: int) -> bytes:
        """One file below the manifest path, at most `limit` bytes. Raises ManifestError (NotFound, TooLarge, Symlink…)."""
        raise NotImplementedError
