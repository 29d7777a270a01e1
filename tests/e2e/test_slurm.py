"""Sweeps on a real Slurm, by the real daemon: killed, refused, held. The tasks' own log is the judge."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.fakes.cluster_world import ClusterWorld, a_cluster_world

pytestmark = [pytest.mark.real(package) for package in ("slurmctld", "slurmd", "munge")]


@pytest.fixture
def world() -> Iterator[ClusterWorld]:
    with a_cluster_world() as world:
        yield world


@pytest.mark.timeout(180)
def test_a_daemon_that_is_killed_again_and_again_runs_each_task_once_in_few_arrays(world: ClusterWorld) -> None:
    parameters = "{x: {range: {start: 0, stop: 60, step: 1}}}"
    world.commit(s=world.manifest("s", parameters, command="sleep 2", extra="  resources: {cpus: 2, walltime: 5m}\n"))
    for pause_s in (1.5, 3.0, 2.0):
        world.start()
        time.sleep(pause_s)
        world.kill()
    world.start()

    world.succeeded("s", 60, 150)

    assert {1} == set(world.runs().values())
    assert 60 == len(world.runs())
    assert len(list((world.state / "cluster/batches").iterdir())) <= 3


@pytest.mark.timeout(120)
def test_what_the_cluster_refuses_is_told_in_its_words_and_goes_on_when_it_is_corrected(world: ClusterWorld) -> None:
    def sweep(partition: str) -> str:
        return world.manifest(
            "s", "{x: [1, 2, 3]}", extra=f"  schedulerOptions: {{slurm: {{partition: {partition}}}}}\n"
        )

    world.commit(s=sweep("nosuch"))
    world.start()
    world.wait(lambda: world.conditions().get("Stalled") == "SubmissionRefused", 60)
    (task, *_) = world.tasks("s")
    told = json.loads(world.run("why", "s", task, "-o", "json").stdout)
    assert ("SubmissionRefused", True) == (told["reason"], "Invalid partition name specified" in told["message"])

    world.commit(s=sweep("main"))

    world.succeeded("s", 3, 60)
    assert {1} == set(world.runs().values())


@pytest.mark.timeout(120)
def test_jobs_that_somebody_holds_are_told_of_and_run_when_they_are_released(world: ClusterWorld) -> None:
    world.commit(s=world.manifest("s", "{x: [1, 2]}"))
    world.slurm.run("scontrol", "update", "PartitionName=main", "State=DOWN")
    world.start()
    world.wait(lambda: world.counts("s").get("queued") == 2, 30)
    world.wait(lambda: world.slurm.run("squeue", "--noheader", "--format=%F").strip() != "", 30)
    (job,) = set(world.slurm.run("squeue", "--noheader", "--format=%F").split())
    world.slurm.run("scontrol", "hold", job)
    world.slurm.run("scontrol", "update", "PartitionName=main", "State=UP")

    world.wait(lambda: world.conditions().get("QueueStuck") == "JobsStuck", 40)
    (task, *_) = world.tasks("s")
    told = json.loads(world.run("why", "s", task, "-o", "json").stdout)["queue"]
    assert (True, "JobHeldUser") == (told["stuck"], told["reason"].replace("Admin", "User"))
    world.slurm.run("scontrol", "release", job)

    world.succeeded("s", 2, 60)
    assert {1} == set(world.runs().values())


def _is_refused(world: ClusterWorld) -> bool:
    """Slurm 24.11 takes nothing that no node will ever have; older ones do, and never start it."""
    return "SubmissionRefused" in world.run("status", "s").stdout


@pytest.mark.timeout(120)
def test_jobs_for_which_there_is_no_node_run_when_the_manifest_asks_for_less(world: ClusterWorld) -> None:
    world.commit(s=world.manifest("s", "{x: [1, 2]}", extra="  resources: {cpus: 500}\n"))
    world.start()
    world.wait(lambda: world.conditions().get("QueueStuck") == "JobsStuck" or _is_refused(world), 60)

    world.commit(s=world.manifest("s", "{x: [1, 2]}", extra="  resources: {cpus: 1}\n"))

    world.succeeded("s", 2, 60)
    assert {1} == set(world.runs().values())
    assert "" == world.slurm.run("squeue", "--noheader", "--states=PENDING")
