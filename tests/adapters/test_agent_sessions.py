"""When an agent ends: its daemon is gone, whether the line says so or not. What it has started goes on."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from reconciler.agent.channel import Channel
from reconciler.agent.place import SUPERSEDED_S, Root
from reconciler.core.errors import Fenced
from reconciler.core.model import InstanceId
from reconciler.core.wire import Request
from reconciler.links.local import LocalLink


def channel(silent_s: float) -> tuple[Channel, int]:
    """One, and the end into which its other side speaks."""
    read_end, write_end = os.pipe()
    return Channel(read_end, os.open(os.devnull, os.O_WRONLY), silent_s), write_end


def test_a_channel_is_over_when_nothing_was_said_for_too_long(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    listened, speaks = channel(silent_s=4.0)
    before = listened.over
    now[0] += 3.0
    os.write(speaks, json.dumps({"op": "probe"}).encode() + b"\n")
    listened.read()
    now[0] += 3.0
    spoken_to = listened.over
    now[0] += 2.0
    assert [False, False, True] == [before, spoken_to, listened.over]


def test_an_agent_is_superseded_when_a_newer_one_has_ruled_for_a_while(tmp_path):
    old = Root(str(tmp_path / "root"), "aaaa")
    old.win_epoch("d1", 0, [])
    alone = old.superseded(50.0)
    Root(str(tmp_path / "root"), "aaaa").win_epoch("d1", 0, [])

    told = [old.superseded(at) for at in (100.0, 100.0 + SUPERSEDED_S - 1, 100.0 + SUPERSEDED_S)]

    assert [False, False, False, True] == [alone, *told]


@pytest.mark.timeout(120)
async def test_an_agent_that_rules_no_more_says_why_and_ends_while_the_newer_one_goes_on(tmp_path):
    async def opened():
        return await LocalLink().open(instance=InstanceId("aaaa"), root=str(tmp_path / "root"), slots=1, gpus=())

    old, new = await opened(), await opened()
    (epoch,) = (path for path in (tmp_path / "root/epoch").iterdir())
    with pytest.raises(Fenced):
        await old.ask(Request(op="ack", body={"eids": []}))

    async with asyncio.timeout(SUPERSEDED_S + 60):
        async for _ in old.pushes():
            pass

    assert json.loads(epoch.read_text())["pid"] != os.getpid()
    assert (await new.ask(Request(op="ack", body={"eids": []}))).body == {}
    assert Path(f"/proc/{json.loads(epoch.read_text())['pid']}").exists()
    await old.aclose()
    await new.aclose()
