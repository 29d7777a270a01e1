"""The agent runs wherever there is a Python from 3.6 on: tried with each one that this machine has."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest

from reconciler.core.model import Eid, InstanceId
from reconciler.core.wire import AttemptSpec, CancelOutcome
from reconciler.dialects.process import ProcessDialect
from reconciler.links.local import LocalLink

FIRST = Eid("gaaaaaaaaaaaaaa")
SECOND = Eid("gaaaaaaaaaaaaab")


def pythons(*minors: int) -> list[str]:
    """One interpreter of each version, on the PATH or where pyenv keeps them."""
    found = {}
    for minor in minors:
        on_path = shutil.which(f"python3.{minor}")
        kept = sorted(Path("~/.pyenv/versions").expanduser().glob(f"3.{minor}.*/bin/python3.{minor}"))
        found[minor] = str(kept[0]) if kept else on_path
    return [path for path in found.values() if path]


def spec(eid: Eid, *argv: str) -> AttemptSpec:
    return AttemptSpec(
        eid=eid,
        sweep="s",
        task="t",
        attempt=1,
        argv=argv,
        environment={"NAME": "é"},
        setup=(),
        parameters={},
        cwd=None,
        checkpoint="c",
        walltime_s=None,
        gpus=0,
        grace_s=1.0,
    )


@pytest.mark.parametrize("python", pythons(*range(6, 15)), ids=lambda path: Path(path).name)
async def test_the_agent_runs_cancels_and_records(python):
    root = tempfile.mkdtemp(prefix="a-")
    dialect = ProcessDialect()
    session = await LocalLink(python=python).open(instance=InstanceId("aaaa"), root=root, slots=2, gpus=())

    async def ask(exchange):
        return exchange.parse(await session.ask(exchange.request))

    await ask(dialect.submit([spec(FIRST, "sh", "-c", 'echo "$NAME $1"', "sh", "ü"), spec(SECOND, "sleep", "60")]))
    records, cancelled = {}, False
    async with asyncio.timeout(20):
        async for page in session.pushes():
            for found in page:
                if found.eid == SECOND and found.exit is None and not cancelled:
                    cancelled = True
                    assert await ask(dialect.cancel([SECOND])) == {SECOND: CancelOutcome.SIGNALLED}
                if found.exit is not None:
                    records[found.eid] = found
            if len(records) == 2:
                break
    await session.aclose()

    assert (records[FIRST].exit.exit_code, records[SECOND].exit.signal) == (0, 15)
    assert Path(records[FIRST].directory, "stdout.log").read_text() == "é ü\n"
    shutil.rmtree(root)
