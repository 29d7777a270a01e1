"""A million tasks, from the commit until they are in force: a real daemon, whose memory is watched from outside.

The sweep is paused, so that nothing but the acceptance is measured; each round has a daemon and a store of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import processes, product
from benchmarks.figures import Measured
from reconciler.store import Reader

TASKS = 1_000_000
QUICK_TASKS = 50_000
GOAL_S = 20.0
GROWTH_GOAL_MIB = 100.0  # flat: a million tasks held in memory would be many times as much


def measure(folder: Path, *, rounds: int, quick: bool, say: Callable[[str], None]) -> Sequence[Measured]:
    """Seconds, and how far the daemon's resident memory rose above what it had before; once a round."""
    tasks = QUICK_TASKS if quick else TASKS
    seconds, before, peak = [], [], []
    for number in range(1, rounds + 1):
        own = folder / str(number)
        own.mkdir()
        repository = product.make_repository(own)
        with product.running(own, repository, slots=2, limit=tasks) as daemon:
            before.append(processes.peak_mib(daemon.process.pid))
            text = product.manifest(product.whole_numbers(tasks), extra="  state: Paused\n")
            committed = product.commit(repository, text)
            with daemon.reader() as reader:
                daemon.wait(lambda: _in_force(reader), f"{tasks} tasks", every_s=0.02)
            seconds.append(time.time() - committed)
            peak.append(processes.peak_mib(daemon.process.pid))
        say(
            f"round {number} of {rounds}: {tasks:,} tasks accepted in {seconds[-1]:.2f} s,"
            f" {before[-1]:.0f} MiB before, {peak[-1]:.0f} MiB at most"
        )
    rise = tuple(high - low for high, low in zip(peak, before, strict=True))
    note = f"{tasks:,} tasks in one sweep, paused"
    return [
        Measured(what=f"commit → {tasks:,} tasks accepted", unit="s", values=tuple(seconds), goal=GOAL_S, note=note),
        Measured(what="daemon's memory before it, at most", unit="MiB", values=tuple(before)),
        Measured(what="daemon's memory rose by", unit="MiB", values=rise, goal=GROWTH_GOAL_MIB, note=note),
    ]


def _in_force(reader: Reader) -> bool:
    row = reader.sweep(product.SWEEP)
    return row is not None and row.generation > 0 and not row.settling
