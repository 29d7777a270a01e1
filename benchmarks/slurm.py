"""Tasks that do nothing on a real Slurm of two nodes on this machine, beside submitit and Snakemake, in turns.

Submission and completion: from before the commit (from building the jobs) until the last has ended. All start a Python
for each task, on the same two cores; what Snakemake starts takes seconds, so it gets fewer tasks, and time is for each.

Requests: what the controller was asked by clients, from its own count (`sdiag`), for each task.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from benchmarks import product
from benchmarks.contender import Contender
from benchmarks.figures import Measured
from benchmarks.rounds import Figure, interleaved
from reconciler.core.model import Phase
from tests.fakes.slurm_lab import SlurmLab

TASKS = 500
QUICK_TASKS = 20
SLOTS = 16  # of each of two nodes
OURS = "reconciler"
SHARES = {"submitit": 1.0, "Snakemake": 0.08}  # of our tasks
PEERS = {
    "submitit": Contender("benchmarks.peers.submitit_slurm"),
    "Snakemake": Contender("benchmarks.peers.snakemake_slurm"),
}

# What nodes tell the controller by themselves is not asked by anybody.
_CLIENTS = re.compile(r"^\s+(REQUEST_(?!COMPLETE|NODE)\w+)\s+\(\s*\d+\)\s+count:(\d+)", re.MULTILINE)
_NODES_OWN = ("REQUEST_PING", "REQUEST_STATS_INFO", "REQUEST_PARTITION_INFO", "REQUEST_STEP_COMPLETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One cluster, who runs how many tasks on it, and what it was asked for each of them, by round."""

    lab: SlurmLab
    tasks: Mapping[str, int]
    asked: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def counted(self, name: str) -> Iterator[None]:
        self.lab.run("sdiag", "--reset")
        yield
        counts = {kind: int(n) for kind, n in _CLIENTS.findall(self.lab.run("sdiag"))}
        requests = sum(n for kind, n in counts.items() if kind not in _NODES_OWN)
        self.asked.setdefault(name, []).append(requests / self.tasks[name])


def measure(folder: Path, *, rounds: int, quick: bool, say: Callable[[str], None]) -> Sequence[Measured]:
    """Seconds for each task beside those of peers in the same round, and requests for each task."""
    ours = QUICK_TASKS if quick else TASKS
    peers, tasks = _present(say), {OURS: ours}
    tasks |= {name: max(5, round(ours * SHARES[name])) for name in peers}
    cluster = Path(mkdtemp(prefix="sl-"))
    lab = SlurmLab(cluster, cpus=SLOTS, MinJobAge="300")
    lab.start()
    before = dict(os.environ)
    os.environ.update(lab.environment)
    bench = Bench(lab=lab, tasks=tasks)
    try:
        contenders = {OURS: partial(_ours, bench)} | {name: partial(_peer, bench, name) for name in peers}
        figures = interleaved(
            contenders, tasks=ours, rounds=rounds, folder=folder, say=lambda line: say(line.rpartition(",")[0])
        )
    finally:
        os.environ.clear()
        os.environ.update(before)
        lab.close()
        rmtree(cluster, ignore_errors=True)
    return [*_seconds(bench, figures), *_requests(bench)]


def _present(say: Callable[[str], None]) -> Sequence[str]:
    """The peers that are installed here."""
    found = []
    for name, contender in PEERS.items():
        try:
            say(f"{name} {contender.load().version()}")
        except (ImportError, OSError) as error:
            say(f"not measured: {name}: {error}")
        else:
            found.append(name)
    return found


def _ours(bench: Bench, tasks: int, folder: Path) -> float:
    repository = product.make_repository(folder)
    source = f"{{scheduler: slurm, maxJobs: {tasks}, pollInterval: 10s, root: {folder / 'root'}}}"
    with product.running(folder, repository, slots=tasks, source=source) as daemon, bench.counted(OURS):
        began = product.commit(repository, product.manifest(product.whole_numbers(tasks)))
        daemon.wait_for_tasks(Phase.SUCCEEDED, tasks)
        return time.time() - began


def _peer(bench: Bench, name: str, _tasks: int, folder: Path) -> float:
    with bench.counted(name):
        return PEERS[name].run(bench.tasks[name], folder)


def _seconds(bench: Bench, figures: Sequence[Figure]) -> Iterator[Measured]:
    each = {figure.name: [took / bench.tasks[figure.name] for took in figure.seconds] for figure in figures}
    for name in [name for name in each if name != OURS]:
        theirs = f"{bench.tasks[name]} in {statistics.median(each[name]) * bench.tasks[name]:.1f} s"
        yield Measured(
            what=f"Slurm: seconds for each task that does nothing, beside {name}",
            unit="of its",
            values=tuple(mine / other for mine, other in zip(each[OURS], each[name], strict=True)),
            goal=1.0,
            note=f"{bench.tasks[OURS]} in {statistics.median(each[OURS]) * bench.tasks[OURS]:.1f} s; {theirs}",
        )


def _requests(bench: Bench) -> Iterator[Measured]:
    for name, values in bench.asked.items():
        yield Measured(
            what=f"Slurm: requests of {name} to the controller",
            unit="for each task",
            values=tuple(values),
            note=f"{bench.tasks[name]} tasks, by sdiag",
        )
    for name in [name for name in bench.asked if name != OURS]:
        yield Measured(
            what=f"… ours beside those of {name}",
            unit="of its",
            values=tuple(mine / other for mine, other in zip(bench.asked[OURS], bench.asked[name], strict=True)),
            goal=0.1,
        )
