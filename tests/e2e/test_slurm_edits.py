"""Edits of a sweep whose jobs wait or run on a real Slurm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.cluster_world import ClusterWorld, a_cluster_world

pytestmark = [pytest.mark.real(package) for package in ("slurmctld", "slurmd", "munge")]


@pytest.fixture
def world() -> Iterator[ClusterWorld]:
    with a_cluster_world() as world:
        yield world


def _states(world: ClusterWorld) -> list[str]:
    return world.slurm.run("squeue", "-h", "-r", "-o", "%T %r").splitlines()


@pytest.mark.timeout(180)
def test_fewer_run_at_once_when_an_edit_says_so_while_they_wait(world: ClusterWorld) -> None:
    def sweep(parallelism: int) -> str:
        extra = f"  resources: {{walltime: 5m}}\n  parallelism: {parallelism}\n"
        return world.manifest("s", "{x: {range: {start: 0, stop: 12, step: 1}}}", command="sleep 3", extra=extra)

    world.slurm.run("scontrol", "update", "partition=main", "state=down")
    world.commit(s=sweep(12))
    world.start()
    world.wait(lambda: len(_states(world)) == 12, 60)

    world.commit(s=sweep(2))
    world.wait(lambda: "ArrayTaskThrottle=2" in world.commands.read_text(), 60)
    world.slurm.run("scontrol", "update", "partition=main", "state=up")

    world.wait(lambda: "PENDING JobArrayTaskLimit" in _states(world), 60)
    assert 2 >= len([state for state in _states(world) if state.startswith("RUNNING")])
    world.succeeded("s", 12, 120)
    assert {1} == set(world.runs().values())
