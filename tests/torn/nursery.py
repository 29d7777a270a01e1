"""Daemons without the wait for Python: a program that has imported everything, and forks a child for each command line.

It reads one JSON object a line, {"words", "environment", "output"}, and answers with the exit code when the child has
ended. Children are what `reconciler WORDS` would be, with the tap (`tap.c`) on their files from their first act on.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys

PATIENCE_S = 90  # then it ends by a signal, and its exit code says so
MODULES = ("reconciler.daemon", "reconciler.cli.serve", "reconciler.controller.controller", "reconciler.requests")


def main() -> None:
    execute = importlib.import_module("reconciler.cli.__main__").execute
    for module in MODULES:
        importlib.import_module(module)
    print("ready", flush=True)  # noqa: T201 - the answer
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                signal.alarm(PATIENCE_S)
                os.environ.update(order["environment"])
                ctypes.CDLL(None).tap_begin()
                _redirect(order["output"])
                code = execute(order["words"])
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer


def _redirect(output: str) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, fd in ((0, null), (1, file), (2, file)):
        os.dup2(fd, number)


if __name__ == "__main__":
    main()
