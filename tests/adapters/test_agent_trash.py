"""What an agent throws away, once nobody needs it: attempts that are forgotten, and their batches."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from toy_cluster import ToyCluster, a_toy_cluster

from reconciler.core.wire import Request


@pytest.fixture
async def cluster() -> AsyncIterator[ToyCluster]:
    async with a_toy_cluster() as cluster:
        yield cluster


async def test_a_batch_goes_a_day_after_the_last_of_its_attempts(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(2)
    eids = [spec.eid for spec in specs]
    await cluster.submit(session, specs)
    cluster.run("run")
    await cluster.until(lambda: cluster.ended(specs))
    (batch,) = (cluster.root / "batches").iterdir()
    os.utime(batch, (0, 0))

    for eid, left in zip(eids, [[batch], []], strict=True):
        await session.ask(Request(op="forget", body={"eids": [eid]}))
        await cluster.until(lambda: not list((cluster.root / "trash").iterdir()))
        await cluster.until(lambda left=left: left == list((cluster.root / "batches").iterdir()))


async def test_what_is_thrown_away_while_somebody_throws_away_goes_too(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(2)
    for spec in specs:
        await cluster.submit(session, [spec])
        cluster.run("run")
    await cluster.until(lambda: cluster.ended(specs))
    passed, at_work = sorted((cluster.root / "batches").iterdir())
    of = {cluster.submission(session, [spec]).body["batch"]: spec.eid for spec in specs}
    text = (at_work / "spec.json").read_text()
    (at_work / "spec.json").unlink()
    os.mkfifo(at_work / "spec.json")
    os.utime(passed, (0, 0))

    await session.ask(Request(op="forget", body={"eids": [of[at_work.name]]}))
    with await asyncio.to_thread(open, at_work / "spec.json", "w") as reader:  # until somebody reads it
        await session.ask(Request(op="forget", body={"eids": [of[passed.name]]}))
        reader.write(text)
    (at_work / "spec.json").unlink()

    await cluster.until(lambda: not passed.exists() and not list((cluster.root / "trash").iterdir()))
