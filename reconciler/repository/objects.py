"""Objects and references of a repository on this machine, read in process: the border to GitPython.

GitPython only reads here. `GitDB` needs no git process; it is opened anew after each fetch, as it does not notice new
packs by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import git
from git.objects.fun import tree_entries_from_data
from git.refs import SymbolicReference

from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit, Instant
from reconciler.repository import reading
from reconciler.repository.reading import Entry, Kind

TREE_LIMIT = 16 << 20
_DIRECTORY, _SYMLINK, _SUBMODULE = 0o040000, 0o120000, 0o160000
_FILES = (0o100644, 0o100755)
_EVERY_ERROR = (git.GitError, git.BadName, git.BadObject, ValueError, OSError, KeyError, IndexError, AssertionError)


class Objects:
    """The objects of one repository. Raises RepositoryError (CorruptMirror) where git would not be believed."""

    def __init__(self, git_dir: Path) -> None:
        with _translated():
            self._repo = git.Repo(git_dir, odbt=git.GitDB, expand_vars=False)

    def close(self) -> None:
        self._repo.close()

    def reference(self, name: str) -> Commit | None:
        """What a reference such as "refs/heads/main" points at; None when this cannot be told."""
        try:
            return Commit(str(SymbolicReference.dereference_recursive(self._repo, name)))
        except (ValueError, OSError):
            return None

    def has_commit(self, commit: Commit) -> bool:
        binsha = bytes.fromhex(commit)
        with _translated():
            return bool(self._repo.odb.has_object(binsha)) and self._repo.odb.info(binsha).type == b"commit"

    def committed_at(self, commit: Commit) -> Instant:
        with _translated():
            return float(self._commit(commit).committed_date)

    def tree(self, commit: Commit, path: str) -> str:
        """The hash of a directory at a commit, "" when there is none. Raises RepositoryError (PathNotADirectory)."""
        with _translated():
            tree: str = self._commit(commit).tree.hexsha
        for part in path.split("/") if path else ():
            mode, sha = self._children(tree).get(part, (0, ""))
            if not sha:
                return ""
            if mode != _DIRECTORY:
                raise reading.not_a_directory(path)
            tree = sha
        return tree

    def entries(self, tree: str, path: str, depth: int = 0) -> Iterator[Entry]:
        """All entries below a tree that are no directories. `path` is the tree's own path."""
        if depth > reading.MAX_DEPTH:
            raise reading.too_deep(path)
        for name, (mode, sha) in self._children(tree).items():
            below = f"{path}/{name}" if path else name
            if mode == _DIRECTORY:
                yield from self.entries(sha, below, depth + 1)
            else:
                yield Entry(below, _kind(mode), sha)

    def read(self, commit: Commit, path: str, base: str, limit: int) -> bytes:
        """A file's content; see Repository.read."""
        *directories, name = reading.parts_below(path, base)
        with _translated():
            tree: str = self._commit(commit).tree.hexsha
        for part in directories:
            mode, tree = self._children(tree).get(part, (0, ""))
            if mode in (_SYMLINK, _SUBMODULE):
                raise reading.refusal(path, _kind(mode))
            if mode != _DIRECTORY:
                raise reading.not_found(path)
        mode, sha = self._children(tree).get(name, (0, ""))
        if not sha or mode == _DIRECTORY:
            raise reading.not_found(path)
        if _kind(mode) is not Kind.FILE:
            raise reading.refusal(path, _kind(mode))
        return self._blob(sha, path, limit)

    def _blob(self, sha: str, path: str, limit: int) -> bytes:
        with _translated():
            size = int(self._repo.odb.info(bytes.fromhex(sha)).size)
        if size > limit:
            raise reading.too_large(path, size, limit)
        with _translated():
            return bytes(self._repo.odb.stream(bytes.fromhex(sha)).read())

    def _commit(self, commit: Commit) -> git.Commit:
        return git.Commit(self._repo, bytes.fromhex(commit))

    def _children(self, tree: str) -> dict[str, tuple[int, str]]:
        """Name → (mode, hash). Raw entries, because GitPython's tree objects refuse modes that they do not know."""
        binsha = bytes.fromhex(tree)
        with _translated():
            if self._repo.odb.info(binsha).size > TREE_LIMIT:
                raise reading.too_many_files()
            data = bytes(self._repo.odb.stream(binsha).read())
            return {name: (mode, sha.hex()) for sha, mode, name in tree_entries_from_data(data)}


def common_directory(directory: Path) -> Path | None:
    """Where a repository's references lie: a checkout's `.git`, for a worktree its owner's; None: no repository."""
    try:
        with git.Repo(directory, odbt=git.GitDB, expand_vars=False) as repo:
            return Path(repo.common_dir).resolve()
    except _EVERY_ERROR:
        return None


def _kind(mode: int) -> Kind:
    if mode in _FILES:
        return Kind.FILE
    return {_SYMLINK: Kind.SYMLINK, _SUBMODULE: Kind.SUBMODULE}.get(mode, Kind.ODD)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _EVERY_ERROR as error:
        message = f"the mirror cannot be read: {type(error).__name__}: {str(error)[:200]}"
        raise RepositoryError("CorruptMirror", message, hint="it is made anew at the next fetch") from error
