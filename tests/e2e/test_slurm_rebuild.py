"""The state is lost while jobs wait and run on a real Slurm, and while nobody has read what became of a submission."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.fakes.cluster_world import ClusterWorld, a_cluster_world
from tests.fakes.slurm_troubles import SOMEBODY, elements, stranger

pytestmark = [pytest.mark.real(package) for package in ("slurmctld", "slurmd", "munge")]
STRANGERS = 3
ONE_A_NODE = "  resources: {cpus: 64, walltime: 5m}\n"


@pytest.fixture
def world() -> Iterator[ClusterWorld]:
    with a_cluster_world() as world:
        yield world


@pytest.mark.timeout(180)
def test_after_a_rebuild_nothing_is_submitted_twice_nothing_is_lost_and_no_stranger_is_touched(
    world: ClusterWorld,
) -> None:
    for _ in range(STRANGERS):
        stranger(world.slurm, "--hold")
    until_told = f"until [ -e {world.root}/go ]; do sleep 0.2; done"
    world.commit(s=world.manifest("s", "{x: [1, 2, 3, 4, 5]}", command=until_told, extra=ONE_A_NODE))
    world.start()
    world.wait(lambda: world.counts("s").get("running") == 2, 60)
    world.mute.touch()
    world.commit(t=world.manifest("t", "{x: [1, 2]}", extra=ONE_A_NODE))
    world.wait(lambda: not world.mute.exists(), 60)
    world.kill()
    queued = len(elements(world.slurm)) - STRANGERS
    for file in world.state.glob("state.db*"):
        file.unlink()

    done = world.run("rebuild", "-o", "json")
    told = json.loads(done.stdout)
    world.start()
    (world.root / "go").touch()

    world.succeeded("s", 5, 90)
    world.succeeded("t", 2, 90)
    assert [queued] == [source["jobs"] for source in told["sources"]]
    assert ([], []) == (told["strangers"], told["nameless"])
    assert ({1}, 7) == (set(world.runs().values()), len(world.runs()))
    assert (2, 0) == (world.asked()["sbatch"], world.asked()["scancel"])
    assert [SOMEBODY] * STRANGERS == list(elements(world.slurm).values())
