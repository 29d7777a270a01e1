"""A daemon with nothing to do: one sweep of finished tasks, one that is paused. CPU and memory as the kernel counts.

The agent of the local source is measured beside it, with all its processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import processes, product
from benchmarks.figures import Measured
from benchmarks.processes import Usage
from reconciler.core.model import Phase, SweepName

TASKS = 1_000
QUICK_TASKS = 100
WATCH_S = 30.0
SETTLE_S = 5.0
CPU_GOAL_PERCENT = 0.3
MEMORY_GOAL_MIB = 95.4  # 100 MB
PAUSED = SweepName("paused")


def measure(folder: Path, *, rounds: int, quick: bool, say: Callable[[str], None]) -> Sequence[Measured]:
    """One value for each stretch of 30 s."""
    tasks = QUICK_TASKS if quick else TASKS
    repository = product.make_repository(folder)
    windows: list[tuple[float, float]] = []
    with product.running(folder, repository, slots=2) as daemon:
        product.commit(
            repository,
            product.manifest(product.whole_numbers(tasks), extra="  state: Paused\n", name=PAUSED),
            name=PAUSED,
        )
        product.commit(repository, product.manifest(product.whole_numbers(tasks)))
        daemon.wait_for_tasks(Phase.SUCCEEDED, tasks)
        time.sleep(SETTLE_S)
        pid, agents = daemon.process.pid, processes.descendants(daemon.process.pid)
        for number in range(1, rounds + 1):
            windows.append(_watched(pid, agents, 10.0 if quick else WATCH_S))
            say(f"stretch {number} of {rounds}: daemon {windows[-1][0]:.2f} %, agent {windows[-1][1]:.2f} % of a core")
        own, others = processes.usage(pid), [processes.usage(each) for each in agents]
    note = f"two sweeps of {tasks:,} tasks, one finished, one paused"
    daemon_cpu, agent_cpu = tuple(zip(*windows, strict=True))
    return [
        Measured(what="idle daemon", unit="% of a core", values=daemon_cpu, goal=CPU_GOAL_PERCENT, note=note),
        Measured(what="idle agent", unit="% of a core", values=agent_cpu, note=f"{len(agents)} processes"),
        Measured(what="daemon's memory", unit="MiB", values=(own.resident_mib,), goal=MEMORY_GOAL_MIB, note=note),
        Measured(
            what="agent's memory",
            unit="MiB",
            values=(sum(each.proportional_mib for each in others),),
            note=f"{len(agents)} processes; what they share is counted once",
        ),
    ]


def _watched(pid: int, agents: list[int], seconds: float) -> tuple[float, float]:
    """Percent of a core that the daemon, and its agents, used."""
    before, began = _cpu(pid, agents), time.monotonic()
    time.sleep(seconds)
    after, took = _cpu(pid, agents), time.monotonic() - began
    return (100 * (after[0] - before[0]) / took, 100 * (after[1] - before[1]) / took)


def _cpu(pid: int, agents: list[int]) -> tuple[float, float]:
    all_agents: list[Usage] = [processes.usage(each) for each in agents]
    return processes.usage(pid).cpu_s, sum(each.cpu_s for each in all_agents)
