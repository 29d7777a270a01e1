"""What `os`, `fcntl`, `signal`, `time` … are to the agent on a simulated machine.

Every function of `calls`, `proc_calls` and `waits` is a call of `os` by its own name, unless it is listed below.
"""

from __future__ import annotations

import fcntl as real_fcntl
import inspect
import os as real_os
import posixpath
import signal as real_signal
import stat as real_stat
from types import ModuleType, SimpleNamespace
from typing import Any

from tests.sim import calls, proc_calls, waits
from tests.sim.calls import UID, caller


class _Libc:
    """prctl, for the two things that the agent asks of it."""

    @staticmethod
    def prctl(option: int, value: Any, *_: Any) -> int:
        proc = caller()
        if option == 15:  # PR_SET_NAME
            proc.comm = value.decode("ascii")[:15]
        else:
            proc.subreaper = True
        return 0


def _nothing(*_: Any, **__: Any) -> None:
    """A call whose effect nobody here can see."""


def _constants(module: Any) -> dict[str, Any]:
    return {name: getattr(module, name) for name in dir(module) if name.isupper() or name.startswith("W")}


def _functions(module: ModuleType) -> dict[str, Any]:
    found = inspect.getmembers(module, inspect.isfunction)
    return {name: function for name, function in found if function.__module__ == module.__name__}


path = SimpleNamespace(
    **{name: getattr(posixpath, name) for name in ("join", "normpath", "isabs", "dirname", "basename")},
    realpath=lambda path: path,
    expanduser=lambda path: path.replace("~", "/home/me", 1),
    exists=calls.exists,
    lexists=calls.exists,
    isdir=calls.isdir,
    isfile=calls.isfile,
)
os = SimpleNamespace(
    **{
        **_constants(real_os),
        **_functions(calls),
        **_functions(proc_calls),
        **_functions(waits),
        "open": calls.open_fd,
        "lstat": calls.stat,
        "path": path,
    },
    error=OSError,
    stat_result=real_os.stat_result,
    sep="/",
    devnull="/dev/null",
    defpath="/bin",
    environ={},
    environb={},
    fsencode=real_os.fsencode,
    fspath=real_os.fspath,
    getuid=lambda: UID,
    access=lambda path, mode: True,
    sync=_nothing,
    sysconf=lambda name: 100,
    statvfs=lambda path: SimpleNamespace(f_bavail=1 << 20, f_frsize=4096),
    sched_getaffinity=lambda pid: {0, 1},
    getloadavg=lambda: (0.5, 0.5, 0.5),
)
SHIM_OS = SimpleNamespace(**{**vars(os), "read": waits.read_order})  # it reads its orders, and waits for them
MODULES: dict[str, Any] = {
    "os": os,
    "fcntl": SimpleNamespace(**_constants(real_fcntl), flock=proc_calls.flock, fcntl=proc_calls.fcntl),
    "time": SimpleNamespace(time=lambda: caller().machine.now(), monotonic=lambda: caller().machine.loop.now),
    "signal": SimpleNamespace(
        **{name: value for name, value in vars(real_signal).items() if name.startswith("SIG")},
        pidfd_send_signal=proc_calls.pidfd_send_signal,
        set_wakeup_fd=proc_calls.set_wakeup_fd,
        sigtimedwait=waits.sigtimedwait,
        sigwaitinfo=waits.sigwaitinfo,
        signal=_nothing,
        pthread_sigmask=_nothing,
    ),
    "ctypes": SimpleNamespace(CDLL=lambda name: _Libc),
    "stat": real_stat,
    "traceback": waits.Traceback,
    "gc": SimpleNamespace(disable=_nothing, collect=_nothing, freeze=_nothing),
    "select": SimpleNamespace(poll=waits.Poll, POLLOUT=4),
    "selectors": SimpleNamespace(DefaultSelector=waits.Selector, EVENT_READ=1, EVENT_WRITE=2),
}
