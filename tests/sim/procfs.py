"""/proc of a simulated machine, as far as the agent reads it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from tests.sim.files import Inode

if TYPE_CHECKING:
    from tests.sim.machine import Proc


OWN = ("/proc/", "/etc/machine-id")  # what each machine has for itself, whatever folders it shares


def find(proc: Proc, path: str) -> bytes | None:
    """The content of a file; None: an ordinary one, or none."""
    machine = proc.machine
    fixed = {
        "/etc/machine-id": machine.machine_id + "\n",
        "/proc/sys/kernel/random/boot_id": machine.boot + "\n",
        "/proc/self/mountinfo": machine.mounts,
        "/proc/uptime": f"{machine.uptime():.2f} 0.00\n",
        "/proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n",
    }
    if path in fixed:
        return fixed[path].encode()
    parts = path.split("/")[2:]
    process = _process(proc, parts[0])
    return None if process is None else _of_process(process, parts[1:])


def _of_process(process: Proc, parts: list[str]) -> bytes | None:
    if parts == ["stat"]:
        return _stat(process)
    if parts == ["comm"]:
        return process.comm.encode() + b"\n"
    if len(parts) == 2 and parts[0] == "fdinfo":
        opened = process.fds.get(int(parts[1]))
        if opened is not None and opened.inode is not None and opened in opened.inode.lock:
            return b"lock: 1: FLOCK  ADVISORY  %s 1\n" % (b"WRITE" if opened.exclusive else b"READ")
        return b""
    return None


def names(proc: Proc, path: str) -> list[str] | None:
    """What lies in a folder of /proc."""
    parts = [part for part in path.split("/")[2:] if part]
    if not parts:
        return [str(pid) for pid in sorted(proc.machine.processes)]
    process = _process(proc, parts[0])
    if process is not None and parts[1:] == ["fd"]:
        return [str(fd) for fd in sorted(process.fds)]
    return None


def target(proc: Proc, path: str) -> Inode | SimpleNamespace | None:
    """What a descriptor points to, or whose process it is."""
    parts = path.split("/")[2:]
    process = _process(proc, parts[0])
    if process is None:
        return None
    if len(parts) == 3 and parts[1] == "fd":
        opened = process.fds.get(int(parts[2]))
        return None if opened is None else opened.inode
    return SimpleNamespace(st_uid=1000, st_dev=0, st_ino=process.pid, st_mode=0o040555, st_nlink=1)


def _process(proc: Proc, name: str) -> Proc | None:
    if name == "self":
        return proc
    return proc.machine.processes.get(int(name)) if name.isdigit() else None


def _stat(process: Proc) -> bytes:
    state = "Z" if process.zombie else "S"
    parent = process.parent.pid if process.parent is not None else 1
    fields = [state, parent, process.group, process.session, *[0] * 15, process.start, 0, 0]
    return f"{process.pid} ({process.comm}) {' '.join(map(str, fields))}\n".encode()
