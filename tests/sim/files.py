"""A file system in memory: inodes and names, links, open files, locks of whole files, pipes, and the system's errors.

Only what the agent uses is there. A power loss may take back what was not synced; the disk writes back by itself after
WRITEBACK_S.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

WRITEBACK_S = 30.0
SYNCED = -1e9
FILE, FOLDER, PIPE = 0o100000, 0o040000, 0o010000


def failure(number: int, path: object = None) -> OSError:
    """The error that the system would raise."""
    return OSError(number, os.strerror(number), path)


class Inode:
    """One file, folder or pipe."""

    __slots__ = (
        "changed", "data", "entries", "kind", "links", "lock", "mode", "mtime", "named", "number", "pipe", "stranger"
    )  # fmt: skip

    def __init__(self, number: int, kind: int, mode: int, now: float) -> None:
        self.number = number
        self.kind = kind
        self.mode = mode
        self.links = 1
        self.data = b""
        self.entries: dict[str, Inode] = {}
        self.mtime = now
        self.changed = self.named = now  # elapsed: when its content, and its last name, were written
        self.lock: set[Opened] = set()
        self.pipe: Pipe | None = None
        self.stranger = False  # none of ours may change or remove it


@dataclass(eq=False)
class Pipe:
    """Bytes from writers to readers. `heard` is called when there is something new to read, or an end was closed."""

    data: bytearray = field(default_factory=bytearray)
    readers: int = 0
    writers: int = 0
    capacity: int = 65536
    heard: list[Callable[[], None]] = field(default_factory=list)

    def ring(self) -> None:
        for call in list(self.heard):
            call()


class Opened:
    """An open file description: what descriptors point to, shared by dup and fork."""

    __slots__ = ("exclusive", "inode", "offset", "path", "pipe", "process", "reads", "references", "writes")

    def __init__(
        self, *, inode: Inode | None = None, pipe: Pipe | None = None, reads: bool, writes: bool, path: str = ""
    ) -> None:
        self.inode = inode
        self.pipe = pipe
        self.reads = reads
        self.writes = writes
        self.path = path
        self.offset = 0
        self.references = 1
        self.exclusive = False
        self.process: object = None  # of a pidfd
        if pipe is not None:
            pipe.readers += reads
            pipe.writers += writes

    def close(self) -> None:
        """One descriptor less; the last one lets go of the lock."""
        self.references -= 1
        if self.references:
            return
        if self.inode is not None:
            self.inode.lock.discard(self)
        if self.pipe is not None:
            self.pipe.readers -= self.reads
            self.pipe.writers -= self.writes
            self.pipe.ring()


class Files:
    """One machine's file system."""

    def __init__(self, clock: Callable[[], float], elapsed: Callable[[], float], number: Callable[[], int]) -> None:
        """number: gives inode numbers that no other machine gives, because machines may share a folder."""
        self._clock = clock
        self._elapsed = elapsed
        self._number = number
        self.full = False
        self.root = self.inode(FOLDER)
        self.removed: Callable[[str, Inode], None] = lambda path, inode: None

    def inode(self, kind: int, mode: int = 0o600) -> Inode:
        if self.full and kind != PIPE:
            raise failure(errno.ENOSPC)
        inode = Inode(self._number(), kind, mode, self._clock())
        inode.changed = inode.named = self._elapsed()
        return inode

    # -- names

    def find(self, path: str) -> Inode | None:
        inode = self.root
        for name in path.split("/"):
            if name:
                if inode.kind != FOLDER:
                    return None
                found = inode.entries.get(name)
                if found is None:
                    return None
                inode = found
        return inode

    def get(self, path: str) -> Inode:
        """Raises FileNotFoundError."""
        inode = self.find(path)
        if inode is None:
            raise failure(errno.ENOENT, path)
        return inode

    def parent(self, path: str) -> tuple[Inode, str]:
        head, _, name = path.rstrip("/").rpartition("/")
        folder = self.get(head)
        if folder.kind != FOLDER:
            raise failure(errno.ENOTDIR, path)
        return folder, name

    def put(self, path: str, inode: Inode, *, replace: bool = False) -> None:
        """Give it a name. Raises FileExistsError unless it may replace."""
        folder, name = self.parent(path)
        if not replace and name in folder.entries:
            raise failure(errno.EEXIST, path)
        self.touch(folder)
        folder.entries[name] = inode

    def take(self, path: str) -> Inode:
        """Take a name away. Raises FileNotFoundError."""
        folder, name = self.parent(path)
        if name not in folder.entries:
            raise failure(errno.ENOENT, path)
        self.touch(folder)
        return folder.entries.pop(name)

    def touch(self, inode: Inode) -> None:
        inode.mtime = self._clock()
        inode.changed = self._elapsed()

    # -- what the calls do

    def create(self, path: str, mode: int, *, exclusive: bool) -> Inode:
        folder, name = self.parent(path)
        found = folder.entries.get(name)
        if found is not None:
            if exclusive:
                raise failure(errno.EEXIST, path)
            return found
        inode = self.inode(FILE, mode)
        self.put(path, inode)
        return inode

    def make_folder(self, path: str, mode: int = 0o700) -> None:
        folder, name = self.parent(path)
        if name in folder.entries:
            raise failure(errno.EEXIST, path)
        self.put(path, self.inode(FOLDER, mode))

    def make_folders(self, path: str) -> None:
        done = ""
        for name in path.split("/"):
            if name:
                done += "/" + name
                if self.find(done) is None:
                    self.make_folder(done)

    def write(self, inode: Inode, offset: int, data: bytes) -> int:
        size = len(inode.data)
        if self.full and offset + len(data) > size:
            raise failure(errno.ENOSPC)
        inode.data = inode.data[:offset].ljust(offset, b"\0") + data + inode.data[offset + len(data) :]
        self.touch(inode)
        return len(data)

    def link(self, old: str, new: str) -> None:
        inode = self.get(old)
        if self.full:
            raise failure(errno.ENOSPC, new)
        self.put(new, inode)
        inode.links += 1
        inode.named = self._elapsed()

    def unlink(self, path: str) -> None:
        folder, name = self.parent(path)
        inode = folder.entries.get(name)
        if inode is None:
            raise failure(errno.ENOENT, path)
        if inode.kind == FOLDER:
            raise failure(errno.EISDIR, path)
        self.removed(path, inode)
        self.take(path)
        inode.links -= 1

    def rename(self, old: str, new: str) -> None:
        inode = self.get(old)
        if inode.kind == FOLDER:
            for below in self.walk(inode):
                self.removed(old, below)
        replaced = self.find(new)
        if replaced is not None:
            self.removed(new, replaced)
            replaced.links -= 1
        self.take(old)
        self.put(new, inode, replace=True)
        inode.named = self._elapsed()

    def remove_folder(self, path: str) -> None:
        inode = self.get(path)
        if inode.kind != FOLDER:
            raise failure(errno.ENOTDIR, path)
        if inode.entries:
            raise failure(errno.ENOTEMPTY, path)
        self.take(path)

    def remove_tree(self, path: str) -> None:
        inode = self.get(path)
        for below in self.walk(inode):
            self.removed(path, below)
        self.take(path)

    def walk(self, inode: Inode) -> Iterator[Inode]:
        yield inode
        for below in list(inode.entries.values()):
            yield from self.walk(below)

    # -- for the world outside

    def text(self, path: str, content: str) -> None:
        """Lay a file, and its folders, whatever is there."""
        self.make_folders(path.rpartition("/")[0])
        inode = self.create(path, 0o644, exclusive=False)
        inode.data = content.encode()

    def lose_power(self, chance: Callable[[], float]) -> None:
        """What was not written back yet is there, torn, empty, or has no name; without any order."""
        self._tear(self.root, self._elapsed() - WRITEBACK_S, chance)

    def _tear(self, folder: Inode, since: float, chance: Callable[[], float]) -> None:
        for name, inode in list(folder.entries.items()):
            if inode.stranger:
                continue
            if inode.kind == FOLDER:
                self._tear(inode, since, chance)
            if inode.named > since and not inode.entries and chance() < 0.25:
                del folder.entries[name]
                inode.links -= 1
            elif inode.changed > since and inode.kind == FILE and chance() < 0.3:
                inode.data = inode.data[: int(len(inode.data) * chance())]

    @staticmethod
    def sync(inode: Inode) -> None:
        """A file's content, or a folder's names, are on the disk."""
        if inode.kind == FOLDER:
            for below in inode.entries.values():
                below.named = SYNCED
        else:
            inode.changed = SYNCED
