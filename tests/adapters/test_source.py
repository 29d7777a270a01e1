"""A source: whether it is up, and what is said while it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from virtual_clock import HastyClock

from reconciler.core.errors import Fenced, Garbled, NoReply, NotSent, Refused
from reconciler.core.model import Eid, HostIdentity, InstanceId, SourceName
from reconciler.core.settings import SourceConfig
from reconciler.core.wire import Found, Hello, Reply, Request
from reconciler.core.wire_code import LaidOut, worktree
from reconciler.dialects.process import ProcessDialect
from reconciler.links.base import NEWCOMER, Ruler
from reconciler.source import Source, forget, next_delay

EID = Eid("gaaaabcdefghijk")
HELLO = Hello(
    identity=HostIdentity(host="h", machine="m", boot="b"),
    epoch=1,
    python="3.6.0",
    root="/r",
    clock=5.0,
    owner=InstanceId("aaaa"),
)


class ScriptedSession:
    """Answers each question with the next of the given answers."""

    def __init__(self, answers: list[Reply | Exception]) -> None:
        self.answers = answers
        self.asked: list[Request] = []
        self.closed = False
        self.over = asyncio.Event()

    @property
    def hello(self) -> Hello:
        return HELLO

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def pushes(self) -> AsyncIterator[Sequence[Found]]:
        yield (Found(eid=EID),)
        await self.over.wait()

    async def aclose(self) -> None:
        self.closed = True
        self.over.set()


class ScriptedLink:
    def __init__(self, *sessions: ScriptedSession | Exception) -> None:
        self.sessions = list(sessions)
        self.rulers: list[Ruler] = []

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> ScriptedSession:
        self.rulers.append(ruler)
        session = self.sessions.pop(0)
        if isinstance(session, Exception):
            raise session
        return session


def source(*sessions: ScriptedSession | Exception) -> tuple[Source, HastyClock]:
    clock = HastyClock()
    config = SourceConfig(name=SourceName("laptop"), root="/r")
    link = ScriptedLink(*sessions)
    return Source(
        config=config, instance=InstanceId("aaaa"), daemon="d1", dialect=ProcessDialect(), link=link, clock=clock
    ), clock


async def test_a_source_is_down_until_it_is_connected():
    laptop, _ = source()

    assert (laptop.state.up, laptop.state.reason, laptop.state.hello) == (False, "NotConnected", None)
    with pytest.raises(NotSent):
        await laptop.ask(forget([EID]))


async def test_a_connected_source_is_up_and_knows_who_answered():
    laptop, clock = source(ScriptedSession([]))
    clock.time = 200.0

    assert await laptop.connect() == HELLO

    assert (laptop.state.up, laptop.state.reason, laptop.state.since) == (True, "Connected", 200.0)


async def test_a_source_that_cannot_be_reached_says_why_and_since_when():
    refusal = Refused("ForeignRoot", "it is another's")
    laptop, clock = source(refusal, NotSent("AgentNotStarted", "no"))

    for now in (200.0, 300.0):
        clock.time = now
        with pytest.raises((Refused, NotSent)):
            await laptop.connect()

    assert (laptop.state.up, laptop.state.reason, laptop.state.since) == (False, "AgentNotStarted", 100.0)


async def test_an_answer_is_read_by_the_question_s_own_reader():
    laptop, _ = source(ScriptedSession([Reply(body={"path": "/r/projects/p/c"}), Reply(body={})]))
    await laptop.connect()

    assert LaidOut(path="/r/projects/p/c", seal="") == await laptop.ask(worktree("p", "c", [], "/g"))
    with pytest.raises(Garbled):
        await laptop.ask(worktree("p", "c", [], "/g"))
    assert laptop.state.up


@pytest.mark.parametrize(
    "error", [NoReply("SessionEnded", "gone"), NotSent("SessionEnded", "gone"), Fenced("Fenced", "")]
)
async def test_an_answer_that_does_not_come_finds_the_source_down(error):
    laptop, clock = source(ScriptedSession([error]))
    await laptop.connect()
    clock.time = 300.0

    with pytest.raises(type(error)):
        await laptop.ask(forget([EID]))

    assert (laptop.state.up, laptop.state.reason, laptop.state.since) == (False, error.reason, 300.0)
    assert laptop.state.hello == HELLO


async def test_the_end_of_the_session_finds_the_source_down():
    session = ScriptedSession([])
    laptop, _ = source(session)
    await laptop.connect()
    session.over.set()

    assert [page async for page in laptop.pushes()] == [(Found(eid=EID),)]

    assert (laptop.state.up, laptop.state.reason) == (False, "SessionEnded")


async def test_why_a_session_ended_is_known_until_the_next_one():
    session = ScriptedSession([])
    laptop, _ = source(session)
    await laptop.connect()
    session.over.set()
    assert [page async for page in laptop.pushes()]

    await laptop.aclose()

    assert (session.closed, laptop.state.reason, laptop.state.message != "") == (True, "SessionEnded", True)


async def test_connecting_again_closes_the_session_before():
    first, second = ScriptedSession([]), ScriptedSession([])
    laptop, _ = source(first, second)
    await laptop.connect()

    await laptop.connect()

    assert (first.closed, second.closed, laptop.state.up) == (True, False, True)
    await laptop.aclose()
    assert (second.closed, laptop.state.up) == (True, False)


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0), (10_000, 60.0)])
def test_the_wait_before_connecting_again_doubles_up_to_a_minute(failures, delay_s):
    assert next_delay(failures) == delay_s


async def test_a_source_says_at_each_session_which_epoch_it_has_ruled_last():
    laptop, _ = source(ScriptedSession([]), ScriptedSession([]))
    link = laptop._link

    await laptop.connect()
    await laptop.connect()

    assert [0, HELLO.epoch] == [ruler.after for ruler in link.rulers]
    assert 1 == len({ruler.daemon for ruler in link.rulers})
