"""Ten thousand tasks on a real Slurm whose nodes take nothing: few submissions, one look a poll, few cancellations."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.cluster_world import ClusterWorld, a_cluster_world

pytestmark = [pytest.mark.real(package) for package in ("slurmctld", "slurmd", "munge")]
TASKS = 10_000
LOOKED_S = 15.0  # a poll and a part of a second one
STEADY_S = 6.0  # after it has connected
DAEMON_MIB = 250
PATIENCE_S = 90.0


@pytest.fixture
def world() -> Iterator[ClusterWorld]:
    memory = Path("/dev/shm")  # this is about questions to a scheduler: waiting for disks is measured elsewhere
    source = {"maxJobs": TASKS, "arraySize": 10_000, "submitInterval": "1s"}
    with a_cluster_world(source, place=memory if memory.is_dir() else None, MaxArraySize="10001") as world:
        world.slurm.run("scontrol", "update", "nodename=n[1-2]", "state=drain", "reason=test")
        yield world


def until_queued(world: ClusterWorld, count: int) -> None:
    """Asks seldom: this controller has enough to do."""
    end = time.monotonic() + PATIENCE_S
    while count != (there := len(world.slurm.run("squeue", "--noheader", "--array", "--format=%i").splitlines())):
        assert time.monotonic() < end, there
        time.sleep(1.0)


def peak_mib(pid: int) -> float:
    """The most memory that a process had so far."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@pytest.mark.timeout(240)
def test_ten_thousand_waiting_tasks_cost_few_questions_and_leave_nothing(
    world: ClusterWorld, figures: Counter[str]
) -> None:
    began = time.monotonic()
    point = f"{{x: {{range: {{start: 0, stop: {TASKS}, step: 1}}}}}}"
    world.commit(s=world.manifest("s", point, extra="  deletionPolicy: Cancel\n"))
    daemon = world.start()
    until_queued(world, TASKS)
    world.wait(lambda: world.counts("s").get("queued") == TASKS, PATIENCE_S)
    submitted_s, submissions = time.monotonic() - began, world.asked()

    before = world.asked()
    time.sleep(LOOKED_S)
    looked = world.asked() - before
    peak = peak_mib(daemon.pid)

    world.kill()
    before = world.asked()
    world.start()
    world.wait(lambda: 2 == (world.root / "daemon.log").read_text().count("source connected"), PATIENCE_S)
    time.sleep(STEADY_S)
    again = world.asked() - before

    removed = time.monotonic()
    world.commit(s=None)
    until_queued(world, 0)
    gone_s, ended = time.monotonic() - removed, world.asked()
    figures.update(
        {
            "slurm, 10,000 waiting tasks: sbatch": submissions["sbatch"],
            "slurm, 10,000 waiting tasks: squeue in 15 s": looked["squeue"],
            "slurm, 10,000 waiting tasks: squeue after a restart": again["squeue"],
            "slurm, 10,000 waiting tasks: scancel": ended["scancel"],
            "slurm, 10,000 waiting tasks: seconds to submit": round(submitted_s),
            "slurm, 10,000 waiting tasks: seconds to take back": round(gone_s),
            "slurm, 10,000 waiting tasks: MiB of the daemon": round(peak),
        }
    )
    assert submissions["sbatch"] <= 10
    assert looked["squeue"] <= 2, world.commands.read_text()
    assert (again["squeue"] <= 3, again["sbatch"]) == (True, 0), world.commands.read_text()
    assert ended["scancel"] <= 60
    assert peak < DAEMON_MIB
    assert 0 == world.runs().total()
