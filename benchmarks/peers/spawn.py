"""The lower bound of any dispatcher here: this process starts `true` itself, two at a time, and keeps no record."""

from __future__ import annotations

import os
import shutil
import sys
import time

from benchmarks.contender import SLOTS

NAME = "posix_spawn loop"


def version() -> str:
    return f"Python {sys.version.split()[0]}"


def dispatch(tasks: int) -> float:
    """Output files, but no job log, no server, no fsync."""
    program = shutil.which("true") or "/bin/true"
    started = time.perf_counter()
    for number in range(tasks):
        if number >= SLOTS:
            _reap()
        _start(program, str(number))
    for _ in range(min(SLOTS, tasks)):
        _reap()
    return time.perf_counter() - started


def _start(program: str, name: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, f"{name}.stdout", flags, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, f"{name}.stderr", flags, 0o600),
    ]
    os.posix_spawn(program, ["true"], os.environ, file_actions=actions)


def _reap() -> None:
    _, status = os.wait()
    if status != 0:
        raise RuntimeError(f"`true` ended with status {status}")
