"""Daemons without the start of an interpreter: a process that has imported everything, and forks a daemon on demand.

Nearly all that a daemon's start costs is its imports; without them a test can afford hundreds of starts. What is forked
is a daemon as any other: the command line's own function, in a process of its own, killed by its own pid.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

PRELOADED = (
    "anyio._backends._asyncio",
    "reconciler.cli.__main__",
    "reconciler.cli.rebuild",
    "reconciler.cli.serve",
    "reconciler.config",
    "reconciler.daemon",
    "reconciler.rebuild",
)


class Zygote:
    """Starts and reaps daemons; safe to use from several threads."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._talking = threading.Lock()

    def start(self, arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path) -> int:
        """Run `reconciler <arguments>` in `folder`; returns its pid."""
        order = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder), "log": str(log)}
        return int(self._ask(order))

    def ended(self, pid: int) -> int | None:
        """The exit code, negative for a signal; None while it runs. To be asked until it is told, and then no more."""
        code: int | None = self._ask({"ended": pid})
        return code

    def close(self) -> None:
        """No more daemons; those that run are not ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, order: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._talking:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


def _main() -> None:
    for module in PRELOADED:
        importlib.import_module(module)
    for line in sys.stdin:
        order = json.loads(line)
        answer = _ended(order["ended"]) if "ended" in order else _fork(order)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _ended(pid: int) -> int | None:
    reaped, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if reaped else None


def _fork(order: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        _live(order)
    return pid


def _live(order: Mapping[str, Any]) -> NoReturn:
    code = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number in (1, 2):
            os.dup2(log, number)
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        code = importlib.import_module("reconciler.cli.__main__").execute(order["arguments"])
    except BaseException:  # noqa: BLE001 - a forked child must not go on as the zygote
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _main()
