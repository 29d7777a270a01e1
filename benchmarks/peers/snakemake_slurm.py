"""Snakemake and its executor for Slurm: a rule with one wildcard, a job for each of its files, asked for by squeue.

In an environment of its own (`make bench` makes it), as it brings some fifty packages. All jobs are submitted at once.
Each starts a Snakemake on its node, which starts another under srun: that is what it costs. As arrays (a choice of the
executor) they start one more, and take longer. It looks for ends when it does by default: after 40 seconds.

The end is taken from the files that the rule makes: the moment when the last one was made, whenever it looks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

NAME = "Snakemake"
PROGRAM = Path(__file__).parent.parent.parent / ".cache" / "snakemake" / "bin" / "snakemake"
TIMEOUT_S = 500

RULES = """\
rule all:
    input: expand("made/{{number}}", number=range({tasks}))

rule task:
    output: "made/{{number}}"
    shell: "touch {{output}}"
"""
WORDS = (
    "--executor=slurm",
    "--slurm-status-command=squeue",
    "--slurm-no-account",
    "--max-jobs-per-timespan=1000000/1s",
    "--default-resources",
    "slurm_partition=main",
    "mem_mb=10",
    "runtime=10",
)


def version() -> str:
    """Raises OSError where it is not installed."""
    told = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if not told:
        raise OSError(f"{PROGRAM} does not tell its version")
    return told


def dispatch(tasks: int) -> float:
    """From its start on, on the cluster that SLURM_CONF names."""
    Path("Snakefile").write_text(RULES.format(tasks=tasks))
    words = [str(PROGRAM), f"--jobs={tasks}", *WORDS]
    environment = {**os.environ, "PATH": f"{_bin()}:{os.environ['PATH']}"}
    started = time.time()
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    made = list(Path("made").glob("*"))
    if ran.returncode != 0 or len(made) != tasks:
        raise RuntimeError(f"{len(made)} of {tasks} were made: {ran.stdout[-1000:]}{ran.stderr[-2000:]}")
    return max(path.stat().st_mtime for path in made) - started


def _bin() -> Path:
    """A folder with an srun that finds this cluster: Snakemake takes SLURM_CONF away before it starts one."""
    folder = Path("bin").resolve()
    folder.mkdir()
    srun = folder / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={os.environ["SLURM_CONF"]} exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    return folder
