"""Waiting for a task, ending it, and clearing up after it.

The shim blocks CHLD, TERM and USR1 and waits for them; by the last a scheduler tells that the task's time will soon be
over. The end of the task is seen while it is still a zombie: until it is reaped nobody else can get its pid or its
process group, so signalling the group is safe to the last.
"""

import os
import signal
import time
from typing import List, NamedTuple, Optional, Tuple

from . import system
from .crash import crashpoint
from .shapes import Spec

AWAITED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1)
CLEARING_S = 10.0  # how long processes that do not die (they hang in the kernel) may delay the record
PAUSE_S = 0.02
FOREVER_S = 1e9  # 30 years: the system takes no wait beyond 292


class End(NamedTuple):
    """How a task ended: exactly one of code and signal, and what it and its descendants used."""

    by: str  # itself, walltime, cancel
    code: Optional[int]
    signal: Optional[int]
    cpu_s: float
    max_rss_mib: float
    told: bool  # whether somebody told it to end when it just had


class Usage:
    """What the reaped processes have used."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.max_rss_kib = 0

    def reap(self, pid: int, options: int = os.WNOHANG) -> Tuple[int, int]:
        """wait4; returns (pid, status), pid 0 when nobody has ended. Raises ChildProcessError without children."""
        reaped, status, usage = os.wait4(pid, options)
        if reaped:
            self.cpu_s += usage.ru_utime + usage.ru_stime
            self.max_rss_kib = max(self.max_rss_kib, usage.ru_maxrss)
        return reaped, status


def supervise(task: int, spec: Spec) -> End:
    """Wait for the end of the task, bring it about when its time is up or on TERM, and leave no process behind."""
    usage = Usage()
    by, told = _until_end(task, spec, usage)
    _signal_group(task, signal.SIGKILL)
    _, status = usage.reap(task, 0)
    told |= _clear(usage)
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    code = None if killed is not None else os.WEXITSTATUS(status)
    return End(by, code, killed, round(usage.cpu_s, 6), round(usage.max_rss_kib / 1024.0, 3), told)


def _until_end(task: int, spec: Spec, usage: Usage) -> Tuple[str, bool]:
    """Returns when the task is a zombie: who ended it, and whether TERM came when it just had."""
    by, began = "itself", time.monotonic()
    deadline = None if spec.walltime_s is None or spec.walltime_s >= FOREVER_S else began + spec.walltime_s
    warning, warned = _warning(spec, began, deadline), False
    while True:
        heard = _hear(deadline if warning is None else warning)
        if _is_zombie(task, usage):
            return by, heard == signal.SIGTERM
        if by == "itself" and not warned and spec.warn_signal and _is_warning(heard, warning):
            warning, warned = None, True
            _signal_group(task, getattr(signal, "SIG" + spec.warn_signal))
            continue
        if heard == signal.SIGTERM:
            warning = None
        if heard == signal.SIGTERM and by == "itself":
            by = "cancel"
        elif heard is None and by == "itself":
            by = "walltime"
        elif heard is None:
            _signal_group(task, signal.SIGKILL)
            deadline = None
            continue
        else:
            continue
        _signal_group(task, signal.SIGTERM)
        _signal_group(task, signal.SIGCONT)  # a stopped process would not hear it
        crashpoint("task.signalled")
        deadline = time.monotonic() + spec.grace_s


def _warning(spec: Spec, began: float, deadline: Optional[float]) -> Optional[float]:
    """When the task is to hear that its walltime ends soon; one that just began might not know what to do then."""
    if deadline is None or spec.warn_s is None or not spec.warn_signal:
        return None
    return max(deadline - spec.warn_s, (began + deadline) / 2)


def _is_warning(heard: Optional[int], warning: Optional[float]) -> bool:
    """Whether its time has come, or a scheduler knows better."""
    return heard == signal.SIGUSR1 or (heard is None and warning is not None)


def _hear(deadline: Optional[float]) -> Optional[int]:
    """The next awaited signal; None when the deadline has come first."""
    if deadline is None:
        return signal.sigwaitinfo(AWAITED).si_signo
    info = signal.sigtimedwait(AWAITED, max(0.0, deadline - time.monotonic()))
    return None if info is None else info.si_signo


def _is_zombie(task: int, usage: Usage) -> bool:
    """True when the task has ended; others that have ended (adopted orphans) are reaped on the way."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return False
        if ended.si_pid == task:
            return True
        usage.reap(ended.si_pid)


def _clear(usage: Usage) -> bool:
    """Kill and reap all descendants that are left; whether TERM came meanwhile. No pid is reused before we reap it."""
    told = False
    give_up = time.monotonic() + CLEARING_S
    while time.monotonic() < give_up:
        try:
            reaped, _ = usage.reap(-1)
        except ChildProcessError:
            return told
        if not reaped:
            for pid in _children():
                _kill(pid)
            info = signal.sigtimedwait(AWAITED, PAUSE_S)
            told |= info is not None and info.si_signo == signal.SIGTERM
    return told


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:  # it has taken on another user's rights
        pass


def _children() -> List[int]:
    me = os.getpid()
    try:
        with open("/proc/self/task/%d/children" % me, encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:  # a kernel without this file
        return [pid for pid in _all_processes() if _parent(pid) == me]


def _all_processes() -> List[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent(pid: int) -> Optional[int]:
    fields = system.process_fields(pid)
    return None if fields is None else int(fields[1])


def _signal_group(task: int, number: int) -> None:
    try:
        os.killpg(task, number)
    except OSError:  # nobody is left in the group
        pass
