"""Which machine, which boot, which process: what Linux says about itself."""

import ctypes
import os
import signal
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

from .shapes import Object

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36

# File systems whose locks are not to be trusted between hosts, or at all.
_REMOTE = frozenset(
    {"nfs", "nfs3", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs", "panfs"}
    | {"orangefs", "pvfs2", "glusterfs", "ocfs2", "gfs2", "virtiofs"}
)
# Those of them that another machine keeps, so that who copies one of ours copies nothing of it.
_SERVED = _REMOTE - {"9p", "virtiofs", "ocfs2", "gfs2"}

try:
    _LIBC: Optional[ctypes.CDLL] = ctypes.CDLL(None)
except OSError:  # leftovers are then found by their process group only
    _LIBC = None


class Identity(NamedTuple):
    """Which running system this is."""

    host: str
    machine: str
    boot: str


def identity() -> Identity:
    machine = first_line("/etc/machine-id") or first_line("/var/lib/dbus/machine-id") or ""
    return Identity(os.uname().nodename, machine, first_line("/proc/sys/kernel/random/boot_id") or "")


def first_line(path: str) -> Optional[str]:
    """The first line of a small file, or None when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return None


def process_fields(pid: int) -> Optional[List[bytes]]:
    """The fields of /proc/PID/stat from the third on (state, ppid, pgrp, session, …); None: no such process."""
    try:
        fd = os.open("/proc/%d/stat" % pid, os.O_RDONLY)
    except OSError:
        return None
    try:
        line = os.read(fd, 4096)
    except OSError:  # it ended between open and read
        return None
    finally:
        os.close(fd)
    return line[line.rindex(b")") + 2 :].split()


def start_ticks(pid: int) -> Optional[int]:
    """When the process started, in clock ticks after the boot; None when it is dead (a zombie is dead)."""
    fields = process_fields(pid)
    if fields is None or fields[0] in (b"Z", b"X"):
        return None
    return int(fields[19])


def uptime_s() -> float:
    """Seconds since the boot."""
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])


def age_s(ticks: int) -> float:
    """Seconds since a process that started at these ticks; wall clock steps do not matter."""
    return uptime_s() - ticks / float(os.sysconf("SC_CLK_TCK"))


def status_words(status: int) -> str:
    """How a process ended, from its wait status."""
    if os.WIFSIGNALED(status):
        return "signal %d" % os.WTERMSIG(status)
    return "exit %d" % os.WEXITSTATUS(status)


def become_subreaper() -> None:
    """Orphans among our descendants become our children; best effort."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """When the process that forked us ends, we are killed; also after an exec; best effort."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def name_process(name: str) -> None:
    """What ps shows, and what `process_name` finds: at most 15 characters, the length of an eid; best effort."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_NAME, name.encode("ascii"), 0, 0, 0)


def process_name(pid: int) -> str:
    """ "" when there is no such process."""
    return first_line("/proc/%d/comm" % pid) or ""


def is_local(path: str) -> bool:
    """True when the file system below this directory is known to be this machine's own."""
    kind = _filesystem(os.path.realpath(path))
    return kind is not None and kind not in _REMOTE and not kind.startswith("fuse")


def is_shared(path: str) -> bool:
    """True when a file server is known to keep this directory for all who see it."""
    return _filesystem(os.path.realpath(path)) in _SERVED


def _filesystem(path: str) -> Optional[str]:
    best = (-1, "")
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                best = max(best, _mount(line, path))
    except OSError:
        return None
    return best[1] or None


def _mount(line: str, path: str) -> Tuple[int, str]:
    """(length of the mount point, type) if `path` lies below it, else (-1, "")."""
    left, _, right = line.partition(" - ")
    point = left.split()[4].replace("\\040", " ").rstrip("/")
    if path == point or path.startswith(point + "/"):
        return len(point), right.split()[0]
    return -1, ""


def probe(root: str) -> Object:
    """The machine's own view of its load and room."""
    memory = _meminfo()
    while not os.path.isdir(root) and root != os.path.dirname(root):  # a visitor's root need not be there
        root = os.path.dirname(root)
    disk = os.statvfs(root)
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "load1": os.getloadavg()[0],
        "memory_mib": memory.get("MemTotal", 0) // 1024,
        "memory_free_mib": memory.get("MemAvailable", memory.get("MemFree", 0)) // 1024,
        "disk_free_mib": disk.f_bavail * disk.f_frsize // (1024 * 1024),
        "clock": time.time(),
    }


def _meminfo() -> Dict[str, int]:
    """KiB by name."""
    sizes = {}
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            sizes[name] = int(rest.split()[0])
    return sizes
