"""What jobs said that ended before they could claim anything: a reason for people, and no proof of anything."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from toy_cluster import ToyCluster, a_toy_cluster

from reconciler.core.wire_json import found_from_json


@pytest.fixture
async def cluster() -> AsyncIterator[ToyCluster]:
    async with a_toy_cluster() as cluster:
        yield cluster


async def test_the_last_words_of_a_job_that_ended_before_it_could_claim_anything_are_told(cluster: ToyCluster) -> None:
    session, (first, second, third) = await cluster.open(), cluster.specs(3)
    await cluster.submit(session, [first, second, third])
    cluster.run("end", "1_0", "1_1")
    (batch,) = (cluster.root / "batches").iterdir()
    (batch / "0.log").write_bytes(b"x" * 5000 + b"\n/bin/sh: 4: exec:\n\x1b\xff/opt/python3: not found\n")
    (batch / "2.log").write_text("it is still listed")

    found = (await cluster.look(session, first.eid, second.eid, third.eid))["found"]

    said = {eid: found_from_json(eid, found[eid]).said for eid in found}
    assert ("", "") == (said[second.eid], said[third.eid])
    assert said[first.eid].endswith("x /bin/sh: 4: exec: \ufffd/opt/python3: not found")
    assert 600 == len(said[first.eid])


async def test_a_claim_says_more_than_any_words(cluster: ToyCluster) -> None:
    session, (spec,) = await cluster.open(), cluster.specs(1)
    await cluster.submit(session, [spec])
    await cluster.withdraw(session, spec.eid, running=False)
    (batch,) = (cluster.root / "batches").iterdir()
    (batch / "0.log").write_text("words")

    found = (await cluster.look(session, spec.eid))["found"]

    assert "" == found_from_json(spec.eid, found[spec.eid]).said
