"""The system calls that the agent makes, on a simulated machine: what `os`, `fcntl`, `time`, `signal` … are to it.

Whoever calls is the process whose step is running. Each call is a point at which it may be killed, or others may run in
between (`Proc.calls_left`): nothing that takes two calls is one piece.
"""

from __future__ import annotations

import errno
import io
import os as real_os
import posixpath
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from tests.sim import procfs
from tests.sim.files import FILE, FOLDER, PIPE, Files, Inode, Opened, Pipe, failure
from tests.sim.loop import Killed, SimLoop
from tests.sim.machine import Proc

UID = 1000
DEVICE = 8


class Cell:
    """Which world the calls are made in: one at a time in this interpreter."""

    loop: SimLoop | None = None


def caller() -> Proc:
    """The process that makes the call. Raises Killed for the dead: on their way out they do nothing."""
    proc = Cell.loop.current
    assert isinstance(proc, Proc), f"{proc.name} is no process of a machine"
    if not proc.alive:
        raise Killed
    if proc.calls_left >= 0:
        if proc.calls_left == 0 and proc.interrupted is not None:
            proc.calls_left = -1
            proc.interrupted()
            if not proc.alive:
                raise Killed
        else:
            proc.calls_left -= 1
    return proc


def _readable(proc: Proc, path: str) -> None:
    if proc.machine.unreadable and any(part in path for part in proc.machine.unreadable):
        raise failure(errno.EIO, path)


def _absolute(proc: Proc, path: Any) -> str:
    text = real_os.fspath(path)
    return text if text.startswith("/") else posixpath.join(proc.cwd, text)


def opened_by(proc: Proc, fd: int) -> Opened:
    opened = proc.fds.get(fd)
    if opened is None:
        raise failure(errno.EBADF)
    return opened


# ---------------------------------------------------------------------------------------------- files


def open_fd(path: Any, flags: int, mode: int = 0o777) -> int:
    proc = caller()
    path = _absolute(proc, path)
    _readable(proc, path)
    files = proc.machine.files
    special = procfs.find(proc, path) if path.startswith(procfs.OWN) else None
    if special is not None:
        inode = Inode(0, FILE, 0o444, 0.0)
        inode.data = special
    elif flags & real_os.O_CREAT:
        inode = files.create(path, mode, exclusive=bool(flags & real_os.O_EXCL))
    else:
        inode = files.get(path)
    if inode.kind == FOLDER and flags & (real_os.O_WRONLY | real_os.O_RDWR):
        raise failure(errno.EISDIR, path)
    access = flags & real_os.O_ACCMODE
    reads, writes = access in (real_os.O_RDONLY, real_os.O_RDWR), access in (real_os.O_WRONLY, real_os.O_RDWR)
    if inode.pipe is not None and writes and not reads and not inode.pipe.readers:
        raise failure(errno.ENXIO, path)
    if flags & real_os.O_TRUNC:
        inode.data = b""
    opened = Opened(inode=inode, pipe=inode.pipe, reads=reads, writes=writes, path=path)
    if flags & real_os.O_APPEND:
        opened.offset = len(inode.data)
    return proc.open(opened)


def close(fd: int) -> None:
    proc = caller()
    opened = proc.fds.pop(fd, None)
    if opened is None:
        raise failure(errno.EBADF)
    proc.inheritable.discard(fd)
    opened.close()


def read(fd: int, size: int) -> bytes:
    proc = caller()
    opened = opened_by(proc, fd)
    if opened.pipe is not None:
        pipe = opened.pipe
        if not pipe.data:
            if pipe.writers:
                raise failure(errno.EAGAIN)
            return b""
        data = bytes(pipe.data[:size])
        was_full = len(pipe.data) >= pipe.capacity
        del pipe.data[:size]
        if was_full:
            pipe.ring()
        return data
    assert opened.inode is not None
    data = opened.inode.data[opened.offset : opened.offset + size]
    opened.offset += len(data)
    return data


def write(fd: int, data: Any) -> int:
    proc = caller()
    opened = opened_by(proc, fd)
    if opened.pipe is not None:
        pipe = opened.pipe
        if not pipe.readers:
            raise failure(errno.EPIPE)
        room = pipe.capacity - len(pipe.data)
        if room <= 0 or (len(data) <= 4096 and room < len(data)):
            raise failure(errno.EAGAIN)
        piece = bytes(data[:room])
        pipe.data += piece
        pipe.ring()
        return len(piece)
    assert opened.inode is not None
    written = proc.machine.files.write(opened.inode, opened.offset, bytes(data))
    opened.offset += written
    return written


def pwrite(fd: int, data: bytes, offset: int) -> int:
    proc = caller()
    opened = opened_by(proc, fd)
    assert opened.inode is not None
    return proc.machine.files.write(opened.inode, offset, data)


