"""Descriptors that wake the loop: the shims' pipe, the bell, ended children. All of them non-blocking."""

import fcntl
import os
import select
import signal
import stat
from typing import List, Optional, Tuple

RING_FD = 3  # where every shim finds the pipe on which it rings; the agent's own numbers begin above _ABOVE
READ_BYTES = 1 << 16
MAX_PIECE = 4096  # PIPE_BUF: up to here a write is one piece
_ABOVE = 10


class LineReader:
    """Whole lines from a descriptor that many processes write to, each line in one piece."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._rest = b""

    def lines(self) -> List[str]:
        """What is there now."""
        data = drain(self.fd)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]


def open_ring() -> int:
    """Make the shims' pipe; returns its reading end. The writing end is RING_FD, for forked children alone."""
    low_read, low_write = os.pipe()
    read_end = fcntl.fcntl(low_read, fcntl.F_DUPFD_CLOEXEC, _ABOVE)
    write_end = fcntl.fcntl(low_write, fcntl.F_DUPFD_CLOEXEC, _ABOVE)
    os.close(low_read)
    os.close(low_write)
    os.dup2(write_end, RING_FD, False)
    os.close(write_end)
    os.set_blocking(read_end, False)
    os.set_blocking(RING_FD, False)
    return read_end


def open_wake(number: int) -> int:
    """A descriptor that becomes readable when the signal has come."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    signal.signal(number, _ignore)
    return read_end


def open_bell(path: str) -> Optional[int]:
    """The bell, for reading; None when this root has none. Opened for writing too, so that it never reads as ended."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def write_piece(fd: int, piece: bytes, patience_s: Optional[float]) -> bool:
    """Write in one piece; wait for room at most so long (None: as long as somebody reads). False: not written."""
    room = select.poll()
    room.register(fd, select.POLLOUT)
    while True:
        try:
            os.write(fd, piece)
            return True
        except BlockingIOError:
            if not room.poll(None if patience_s is None else patience_s * 1000):
                return False
        except OSError:  # nobody reads any more
            return False


def close_all_but(kept: Tuple[int, ...]) -> None:
    """Close every descriptor that is open, whoever opened it, except these."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:  # the one on which the folder was listed
                pass


def drain(fd: int) -> bytes:
    """All that can be read now."""
    data = b""
    while True:
        try:
            piece = os.read(fd, READ_BYTES)
        except OSError:
            return data
        data += piece
        if len(piece) < READ_BYTES:
            return data


def _ignore(_number: int, _frame: object) -> None:
    """A handler must exist for the wake-up descriptor to be written."""
