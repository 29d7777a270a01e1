"""What `os`, `fcntl`, `signal`, `time` … are to the agent on a simulated machine."""

from __future__ import annotations

import ctypes
import fcntl as real_fcntl
import os as real_os
import posixpath
import signal as real_signal
import stat as real_stat
from types import SimpleNamespace
from typing import Any

from tests.sim.calls import (
    UID,
    caller,
    chdir,
    close,
    exists,
    fstat,
    fsync,
    isdir,
    isfile,
    link,
    listdir,
    makedirs,
    mkdir,
    mkfifo,
    open_fd,
    pwrite,
    read,
    rename,
    rmdir,
    scandir,
    stat,
    unlink,
    write,
)  # fmt: skip
from tests.sim.proc_calls import (
    dup2,
    fcntl,
    flock,
    getpid,
    kill,
    killpg,
    pidfd_open,
    pidfd_send_signal,
    pipe,
    posix_spawn,
    set_blocking,
    set_inheritable,
    set_wakeup_fd,
    uname,
    urandom,
    waitpid,
)  # fmt: skip
from tests.sim.waits import (
    Poll,
    Selector,
    Traceback,
    _exit,
    read_order,
    setsid,
    sigtimedwait,
    sigwaitinfo,
    wait4,
    waitid,
)  # fmt: skip


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


_path = SimpleNamespace(
    join=posixpath.join, normpath=posixpath.normpath, isabs=posixpath.isabs, dirname=posixpath.dirname,
    basename=posixpath.basename, realpath=lambda path: path, expanduser=lambda path: path.replace("~", "/home/me", 1),
    exists=exists, lexists=exists, isdir=isdir, isfile=isfile,
)  # fmt: skip

os = SimpleNamespace(
    **_constants(real_os), error=OSError, stat_result=real_os.stat_result, path=_path, sep="/", fsencode=real_os.fsencode, fspath=real_os.fspath,
    devnull="/dev/null", defpath="/bin", open=open_fd, close=close, read=read, write=write, pwrite=pwrite, fstat=fstat,
    stat=stat, lstat=stat, makedirs=makedirs, mkdir=mkdir, rmdir=rmdir, mkfifo=mkfifo, link=link, unlink=unlink,
    rename=rename, listdir=listdir, scandir=scandir, chdir=chdir, dup2=dup2, pipe=pipe, set_inheritable=set_inheritable,
    set_blocking=set_blocking, setsid=setsid, _exit=_exit, waitid=waitid, wait4=wait4, getpid=getpid, getuid=lambda: UID, kill=kill, killpg=killpg, waitpid=waitpid,
    pidfd_open=pidfd_open, posix_spawn=posix_spawn, urandom=urandom, uname=uname, access=lambda path, mode: True, environ={}, environb={},
    sysconf=lambda name: 100,
    statvfs=lambda path: SimpleNamespace(f_bavail=1 << 20, f_frsize=4096),
    sched_getaffinity=lambda pid: {0, 1},
    getloadavg=lambda: (0.5, 0.5, 0.5),
)  # fmt: skip
fcntl_module = SimpleNamespace(**_constants(real_fcntl), flock=flock, fcntl=fcntl)
time_module = SimpleNamespace(time=lambda: caller().machine.now(), monotonic=lambda: caller().machine.loop.now)
signal_module = SimpleNamespace(
    **{name: value for name, value in vars(real_signal).items() if name.startswith("SIG")},
    pidfd_send_signal=pidfd_send_signal, set_wakeup_fd=set_wakeup_fd, sigtimedwait=sigtimedwait, sigwaitinfo=sigwaitinfo, signal=_nothing, pthread_sigmask=_nothing,
)  # fmt: skip
ctypes_module = SimpleNamespace(CDLL=lambda name: _Libc, Structure=ctypes.Structure)
platform_module = SimpleNamespace(python_version=lambda: "3.6.0")
SHIM_OS = SimpleNamespace(**{**vars(os), "read": read_order})  # it reads its orders, and waits for them
MODULES: dict[str, Any] = {
    "os": os, "fcntl": fcntl_module, "time": time_module, "signal": signal_module, "ctypes": ctypes_module,
    "platform": platform_module, "stat": real_stat,
    "traceback": Traceback, "gc": SimpleNamespace(disable=_nothing, collect=_nothing, freeze=_nothing),
    "select": SimpleNamespace(poll=Poll, POLLOUT=4), "selectors": SimpleNamespace(DefaultSelector=Selector, EVENT_READ=1, EVENT_WRITE=2),
}  # fmt: skip
