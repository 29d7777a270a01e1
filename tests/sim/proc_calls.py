"""System calls about descriptors and processes; see `calls`."""

from __future__ import annotations

import errno
import fcntl as real_fcntl
from types import SimpleNamespace
from typing import Any

from tests.sim.calls import caller, opened_by
from tests.sim.files import Opened, Pipe, failure
from tests.sim.loop import Killed
from tests.sim.machine import Proc


def dup2(old: int, new: int, inheritable: bool = True) -> int:
    proc = caller()
    opened = opened_by(proc, old)
    if new in proc.fds:
        proc.fds.pop(new).close()
    opened.references += 1
    proc.fds[new] = opened
    (proc.inheritable.add if inheritable else proc.inheritable.discard)(new)
    return new


def pipe() -> tuple[int, int]:
    proc = caller()
    made = Pipe()
    return proc.open(Opened(pipe=made, reads=True, writes=False)), proc.open(
        Opened(pipe=made, reads=False, writes=True)
    )


def set_inheritable(fd: int, inheritable: bool) -> None:
    proc = caller()
    (proc.inheritable.add if inheritable else proc.inheritable.discard)(fd)


def set_blocking(fd: int, blocking: bool) -> None:
    """Nothing here blocks."""


def flock(fd: int, operation: int) -> None:
    proc = caller()
    opened = opened_by(proc, fd)
    inode = opened.inode
    assert inode is not None
    exclusive = bool(operation & real_fcntl.LOCK_EX)
    others = [other for other in inode.lock if other is not opened]
    if others and (exclusive or any(other.exclusive for other in others)):
        raise failure(errno.EAGAIN)
    opened.exclusive = exclusive
    inode.lock.add(opened)


def fcntl(fd: int, command: int, argument: int = 0) -> int:
    proc = caller()
    assert command == real_fcntl.F_DUPFD_CLOEXEC
    opened = opened_by(proc, fd)
    opened.references += 1
    return proc.open(opened, low=argument)


def getpid() -> int:
    return caller().pid


def kill(pid: int, number: int) -> None:
    proc = caller()
    target = proc.machine.processes.get(pid)
    if target is None:
        raise failure(errno.ESRCH)
    proc.machine.signal(target, number, proc)


def killpg(group: int, number: int) -> None:
    proc = caller()
    members = [each for each in proc.machine.living() if each.group == group]
    if not members:
        raise failure(errno.ESRCH)
    for member in members:
        proc.machine.signal(member, number, proc)


def waitpid(pid: int, options: int) -> tuple[int, int]:
    proc = caller()
    if not proc.children:
        raise failure(errno.ECHILD)
    for child in proc.children:
        if child.zombie and pid in (-1, child.pid):
            child.zombie = False
            proc.machine.forget(child)
            return child.pid, child.status
    return 0, 0


def pidfd_open(pid: int) -> int:
    proc = caller()
    target = proc.machine.processes.get(pid)
    if target is None:
        raise failure(errno.ESRCH)
    opened = Opened(reads=True, writes=False)
    opened.process = target
    return proc.open(opened)


def pidfd_send_signal(fd: int, number: int) -> None:
    proc = caller()
    target = opened_by(proc, fd).process
    assert isinstance(target, Proc)
    proc.machine.signal(target, number, proc)


def posix_spawn(program: bytes, words: list[bytes], env: dict[bytes, bytes], **_: Any) -> int:
    """A user's program begins, in a group of its own; it inherits what may be inherited."""
    proc = caller()
    return proc.machine.execute(proc, program.decode(), [word.decode() for word in words], _texts(env)).pid


def _texts(env: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in env.items()}


def set_wakeup_fd(fd: int) -> None:
    """Of the signals that the agent handles only CHLD comes."""
    proc = caller()
    if fd < 0:
        return
    ends = opened_by(proc, fd).pipe
    assert ends is not None

    def wake() -> None:
        ends.data += b"\0"
        ends.ring()

    proc.child_ended = wake


def urandom(size: int) -> bytes:
    proc = caller()
    return proc.machine.dice.randbytes(size)


def uname() -> SimpleNamespace:
    return SimpleNamespace(nodename=caller().machine.host)


def crashpoint(name: str) -> None:
    """A named point of the agent or a shim."""
    proc = caller()
    proc.machine.at_crashpoint(name, proc)
    if not proc.alive:
        raise Killed