def _status(inode: Inode, device: int) -> SimpleNamespace:
    return SimpleNamespace(
        st_mode=inode.kind | inode.mode,
        st_dev=device,
        st_ino=inode.number,
        st_nlink=inode.links,
        st_uid=UID,
        st_mtime=inode.mtime,
        st_size=len(inode.data),
    )


def fsync(fd: int) -> None:
    proc = caller()
    inode = opened_by(proc, fd).inode
    assert inode is not None
    proc.machine.files.sync(inode)


def fstat(fd: int) -> SimpleNamespace:
    proc = caller()
    opened = opened_by(proc, fd)
    assert opened.inode is not None
    return _status(opened.inode, DEVICE)


def stat(path: Any) -> SimpleNamespace:
    proc = caller()
    path = _absolute(proc, path)
    _readable(proc, path)
    if path.startswith("/proc/"):
        found = procfs.target(proc, path)
        if found is None:
            raise failure(errno.ENOENT, path)
        return found if isinstance(found, SimpleNamespace) else _status(found, DEVICE)
    return _status(proc.machine.files.get(path), DEVICE)


def makedirs(path: Any, mode: int = 0o777, exist_ok: bool = False) -> None:
    proc = caller()
    path = _absolute(proc, path)
    if proc.machine.files.find(path) is not None and not exist_ok:
        raise failure(errno.EEXIST, path)
    proc.machine.files.make_folders(path)


def mkdir(path: Any, mode: int = 0o777) -> None:
    proc = caller()
    proc.machine.files.make_folder(_absolute(proc, path), mode)


def rmdir(path: Any) -> None:
    proc = caller()
    proc.machine.files.remove_folder(_absolute(proc, path))


def mkfifo(path: Any, mode: int = 0o666) -> None:
    proc = caller()
    inode = proc.machine.files.inode(PIPE, mode)
    inode.pipe = Pipe()
    proc.machine.files.put(_absolute(proc, path), inode)


def link(old: Any, new: Any) -> None:
    proc = caller()
    proc.machine.files.link(_absolute(proc, old), _absolute(proc, new))


def unlink(path: Any) -> None:
    proc = caller()
    proc.machine.files.unlink(_absolute(proc, path))


def rename(old: Any, new: Any) -> None:
    proc = caller()
    proc.machine.files.rename(_absolute(proc, old), _absolute(proc, new))


def listdir(path: Any) -> list[str]:
    proc = caller()
    path = _absolute(proc, path)
    _readable(proc, path)
    listed = procfs.names(proc, path) if path.startswith("/proc") else None
    if listed is not None:
        return listed
    inode = proc.machine.files.get(path)
    if inode.kind != FOLDER:
        raise failure(errno.ENOTDIR, path)
    return list(inode.entries)


def scandir(path: Any) -> Iterator[SimpleNamespace]:
    base = real_os.fspath(path)
    files = caller().machine.files
    paths = [f"{base}/{name}" for name in listdir(path)]
    return iter(
        [SimpleNamespace(name=posixpath.basename(each), path=each, is_dir=_kind(files, each)) for each in paths]
    )


def _kind(files: Files, path: str) -> Callable[[], bool]:
    """As the listing tells, without another call."""
    inode = files.find(path)
    return lambda: inode is not None and inode.kind == FOLDER


def chdir(path: Any) -> None:
    proc = caller()
    path = _absolute(proc, path)
    if proc.machine.files.get(path).kind != FOLDER:
        raise failure(errno.ENOTDIR, path)
    proc.cwd = path


def exists(path: Any) -> bool:
    """As the real one: what cannot be read is not there."""
    proc = caller()
    path = _absolute(proc, path)
    if proc.machine.unreadable and any(part in path for part in proc.machine.unreadable):
        return False
    return proc.machine.files.find(path) is not None


def isdir(path: Any) -> bool:
    proc = caller()
    inode = proc.machine.files.find(_absolute(proc, path))
    return inode is not None and inode.kind == FOLDER


def isfile(path: Any) -> bool:
    proc = caller()
    inode = proc.machine.files.find(_absolute(proc, path))
    return inode is not None and inode.kind == FILE


class _Written(io.StringIO):
    """A text that is written when it is closed."""

    def __init__(self, path: Any) -> None:
        super().__init__()
        self._fd = open_fd(path, real_os.O_WRONLY | real_os.O_CREAT | real_os.O_TRUNC)

    def close(self) -> None:
        if not self.closed:
            try:
                write(self._fd, self.getvalue().encode())
            finally:
                super().close()
                close(self._fd)


def open_text(path: Any, mode: str = "r", **_: Any) -> io.IOBase:
    """The builtin, as the agent uses it: to read a text or bytes, or to write a text."""
    if mode == "w":
        return _Written(path)
    assert mode in ("r", "rb")
    fd = open_fd(path, real_os.O_RDONLY)
    opened = caller().fds[fd]
    assert opened.inode is not None
    data = opened.inode.data
    close(fd)
    return io.BytesIO(data) if mode == "rb" else io.StringIO(data.decode("utf-8", "replace"))
