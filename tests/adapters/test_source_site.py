"""A source finds out what its scheduler bears before it submits anything, and keeps within it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from virtual_clock import VirtualClock

from reconciler.core.errors import Busy, NoReply, Refused
from reconciler.core.model import HostIdentity, InstanceId, Json, SourceName
from reconciler.core.settings import SourceConfig
from reconciler.core.wire import Hello, Reply, Request
from reconciler.dialects.slurm import SlurmDialect
from reconciler.source import LEARNT_AGAIN_S, SURVEYED_EVERY_S, UNLEARNT_AGAIN_S, Source

HOME = HostIdentity(host="h", machine="m", boot="b")
PROBE = {"cpus": 4, "load1": 0.5, "memory_mib": 2, "memory_free_mib": 1, "disk_free_mib": 7, "clock": 0.0}
CONFIG = "MaxArraySize            = 101\nMinJobAge               = 300 sec\nSLURM_VERSION           = 22.05.8\n"
ASSOCIATIONS = "p1|40||normal\n"


def said(out: str) -> dict[str, Json]:
    return {"rc": 0, "out": out, "err": "", "timed_out": False, "cut": False}


class Far:
    """A link, and a session; each question for the site is answered with the next of these."""

    hello = Hello(identity=HOME, epoch=1, python="3.6.0", root="/r", clock=5.0, owner=InstanceId("aaaa"))

    def __init__(self, answers: Sequence[dict[str, str] | Exception]) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.late = asyncio.Event()
        self.late.set()

    async def open(self, **_: object) -> Far:
        return self

    async def ask(self, request: Request) -> Reply:
        if request.op == "probe":
            return Reply(body=PROBE)
        self.asked += 1
        answer = self.answers.pop(0)
        await self.late.wait()
        if isinstance(answer, Exception):
            raise answer
        return Reply(body={"ran": {name: said(answer.get(name, "")) for name in request.body["commands"]}})

    async def aclose(self) -> None:
        pass


async def source(clock: VirtualClock, *answers: dict[str, str] | Exception) -> tuple[Source, Far]:
    far = Far(answers)
    config = SourceConfig(name=SourceName("c"), scheduler="slurm", root="/r", slots=200)
    dialect = SlurmDialect.of(options={}, array_size=150)
    found = Source(config=config, instance=InstanceId("aaaa"), daemon="d1", dialect=dialect, link=far, clock=clock)
    await found.connect()
    return found, far


async def test_an_array_is_no_larger_than_the_cluster_takes() -> None:
    found, _ = await source(VirtualClock(), {"config": CONFIG})

    await found.turn()

    assert 101 == found.dialect.limits.batch_max
    assert 200 == found.slots


async def test_no_more_jobs_are_there_at_once_than_the_account_may_have() -> None:
    found, _ = await source(VirtualClock(), {"config": CONFIG, "associations": ASSOCIATIONS})

    await found.look()

    assert (40, 40) == (found.slots, found.dialect.limits.batch_max)


@pytest.mark.parametrize(
    ("answer", "again_s"),
    [
        (Busy("Busy", "too much is asked"), SURVEYED_EVERY_S),
        (Refused("BadRequest", "no such operation"), UNLEARNT_AGAIN_S),
        ({"config": "no such thing"}, UNLEARNT_AGAIN_S),
    ],
)
async def test_what_is_not_told_leaves_the_operators_limits_and_is_asked_again_later(
    answer: dict[str, str] | Exception, again_s: float
) -> None:
    clock = VirtualClock()
    found, far = await source(clock, answer, {"config": CONFIG})

    await found.look()
    await found.turn()
    assert (1, 150, None) == (far.asked, found.dialect.limits.batch_max, found.site)

    await clock.advance(again_s)
    await found.look()
    assert (2, 101) == (far.asked, found.dialect.limits.batch_max)


async def test_a_limit_that_was_raised_meanwhile_is_heard_of() -> None:
    clock = VirtualClock()
    found, _ = await source(clock, {"config": CONFIG}, {"config": CONFIG.replace("101", "121")})
    await found.look()

    await clock.advance(LEARNT_AGAIN_S)
    await found.look()

    assert 121 == found.dialect.limits.batch_max


async def test_only_who_had_to_wait_must_read_again_what_is_to_be_submitted() -> None:
    clock = VirtualClock()
    found, _ = await source(clock, {"config": CONFIG})

    assert [True, False] == [await found.turn(), await found.turn()]


async def test_who_submits_waits_while_somebody_else_asks() -> None:
    clock = VirtualClock()
    found, far = await source(clock, {"config": CONFIG})
    far.late = asyncio.Event()
    looking = asyncio.ensure_future(found.look())
    await clock.settle()

    submitting = asyncio.ensure_future(found.turn())
    await clock.settle()
    assert not submitting.done()
    far.late.set()

    assert await submitting
    await looking
    assert (1, 101) == (far.asked, found.dialect.limits.batch_max)


async def test_each_session_asks_once() -> None:
    found, far = await source(VirtualClock(), {"config": CONFIG}, {"config": CONFIG})
    await found.look()
    await found.look()
    assert 1 == far.asked

    await found.connect()
    await found.look()

    assert 2 == far.asked


async def test_a_session_that_is_lost_is_lost() -> None:
    found, _ = await source(VirtualClock(), NoReply("TimedOut", "no answer"))

    with pytest.raises(NoReply):
        await found.look()

    assert not found.state.up
