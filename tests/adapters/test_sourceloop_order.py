"""In which order a source is asked, told and believed: look before you act, record before you let it forget."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from source_lab import HOME, LAPTOP, Lab

from reconciler.controller.placement import place
from reconciler.core.errors import StoreError
from reconciler.core.wire import Claim, ClaimKind, Ended, ExitRecord, Found


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    await lab.close()


async def test_a_session_begins_with_a_look_at_all_that_is_open(lab: Lab) -> None:
    await lab.accept(s="{x: [1, 2]}")
    await lab.dispatch()
    eids = sorted(attempt.eid for attempt in lab.open())

    await lab.again()

    first = lab.agent.asked[0]
    assert ("inspect", eids) == (first.op, sorted(first.body.get("eids", [])))


async def test_nothing_is_placed_on_a_source_that_is_still_looking(lab: Lab) -> None:
    await lab.accept(s="{x: [1]}")
    await lab.dispatch()
    lab.agent.may_look.clear()
    await lab.again()
    await lab.accept(t="{x: [1]}")

    await lab.dispatch()
    before = {attempt.key.sweep for attempt in lab.open()}
    lab.agent.may_look.set()
    await lab.dispatch()

    assert ({"s"}, {"s", "t"}) == (before, {attempt.key.sweep for attempt in lab.open()})


async def test_an_intent_for_another_boot_is_not_sent(lab: Lab) -> None:
    await lab.accept(s="{x: [1]}")
    await lab.time.settle()
    place(lab.store, lab.catalog, {LAPTOP: lab.loop}, lab.time.now())
    (attempt,) = lab.open()
    lab.agent.hello = replace(lab.agent.hello, identity=replace(HOME, boot="another"))
    lab.agent.unreadable = {attempt.eid}  # nor can it be judged

    await lab.again()

    assert [] == lab.agent.named("start")


async def test_an_end_that_could_not_be_recorded_is_not_acknowledged(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    await lab.accept(s="{x: [1]}")
    await lab.dispatch()
    (attempt,) = lab.open()
    claim = Claim(kind=ClaimKind.STARTED, at=1.0, home=HOME, nonce="n")
    record = ExitRecord(nonce="n", started_at=1.0, ended_at=2.0, ended_by=Ended.ITSELF, exit_code=0)
    found = Found(eid=attempt.eid, staged=True, claim=claim, exit=record)

    def full(*_: object) -> None:
        raise StoreError("DiskFull", "no room")

    with monkeypatch.context() as patched:
        patched.setattr(lab.store, "record", full)
        lab.agent.news.put_nowait([found])
        await lab.time.settle()
    assert [] == lab.agent.named("ack")

    await lab.again()
    lab.agent.news.put_nowait([found])
    await lab.time.advance(0.1)
    assert [attempt.eid] == lab.agent.named("ack")


async def test_a_cancellation_that_was_only_asked_for_is_no_end(lab: Lab) -> None:
    await lab.accept(s="{x: [1]}")
    await lab.dispatch()
    eids = [attempt.eid for attempt in lab.open()]
    lab.store.intend_cancel(eids, "SweepCancelled", lab.time.now())

    lab.loop.kick()
    await lab.time.settle()

    assert (eids, eids) == (lab.agent.named("cancel"), [attempt.eid for attempt in lab.open()])


async def test_no_more_is_placed_than_the_manifest_allows_at_once(lab: Lab) -> None:
    await lab.accept(s="{x: [1, 2, 3]}, parallelism: 2")

    await lab.dispatch()

    assert 2 == len(lab.open())
