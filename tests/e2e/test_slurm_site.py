"""The real daemon on a cluster that bears little: it asks how much, keeps within it, and tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.fakes.cluster_world import ClusterWorld, a_cluster_world

pytestmark = [pytest.mark.real(package) for package in ("slurmctld", "slurmd", "munge")]


@pytest.fixture
def world() -> Iterator[ClusterWorld]:
    with a_cluster_world(MaxArraySize="5", MinJobAge="6") as world:
        yield world


@pytest.mark.timeout(180)
def test_arrays_are_no_larger_than_the_cluster_takes_and_what_may_be_missed_is_told(world: ClusterWorld) -> None:
    world.commit(s=world.manifest("s", "{x: {range: {start: 0, stop: 11, step: 1}}}"))
    world.start()

    world.succeeded("s", 11, 120)

    assert {1} == set(world.runs().values())
    lines = world.commands.read_text().splitlines()
    assert {"--array=0-4", "--array=0-0"} >= {
        word for line in lines if line.startswith("sbatch") for word in line.split() if word.startswith("--array")
    }
    world.wait(lambda: world.conditions().get("MayMissEnds") == "PollTooSlow", 30)
    ruled = sorted((world.cluster / "epoch").iterdir())
    planned = json.loads(world.run("plan", "--check", "-o", "json").stdout)
    assert ["ok"] == [each["status"] for each in planned["checks"]]
    assert ruled == sorted((world.cluster / "epoch").iterdir()), "who only asks takes the root from nobody"
    (source,) = json.loads(world.run("sources", "-o", "json").stdout)["sources"]
    assert (5, 6, False) == tuple(source["site"][name] for name in ("arraySizeMax", "minJobAgeSeconds", "accounting"))
