"""One contender, in a process of its own, so that no contender inherits threads, memory or open files of another.

A contender is a module with

    NAME                          as it stands in the table
    version() -> str              of what is measured
    dispatch(tasks) -> seconds    run `true` so many times, SLOTS at a time

The output and the errors of each task go to files under the current folder, which is empty. The clock stops when the
last task has ended. What starts up before the first task could start (a server, a worker) is not counted.

`python -m benchmarks.contender MODULE TASKS` runs one, and its last line of output is {"seconds": …}.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

SLOTS = 2
TIMEOUT_S = 600
ROOT = Path(__file__).parent.parent


class Module(Protocol):
    """What a contender's module offers."""

    NAME: str

    def version(self) -> str: ...

    def dispatch(self, tasks: int) -> float: ...


@dataclass(frozen=True, slots=True)
class Contender:
    """A contender by the name of its module."""

    module: str

    def load(self) -> Module:
        """Raises ImportError or OSError where it is not installed."""
        return cast(Module, importlib.import_module(self.module))

    def run(self, tasks: int, folder: Path) -> float:
        """Seconds for so many tasks, measured by the contender itself in a new process in `folder`."""
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.contender", self.module, str(tasks)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "TQDM_DISABLE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{self.module} failed:\n{done.stderr[-2000:]}")
        return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def main(module: str, tasks: str) -> None:
    seconds = Contender(module).load().dispatch(int(tasks))
    print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
