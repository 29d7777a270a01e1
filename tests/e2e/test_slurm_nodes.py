"""Nodes of a real Slurm that are cut off and come back, under the real daemon: one effective run of each task.

Slurm says of all that ran on a node which it does not hear that it has failed, while it may well live. (What really
died with its node is in the conformance suite: the daemon gives such an end three minutes to be taken back.)
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.fakes.cluster_world import ClusterWorld, a_cluster_world
from tests.fakes.slurm_troubles import freeze, thaw, until

pytestmark = [pytest.mark.real(package) for package in ("slurmctld", "slurmd", "munge")]
RETRY = (
    "  retry: {limit: 0, backoff: {duration: 1s, factor: 1}, rules: ["
    "{class: [NodeFailure, Lost, Preempted, CancelledExternally], action: Retry, count: false}]}\n"
)
LOOKED_S = 13.0  # the queue was looked at meanwhile


@pytest.fixture
def world() -> Iterator[ClusterWorld]:
    with a_cluster_world(SlurmdTimeout="5", MessageTimeout="3") as world:
        (world.root / "locks").mkdir()
        yield world


def begin(world: ClusterWorld, seconds: int) -> str:
    """A sweep with one task that lasts so long, which tells of its end, and of others that live; returns its node."""
    command = (
        f"exec 9>>{world.root}/locks/$RECONCILER_TASK; flock -n 9 || echo overlap >> {world.root}/overlaps; "
        f"sleep {seconds} && echo $RECONCILER_TASK >> {world.root}/ends"
    )
    world.commit(s=world.manifest("s", "{x: [1]}", command=command, extra=RETRY))
    world.start()
    world.wait(lambda: world.runs().total() == 1, 60)
    world.wait(lambda: world.counts("s").get("running") == 1, 60)
    (node,) = world.slurm.run("squeue", "--noheader", "--states=RUNNING", "--format=%N").split()
    return node


def failed(world: ClusterWorld) -> bool:
    """Whether Slurm says that the node has failed, and the job with it."""
    told = world.slurm.run("squeue", "--noheader", "--states=all", "--format=%T").split()
    return told == ["NODE_FAIL"]


def one_effective_run(world: ClusterWorld) -> None:
    world.succeeded("s", 1, 90)
    assert [1] == list(world.runs().values())
    assert 1 == len((world.root / "ends").read_text().splitlines())
    assert not (world.root / "overlaps").exists()


@pytest.mark.timeout(180)
def test_what_goes_on_behind_a_cut_network_is_not_started_again_and_its_success_counts(world: ClusterWorld) -> None:
    node = begin(world, 45)
    freeze(world.slurm, node)
    try:
        until(lambda: failed(world))
        one_effective_run(world)
    finally:
        thaw(world.slurm, node)


@pytest.mark.timeout(180)
def test_what_a_node_that_is_heard_again_ends_is_started_again_only_then(world: ClusterWorld) -> None:
    node = begin(world, 50)
    freeze(world.slurm, node)
    until(lambda: failed(world))
    time.sleep(LOOKED_S)
    before = world.runs().total()
    world.commit(s=world.manifest("s", "{x: [1]}", command="true", extra=RETRY))  # what comes next is short

    thaw(world.slurm, node)

    world.wait(lambda: world.runs().total() == 2, 60)
    assert 1 == before
    world.succeeded("s", 1, 60)
    assert not (world.root / "overlaps").exists()
