"""HyperQueue: a task server and a worker in Rust, used by its Python API; output files of each task on, as by default.

The API learns of a job's end by asking once a second. To be fair the end is taken from the files: the moment when the
last task's output file was made, which is exact to the length of one task, in HyperQueue's favour.
"""

from __future__ import annotations

import importlib
import time
from importlib import metadata
from pathlib import Path

from benchmarks.contender import SLOTS

hq = importlib.import_module("hyperqueue")  # without types, and `make check` runs where it is not installed
cluster = importlib.import_module("hyperqueue.cluster")

NAME = "HyperQueue"


def version() -> str:
    return metadata.version("hyperqueue")


def dispatch(tasks: int) -> float:
    """From building the job on; server and worker are up before. Nothing is journalled on disk, as by default."""
    folder = Path.cwd()
    with cluster.LocalCluster(str(folder / "server"), cluster.WorkerConfig(cores=SLOTS)) as local:
        client = local.client()
        started = time.time()
        job = hq.Job(default_workdir=str(folder), max_fails=None)
        for _ in range(tasks):
            job.program(["true"])
        client.wait_for_jobs([client.submit(job)])
        made = [path.stat().st_mtime for path in folder.glob("*.stderr")]
    if len(made) != tasks:
        raise RuntimeError(f"HyperQueue wrote {len(made)} output files of {tasks}")
    return max(made) - started
