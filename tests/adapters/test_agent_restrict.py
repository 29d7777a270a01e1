"""How many jobs of a batch may run at once: told to the scheduler under our name and its number together."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from toy_cluster import ToyCluster, a_toy_cluster

from reconciler.core.errors import Fenced
from reconciler.core.model import Eid
from reconciler.core.wire import Request
from reconciler.core.wire_commands import Command, command_to_json
from reconciler.links.base import Session

ROW = r"^(?P<job>\d+)_\d+\|\w+\|.*(?P<batch>b[a-z2-7]{14})$"


@pytest.fixture
async def cluster() -> AsyncIterator[ToyCluster]:
    async with a_toy_cluster() as cluster:
        yield cluster


async def _restrict(cluster: ToyCluster, session: Session, limits: dict[Eid, int], says: str = "true") -> object:
    tell = ("/bin/sh", "-c", f'echo "$1 $2" >> {cluster.folder}/told; {says}', "sh", "{job}", "{limit}")
    body = {
        "limits": {str(eid): limit for eid, limit in limits.items()},
        "listing": cluster.toy("list"),
        "row": ROW,
        "command": command_to_json(Command(argv=tell)),
    }
    return (await session.ask(Request(op="restrict", body=body))).body["told"]


def _told(cluster: ToyCluster) -> list[str]:
    file = cluster.folder / "told"
    return file.read_text().splitlines() if file.exists() else []


async def test_only_the_batch_that_is_meant_is_told_whatever_else_is_listed(cluster: ToyCluster) -> None:
    session, (first, second, third) = await cluster.open(), cluster.specs(3)
    await cluster.submit(session, [first])
    await cluster.submit(session, [second, third])

    told = await _restrict(cluster, session, {third.eid: 5})

    assert ([third.eid], ["2 5"]) == (told, _told(cluster))


async def test_what_is_not_listed_is_not_told(cluster: ToyCluster) -> None:
    session, (first, second) = await cluster.open(), cluster.specs(2)
    await cluster.submit(session, [first])
    await cluster.submit(session, [second])
    cluster.run("end", "1_0")

    assert [] == await _restrict(cluster, session, {first.eid: 5, Eid("gaaaa" + "z" * 10): 3})
    assert [] == _told(cluster)


async def test_who_is_told_and_refuses_is_not_said_to_heed_it(cluster: ToyCluster) -> None:
    session, (spec,) = await cluster.open(), cluster.specs(1)
    await cluster.submit(session, [spec])

    assert [] == await _restrict(cluster, session, {spec.eid: 5}, "false")


async def test_an_older_agent_tells_nothing(cluster: ToyCluster) -> None:
    session, (spec,) = await cluster.open(), cluster.specs(1)
    await cluster.submit(session, [spec])
    await cluster.open()

    with pytest.raises(Fenced):
        await _restrict(cluster, session, {spec.eid: 5})

    assert [] == _told(cluster)
