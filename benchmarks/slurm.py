"""Tasks that do nothing on a real Slurm of two nodes on this machine, beside submitit on the same one, in turns.

Submission and completion: from before the commit (from building the jobs) until the last has ended. Both start one
Python for each task, on the same two cores.

Requests: what the controller was asked by clients, from its own count (`sdiag`), for each task.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from benchmarks import product
from benchmarks.contender import Contender
from benchmarks.figures import Measured
from benchmarks.rounds import Figure, interleaved
from reconciler.core.model import Phase
from tests.fakes.slurm_lab import SlurmLab

TASKS = 500
QUICK_TASKS = 20
OURS, SUBMITIT = "reconciler", "submitit"
PEER = Contender("benchmarks.peers.submitit_slurm")

# What nodes tell the controller by themselves is not asked by anybody.
_CLIENTS = re.compile(r"^\s+(REQUEST_(?!COMPLETE|NODE)\w+)\s+\(\s*\d+\)\s+count:(\d+)", re.MULTILINE)
_NODES_OWN = ("REQUEST_PING", "REQUEST_STATS_INFO", "REQUEST_PARTITION_INFO", "REQUEST_STEP_COMPLETE")


def measure(folder: Path, *, rounds: int, quick: bool, say: Callable[[str], None]) -> Sequence[Measured]:
    """Seconds beside a peer's in the same round, and requests per task."""
    tasks = QUICK_TASKS if quick else TASKS
    asked: dict[str, list[float]] = {}
    cluster = Path(mkdtemp(prefix="sl-"))
    lab = SlurmLab(cluster, MinJobAge="300")
    lab.start()
    before = dict(os.environ)
    os.environ.update(lab.environment)
    try:
        contenders = {OURS: partial(_ours, lab, asked), SUBMITIT: partial(_peer, lab, asked)}
        figures = interleaved(contenders, tasks=tasks, rounds=rounds, folder=folder, say=say)
    finally:
        os.environ.clear()
        os.environ.update(before)
        lab.close()
    return [*_rates(figures), *_requests(asked, tasks)]


def _ours(lab: SlurmLab, asked: dict[str, list[float]], tasks: int, folder: Path) -> float:
    repository = product.make_repository(folder)
    source = f"{{scheduler: slurm, maxJobs: {tasks}, pollInterval: 10s, root: {folder / 'root'}}}"
    with product.running(folder, repository, slots=tasks, source=source) as daemon, _counted(lab, asked, OURS, tasks):
        began = product.commit(repository, product.manifest(product.whole_numbers(tasks)))
        daemon.wait_for_tasks(Phase.SUCCEEDED, tasks)
        return time.time() - began


def _peer(lab: SlurmLab, asked: dict[str, list[float]], tasks: int, folder: Path) -> float:
    with _counted(lab, asked, SUBMITIT, tasks):
        return PEER.run(tasks, folder)


@contextmanager
def _counted(lab: SlurmLab, asked: dict[str, list[float]], name: str, tasks: int) -> Iterator[None]:
    lab.run("sdiag", "--reset")
    yield
    counts = {kind: int(n) for kind, n in _CLIENTS.findall(lab.run("sdiag"))}
    asked.setdefault(name, []).append(sum(n for kind, n in counts.items() if kind not in _NODES_OWN) / tasks)


def _rates(figures: Sequence[Figure]) -> Sequence[Measured]:
    by_name = {figure.name: figure for figure in figures}
    pairs = zip(by_name[OURS].seconds, by_name[SUBMITIT].seconds, strict=True)
    note = "; ".join(f"{figure.name}: {statistics.median(figure.seconds):.1f} s" for figure in figures)
    return [
        Measured(
            what="Slurm: a sweep of tasks that do nothing, beside submitit",
            unit="times its seconds",
            values=tuple(ours / theirs for ours, theirs in pairs),
            goal=1.0,
            note=note,
        )
    ]


def _requests(asked: dict[str, list[float]], tasks: int) -> Sequence[Measured]:
    return [
        Measured(
            what=f"Slurm: requests of {name} to the controller",
            unit="for each task",
            values=tuple(values),
            note=f"{tasks} tasks, by sdiag",
        )
        for name, values in asked.items()
    ]
