"""Signals, to nothing but what is proven to be ours.

A shim is known by its pid, its start and the boot, all three in its claim, and by its name: that of the attempt it
has in hand. What a dead shim has left is found by the attempt's lock: only the shim and its descendants ever hold it
for writing (observers share it for a moment).
"""

import os
import signal
from typing import Callable, List, Optional

from . import system
from .shapes import Claim, LockId

# Python 3.9 has both; before, a process that ends between the check and the signal is a risk of a few microseconds.
_PIDFD_OPEN: Optional[Callable[[int], int]] = getattr(os, "pidfd_open", None)
_PIDFD_SEND: Optional[Callable[[int, int], None]] = getattr(signal, "pidfd_send_signal", None)


def signal_shim(claim: Claim, number: int) -> bool:
    """Send a signal to the shim of this claim, made in this boot; False when it is dead."""
    return _signal(claim.pid, claim.start, number, claim.eid)


def shim_lives(claim: Claim) -> bool:
    return _is_it(claim.pid, claim.start, claim.eid)


def signal_leftovers(claim: Claim, number: int) -> int:
    """Signal every process that a dead shim has left; returns how many were reached.

    These are the holders of the lock and, while one of them is in the shim's session, everything in that session: its
    number is the shim's pid, and cannot be given to others while one member lives.
    """
    holders = [] if claim.lock is None else _holders(claim.lock)
    targets = {pid: ticks for pid, ticks in ((pid, system.start_ticks(pid)) for pid in holders) if ticks is not None}
    if any(_session(pid) == claim.pid for pid in targets):
        for pid in _own_processes():
            ticks = system.start_ticks(pid)
            if ticks is not None and _session(pid) == claim.pid:
                targets[pid] = ticks
    return sum(_signal(pid, ticks, number) for pid, ticks in targets.items())


def _is_it(pid: int, start: int, name: Optional[str]) -> bool:
    """True when this process lives, began then and, if a name is given, bears it now."""
    return system.start_ticks(pid) == start and (name is None or system.process_name(pid) == name)


def _signal(pid: int, start: int, number: int, name: Optional[str] = None) -> bool:
    """Only if the process that has the pid now is the one that started then. The pidfd closes the gap in between."""
    if pid <= 1:
        return False
    if _PIDFD_OPEN is not None and _PIDFD_SEND is not None:
        return _signal_by_pidfd(_PIDFD_OPEN, _PIDFD_SEND, pid, start, number, name)
    if not _is_it(pid, start, name):
        return False
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def _signal_by_pidfd(
    pidfd_open: Callable[[int], int],
    send: Callable[[int, int], None],
    pid: int,
    start: int,
    number: int,
    name: Optional[str],
) -> bool:
    try:
        fd = pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _is_it(pid, start, name):
            return False
        send(fd, number)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _holders(lock: LockId) -> List[int]:
    return [pid for pid in _own_processes() if _holds(pid, lock)]


def _holds(pid: int, lock: LockId) -> bool:
    """True when the process has the lock's inode open under an exclusive flock."""
    folder = "/proc/%d/fd" % pid
    try:
        numbers = os.listdir(folder)
    except OSError:
        return False
    for number in numbers:
        try:
            found = os.stat("%s/%s" % (folder, number))
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (lock.dev, lock.ino) and _exclusive(pid, number):
            return True
    return False


def _exclusive(pid: int, number: str) -> bool:
    try:
        with open("/proc/%d/fdinfo/%s" % (pid, number), encoding="ascii", errors="replace") as file:
            return any(line.startswith("lock:") and "FLOCK" in line and "WRITE" in line for line in file)
    except OSError:
        return False


def _own_processes() -> List[int]:
    """Every process of this account but this one."""
    pids = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and _owner("/proc/" + name) == os.getuid():
            pids.append(int(name))
    return pids


def _owner(path: str) -> Optional[int]:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None


def _session(pid: int) -> Optional[int]:
    fields = system.process_fields(pid)
    return None if fields is None else int(fields[3])
