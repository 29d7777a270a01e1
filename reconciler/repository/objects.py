"""Objects and references of a repository on this machine, read in process: the border to GitPython.

GitPython only reads here: references from their files, objects from two `git cat-file` that it starts when first asked
and keeps. They are started with our environment, and anew if they have died.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import git
from git.refs import SymbolicReference
from gitdb.exc import ODBError

from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit, Instant
from reconciler.repository import reading
from reconciler.repository.reading import Entry, Kind

TREE_LIMIT = 16 << 20
_DIRECTORY, _SYMLINK, _SUBMODULE = 0o040000, 0o120000, 0o160000
_FILES = (0o100644, 0o100755)
_EVERY_ERROR = (
    git.GitError, ODBError, ValueError, OSError, KeyError, IndexError, AssertionError, configparser.Error
)  # fmt: skip


class Objects:
    """The objects of one repository. Raises RepositoryError (CorruptMirror) where git would not be believed."""

    def __init__(self, git_dir: Path, environment: Mapping[str, str]) -> None:
        """environment: for the git that reads."""
        with _translated():
            self._repo = git.Repo(git_dir, expand_vars=False)
            self._repo.git.update_environment(**environment, GIT_DIR=self._repo.git_dir)

    def close(self) -> None:
        """End the processes that read; they are started again when needed."""
        self._repo.close()

    def reference(self, name: str) -> Commit | None:
        """What a reference such as "refs/heads/main" points at; None when this cannot be told."""
        try:
            return Commit(str(SymbolicReference.dereference_recursive(self._repo, name)))
        except (ValueError, OSError, AssertionError):  # the last: the reference's file is empty
            return None

    def has_commit(self, commit: Commit) -> bool:
        with _translated():
            try:
                kind, _ = self._header(commit)
            except ValueError as error:
                if "could not be resolved" in str(error):
                    return False
                raise
            return kind == b"commit"

    def committed_at(self, commit: Commit) -> Instant:
        with _translated():
            return float(git.Commit(self._repo, bytes.fromhex(commit)).committed_date)

    def tree(self, commit: Commit, path: str) -> str:
        """The hash of a directory at a commit, "" when there is none. Raises RepositoryError (PathNotADirectory)."""
        tree = self._root(commit)
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
        tree = self._root(commit)
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
            _, size = self._header(sha)
        if size > limit:
            raise reading.too_large(path, size, limit)
        with _translated():
            return self._data(sha)

    def _root(self, commit: Commit) -> str:
        """The hash of a commit's tree. Raises RepositoryError (RevisionNotFound): not to have a commit is no damage."""
        if not self.has_commit(commit):
            hint = "its branch may have been rewritten; the next fetch may bring it"
            raise RepositoryError("RevisionNotFound", f"the mirror has no commit {commit}", hint=hint)
        with _translated():
            return str(git.Commit(self._repo, bytes.fromhex(commit)).tree.hexsha)

    def _header(self, sha: str) -> tuple[bytes, int]:
        """An object's type and size."""
        binsha = bytes.fromhex(sha)
        try:
            info = self._repo.odb.info(binsha)
        except _EVERY_ERROR:  # the process may have been killed, which is no damage
            self._repo.git.clear_cache()
            info = self._repo.odb.info(binsha)
        return bytes(info.type), int(info.size)

    def _data(self, sha: str) -> bytes:
        binsha = bytes.fromhex(sha)
        try:
            return bytes(self._repo.odb.stream(binsha).read())
        except _EVERY_ERROR:
            self._repo.git.clear_cache()
            return bytes(self._repo.odb.stream(binsha).read())

    def _children(self, tree: str) -> dict[str, tuple[int, str]]:
        """Name → (mode, hash)."""
        with _translated():
            if self._header(tree)[1] > TREE_LIMIT:
                raise reading.too_many_files()
            return _parse_tree(self._data(tree))


def common_directory(directory: Path) -> Path | None:
    """Where a repository's references lie: a checkout's `.git`, for a worktree its owner's; None: no repository."""
    try:
        with git.Repo(directory, expand_vars=False) as repo:
            return Path(repo.common_dir).resolve()
    except _EVERY_ERROR:
        return None


def _parse_tree(data: bytes) -> dict[str, tuple[int, str]]:
    """`<mode> <name> NUL <hash>`, repeated. GitPython's own reader fails on modes that it does not know."""
    children: dict[str, tuple[int, str]] = {}
    position = 0
    while position < len(data):
        space, end = data.index(b" ", position), data.index(b"\0", position)
        name = data[space + 1 : end].decode("utf-8", "surrogateescape")
        children[name] = int(data[position:space], 8), data[end + 1 : end + 21].hex()
        position = end + 21
    return children


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
