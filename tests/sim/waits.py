"""System calls that wait: generators that yield seconds to sleep, 0 for one step, None until they are stirred."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Generator
from types import GeneratorType, SimpleNamespace
from typing import Any

from tests.sim.calls import Cell, caller, opened_by, read
from tests.sim.files import Pipe, failure
from tests.sim.machine import CHLD, CONT, TERM, Proc
from tests.sim.proc_calls import waitpid


class Exited(BaseException):
    """A process has called _exit: nothing after that is run."""


def awaited(value: Any) -> Generator[Any, None, Any]:
    """The result of what may be a generator."""
    if isinstance(value, GeneratorType):
        value = yield from value
    return value


def preempted() -> bool:
    """Whether the process loses its turn here. It may also be stopped here, for a while (`Proc.stall_in`)."""
    proc = Cell.loop.current
    if not proc.alive or not isinstance(proc, Proc):
        return False
    if proc.stall_in >= 0:
        proc.stall_in -= 1
        if proc.stall_in < 0:
            proc.machine.stall(proc)
            return True
    return proc.restless > 0 and proc.machine.dice.random() < proc.restless


class Poll:
    """select.poll, for room in one pipe."""

    def register(self, fd: int, events: int) -> None:
        self._pipe = opened_by(caller(), fd).pipe

    def poll(self, timeout: float | None) -> Generator[float, None, list[int]]:
        """Waits in steps; timeout in ms."""
        pipe, proc = self._pipe, caller()
        assert pipe is not None
        until = proc.loop.now + (1e9 if timeout is None else timeout / 1000)
        while pipe.readers and pipe.capacity - len(pipe.data) < 4096:
            if proc.loop.now >= until:
                return []
            yield 0.05
        return [1]


LAZY_TICK_S = 20.0  # the agent looks around every second; with nothing to look at, no second can tell the difference


class Selector:
    """selectors.DefaultSelector: who waits on it is stirred by its pipes."""

    def __init__(self) -> None:
        self._keys: dict[tuple[int, int], Any] = {}
        self._proc = caller()

    def register(self, fd: int, events: int, call: Any) -> None:
        pipe = opened_by(caller(), fd).pipe
        assert pipe is not None
        self._keys[fd, events] = SimpleNamespace(fd=fd, data=call, pipe=pipe)
        pipe.heard.append(self._ring)
        self._proc.resources.append(lambda: self._forget(pipe))

    def unregister(self, fd: int) -> None:
        for key in [key for key in self._keys if key[0] == fd]:
            self._forget(self._keys.pop(key).pipe)

    def select(self, timeout: float) -> Generator[float | None, None, list[tuple[Any, int]]]:
        """Each return of it begins another step."""
        if not self._ready():
            yield max(timeout, LAZY_TICK_S if self._idle() else 0.0)
        yield 0
        return self._ready()

    def _ready(self) -> list[tuple[Any, int]]:
        ready = []
        for (_, events), key in self._keys.items():
            pipe = key.pipe
            if (events == 1 and (pipe.data or not pipe.writers)) or (
                events == 2 and (len(pipe.data) < pipe.capacity or not pipe.readers)
            ):
                ready.append((key, events))
        return ready

    def _idle(self) -> bool:
        agent = next((key.data.__self__ for key in self._keys.values() if hasattr(key.data, "__self__")), None)
        desk = None if agent is None else agent._desk
        if desk is None:
            return True
        if desk.to_look or len(desk.news) or desk._idle or desk.watch.eids() or desk.pool._waiting:
            return False
        outbox = self._proc.machine.files.find(desk.root.outbox)
        return outbox is None or not outbox.entries

    def _ring(self) -> None:
        self._proc.stir()

    def _forget(self, pipe: Pipe) -> None:
        if self._ring in pipe.heard:
            pipe.heard.remove(self._ring)


def child_of(proc: Proc) -> Proc:
    """As fork: it has what is open here."""
    child = Proc(proc.machine, proc.comm, proc)
    for number, opened in proc.fds.items():
        child.inherit(number, opened)
    child.inheritable = set(proc.inheritable)
    return child


def setsid() -> None:
    """A session and group of its own. From now on CHLD and TERM are kept until they are waited for."""
    proc = caller()
    proc.session = proc.group = proc.pid
    proc.pending = []

    def hear(number: int) -> None:
        if number in (CHLD, TERM):
            if number not in proc.pending:
                proc.pending.append(number)
            proc.stir()
        elif number != CONT:
            proc.end(number)

    proc.heard = hear
    proc.child_ended = lambda: hear(CHLD)


def _exit(status: int) -> None:
    proc = Cell.loop.current
    if proc.alive:
        assert isinstance(proc, Proc)
        proc.end(status << 8)
    raise Exited


def read_order(fd: int, size: int) -> Generator[None, None, bytes]:
    """A read that waits."""
    pipe = opened_by(caller(), fd).pipe
    assert pipe is not None
    stir = caller().stir
    pipe.heard.append(stir)
    try:
        while not pipe.data and pipe.writers:
            yield None
        return read(fd, size)
    finally:
        pipe.heard.remove(stir)


def sigtimedwait(numbers: Any, timeout: float) -> Generator[float | None, None, Any]:
    """The next signal that was kept; None when none comes in time."""
    proc = caller()
    until = proc.loop.now + timeout
    while not proc.pending:
        left = until - proc.loop.now
        if left <= 0:
            return None
        yield left if left < 1e8 else None
    return SimpleNamespace(si_signo=proc.pending.pop(0))


def sigwaitinfo(numbers: Any) -> Generator[float | None, None, Any]:
    return sigtimedwait(numbers, 1e9)


def waitid(kind: int, pid: int, options: int) -> Any:
    """A child that has ended, left as it is; None: there is none yet."""
    proc = caller()
    if not proc.children:
        raise failure(errno.ECHILD)
    ended = next((child for child in proc.children if child.zombie), None)
    return None if ended is None else SimpleNamespace(si_pid=ended.pid)


def wait4(pid: int, options: int) -> tuple[int, int, Any]:
    reaped, status = waitpid(pid, options)
    return reaped, status, SimpleNamespace(ru_utime=0.1, ru_stime=0.0, ru_maxrss=1024)


class Traceback:
    """An exception that the agent did not expect; the system's own errors it may meet anywhere."""

    @staticmethod
    def print_exc() -> None:
        proc, error = Cell.loop.current, sys.exc_info()[1]
        if proc.alive and isinstance(proc, Proc) and isinstance(error, Exception) and not isinstance(error, OSError):
            proc.machine.broken(f"{proc.comm}: {traceback.format_exc()}")
