"""What a folder holds, without git: each file's content, and one hash of all of them.

The hash is SHA-256 over one line a file, in the order of the names' bytes:

    KIND SHA256 NAME\\0        KIND: `-` a file, `x` a file that may be executed, `l` a link (the hash is of its target)

A file whose size, times and inode are those of the last look is not read again: the hashes are kept beside the root.
Empty folders do not count. What can be no code (a socket, a device) is refused, not passed over.
"""

import errno
import fnmatch
import json
import os
import re
import stat
import time
from typing import Dict, Iterator, List, NamedTuple, Tuple

from .place import write_all
from .shapes import Object, Refusal

IGNORED = (".git", "__pycache__", "*.pyc", ".reconciler")
IGNORE_FILE = ".reconcilerignore"
MAX_FILES = 50000
MAX_BYTES = 1 << 32
MAX_PATTERNS = 200
PIECE = 1 << 20
RACY_S = 1.0  # a file so young may change once more without looking different
CHANGES = 3

_SHA = re.compile(r"[0-9a-f]{64}\Z")


class Entry(NamedTuple):
    """One file. Its line is what is hashed."""

    name: str
    kind: str
    sha: str
    size: int

    def line(self) -> bytes:
        return b"%s %s %s\0" % (self.kind.encode("ascii"), self.sha.encode("ascii"), os.fsencode(self.name))

    def told(self) -> Object:
        return {"name": self.name, "kind": self.kind, "sha": self.sha, "size": self.size}


def folder_of(path: str) -> str:
    """The folder that somebody has named; `~` is the account's home. Raises Refusal."""
    folder = os.path.normpath(os.path.expanduser(path))
    if not os.path.isabs(folder):
        raise Refusal("BadRequest", "not an absolute path: %.200r" % path)
    if not os.path.isdir(folder):
        raise Refusal("FolderMissing", "there is no folder %s" % folder, "correct the project's `path`")
    return folder


def look(path: str, cache: str) -> Tuple[str, List[Entry]]:
    """(hash, files) of a folder; `cache`: a file for what was hashed, "" for none. Raises Refusal, OSError."""
    folder = folder_of(path)
    known = _Known(cache)
    entries = []
    size = 0
    for name in sorted(_names(folder), key=os.fsencode):
        entry = _entry(folder, name, known)
        size += entry.size
        if size > MAX_BYTES:
            raise _too_large("%d MiB" % (MAX_BYTES >> 20))
        entries.append(entry)
    known.keep()
    return hash_of(entries), entries


def hash_of(entries: List[Entry]) -> str:
    """Of a whole tree."""
    import hashlib

    whole = hashlib.sha256()
    for entry in entries:
        whole.update(entry.line())
    return whole.hexdigest()


def name_hash(text: str) -> str:
    """A plain name for a path."""
    import hashlib

    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


def is_sha(value: object) -> bool:
    return isinstance(value, str) and _SHA.match(value) is not None


def seen(folder: str, name: str) -> Object:
    """One file as it lies there: kind "" and sha "" when it does not. Raises Refusal when the name leads outside."""
    path = inside(folder, name)
    try:
        return _entry(folder, name, _Known("")).told()
    except FileNotFoundError:
        return Entry(name, "", "", 0).told()
    except (Refusal, NotADirectoryError, IsADirectoryError):
        kind = "d" if os.path.isdir(path) else "" if not os.path.lexists(path) else "?"
        return Entry(name, kind, "", 0).told()


def inside(folder: str, name: str) -> str:
    """The path of a file of the folder; no folder on the way to it may be a link. Raises Refusal."""
    parts = name.split("/")
    if not name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise Refusal("BadRequest", "not the name of a file: %.200r" % name)
    path = folder
    for part in parts[:-1]:
        path += "/" + part
        if os.path.islink(path):
            raise Refusal("UnsafeName", "%s leads through a link" % name)
    return path + "/" + parts[-1]


