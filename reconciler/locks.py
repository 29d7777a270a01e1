"""One daemon for one state directory: an advisory lock that dies with its holder.

The lock is a file of its own, never the database's: closing any descriptor of a database file drops SQLite's own POSIX
locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from reconciler.core.errors import AlreadyRunning, StoreError


class StateLock:
    """Held from `acquire` until `release` or the end of the process."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "lock"
        self._descriptor: int | None = None
        self.left = False  # the last holder has not released it: it was killed, or the power failed

    def acquire(self) -> None:
        """Take the lock, and write our pid into it.

        Raises AlreadyRunning, or StoreError when the directory cannot be written.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                "StateNotWritable",
                f"the state directory {self._path.parent} cannot be written: {error.strerror}",
                hint="choose another one with `state: {dir: …}` in the configuration, on a local disk",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise AlreadyRunning(
                "AlreadyRunning",
                f"another daemon serves {self._path.parent}" + (f" (pid {holder})" if holder else ""),
                hint="stop it first, or give this one another state directory",
            ) from None
        except OSError as error:  # no answer, so that nobody can tell whether another one does
            os.close(descriptor)
            raise StoreError("StateNotWritable", f"{self._path} cannot be locked: {error.strerror}") from error
        self._descriptor = descriptor
        try:
            self.left = os.fstat(descriptor).st_size > 0
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            self.release()
            raise StoreError("StateNotWritable", f"{self._path} cannot be written: {error.strerror}") from error

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def is_held(state_dir: Path) -> bool:
    """Whether a daemon serves this state directory now. Never creates anything."""
    try:
        descriptor = os.open(state_dir / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
