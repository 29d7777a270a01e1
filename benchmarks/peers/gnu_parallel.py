"""GNU parallel: a Perl program without a server; a job log, and output files under `--results`."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from benchmarks.contender import SLOTS

NAME = "GNU parallel"


def version() -> str:
    done = subprocess.run(["parallel", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].removeprefix("GNU parallel ")


def dispatch(tasks: int) -> float:
    """From its start to its end; its own start-up, about a quarter of a second, is part of it."""
    home = Path("home")
    home.mkdir()
    numbers = "".join(f"{number}\n" for number in range(tasks))
    command = ["parallel", "--will-cite", f"-j{SLOTS}", "--joblog", "joblog", "--results", "out", "true"]
    environment = {**os.environ, "PARALLEL_HOME": str(home.absolute())}
    started = time.perf_counter()
    subprocess.run(command, input=numbers, stdout=subprocess.DEVNULL, text=True, check=True, env=environment)
    took = time.perf_counter() - started
    logged = len(Path("joblog").read_text().splitlines()) - 1
    if logged != tasks:
        raise RuntimeError(f"GNU parallel logged {logged} of {tasks} tasks")
    return took