def file_hash(path: str) -> Tuple[str, os.stat_result]:
    """The SHA-256 of a file that did not change meanwhile, and how it looked. Raises OSError."""
    import hashlib

    for _ in range(CHANGES):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            before = os.fstat(fd)
            digest = hashlib.sha256()
            while True:
                piece = os.read(fd, PIECE)
                if not piece:
                    break
                digest.update(piece)
            after = os.fstat(fd)
        finally:
            os.close(fd)
        if _look_of(before) == _look_of(after):
            return digest.hexdigest(), after
    raise OSError(errno.EBUSY, "it changes all the time", path)


def _entry(folder: str, name: str, known: "_Known") -> Entry:
    path = folder + "/" + name
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        import hashlib

        target = os.fsencode(os.readlink(path))
        return Entry(name, "l", hashlib.sha256(target).hexdigest(), len(target))
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "neither a file nor a link"
        hint = "remove it, or name it in %s" % IGNORE_FILE
        raise Refusal("UnfitFile", "%s is %s" % (path, what), hint)
    sha = known.get(name, found)
    if not sha:
        sha, found = file_hash(path)
        known.add(name, found, sha)
    return Entry(name, "x" if found.st_mode & 0o100 else "-", sha, found.st_size)


def _names(folder: str) -> Iterator[str]:
    """All files below, but for what is to be ignored."""
    patterns = list(IGNORED) + _patterns(folder)
    count = 0
    folders = [""]
    while folders:
        below = folders.pop()
        for entry in os.scandir(folder + "/" + below if below else folder):
            name = below + entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if _ignored(name, entry.name, is_folder, patterns):
                continue
            if is_folder:
                folders.append(name + "/")
                continue
            count += 1
            if count > MAX_FILES:
                raise _too_large("%d files" % MAX_FILES)
            yield name


def _patterns(folder: str) -> List[str]:
    """Of the folder's own list: one a line, as of a shell, for a name or a path; with `/` at the end for folders."""
    try:
        with open(folder + "/" + IGNORE_FILE, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.strip() for line in file.read(1 << 16).splitlines()]
    except FileNotFoundError:
        return []
    patterns = [line for line in lines if line and not line.startswith("#")]
    if len(patterns) > MAX_PATTERNS or any(line.startswith("!") for line in patterns):
        hint = "at most %d patterns, and none that begins with `!`" % MAX_PATTERNS
        raise Refusal("UnfitFile", "%s/%s is not understood" % (folder, IGNORE_FILE), hint)
    return patterns


def _ignored(name: str, last: str, is_folder: bool, patterns: List[str]) -> bool:
    for pattern in patterns:
        if pattern.endswith("/") and not is_folder:
            continue
        pattern = pattern.rstrip("/")
        whole = "/" in pattern
        if fnmatch.fnmatchcase(name if whole else last, pattern.lstrip("/")):
            return True
    return False


def _too_large(limit: str) -> Refusal:
    return Refusal("TreeTooLarge", "the folder has more than %s" % limit, "name data and results in %s" % IGNORE_FILE)


def _look_of(found: os.stat_result) -> List[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


class _Known:
    """Hashes of an earlier look. A torn or foreign file of them is as good as none."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._old = self._read()
        self._new: Dict[str, List[object]] = {}
        self._missed = False

    def get(self, name: str, found: os.stat_result) -> str:
        line = self._old.get(name)
        if not isinstance(line, list) or len(line) != 5 or line[:4] != _look_of(found):
            return ""
        self._new[name] = line
        return str(line[4])

    def add(self, name: str, found: os.stat_result, sha: str) -> None:
        self._missed = True
        if found.st_mtime_ns < (time.time() - RACY_S) * 1e9:
            self._new[name] = [*_look_of(found), sha]

    def keep(self) -> None:
        """For the next look. Without room there is none."""
        import hashlib

        if not self._path or not (self._missed or len(self._new) != len(self._old)):
            return
        data = json.dumps(self._new).encode("ascii")
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            try:
                write_all(fd, hashlib.sha256(data).hexdigest().encode("ascii") + data)
            finally:
                os.close(fd)
        except OSError:
            pass

    def _read(self) -> Dict[str, object]:
        import hashlib

        try:
            with open(self._path, "rb") as file:
                sha, data = file.read(64), file.read()
            if hashlib.sha256(data).hexdigest().encode("ascii") == sha:
                return dict(json.loads(data.decode("ascii")))
        except (OSError, ValueError):
            pass
        return {}
