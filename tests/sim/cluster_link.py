"""How a daemon speaks with a cluster's agent: the dialect of these tests, and a session that behaves like a real one.

Bodies are values, not text: how text is made and read is for each dialect's own tests. What a session must never do is
the same as for any other: an answer that did not come is not an answer, and what was sent may have happened.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.core.errors import LinkError, NoReply, NotSent, ReconcilerError
from reconciler.core.model import Eid, InstanceId
from reconciler.core.wire import (
    AttemptSpec,
    CancelOutcome,
    Exchange,
    Found,
    Hello,
    Reply,
    Request,
    RevokeOutcome,
    StartOutcome,
)
from reconciler.dialects.base import Limits
from reconciler.links.base import NEWCOMER, Ruler
from tests.sim.cluster_agent import PUSH_EVERY_S, Agent
from tests.sim.loop import PROCESS, Process

if TYPE_CHECKING:
    from tests.sim.cluster_side import ClusterSide

SUBMIT_TIMEOUT_S = 240.0  # sbatch itself tries for two minutes


@dataclass(frozen=True)
class ClusterDialect:
    """See `Dialect`."""

    limits: Limits

    def submit(self, batch: Sequence[AttemptSpec]) -> Exchange[Mapping[Eid, StartOutcome]]:
        return _exchange("submit", {"attempts": tuple(batch)}, SUBMIT_TIMEOUT_S)

    def inspect(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, Found]]:
        return _exchange("inspect", {"eids": tuple(eids)})

    def revoke(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, RevokeOutcome]]:
        return _exchange("revoke", {"eids": tuple(eids)})

    def cancel(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, CancelOutcome]]:
        return _exchange("cancel", {"eids": tuple(eids)})


def _exchange(op: str, body: Mapping[str, Any], timeout_s: float = 60.0) -> Exchange[Any]:
    request = Request(op=op, body=body, timeout_s=timeout_s)
    return Exchange(request=request, parse=lambda reply: reply.body["answer"])


class ClusterSession:
    """See `Session`. What is under way when it is cut may still arrive, and be done, minutes later."""

    def __init__(self, side: ClusterSide, owner: Process, agent: Agent, hello: Hello) -> None:
        self.side = side
        self.owner = owner
        self.agent = agent
        self._hello = hello
        self._ended: LinkError | None = None
        self._asked: dict[int, asyncio.Future[Reply]] = {}
        self._count = 0
        self._news: list[Sequence[Found]] = []
        self._rung = asyncio.Event()
        self._pushed: set[Eid] = set()
        self._hung_up = False
        agent.resources.append(self._agent_died)
        owner.resources.append(self._hang_up)
        if side.pushes:
            agent.spawn(self._push())

    @property
    def hello(self) -> Hello:
        return self._hello

    @property
    def open(self) -> bool:
        return self._ended is None

    async def ask(self, request: Request) -> Reply:
        """See `Session.ask`."""
        if self._ended is not None:
            raise NotSent(self._ended.reason, self._ended.message)
        self._count += 1
        number, answer = self._count, asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._send(number, request)
        try:
            async with asyncio.timeout(request.timeout_s):
                return await answer
        except TimeoutError:
            raise NoReply("Timeout", f"no answer to {request.op} within {request.timeout_s:g} s") from None
        finally:
            del self._asked[number]
            answer.cancel()

    async def pushes(self) -> AsyncIterator[Sequence[Found]]:
        """See `Session.pushes`."""
        while True:
            await self._rung.wait()
            while self._news:
                yield self._news.pop(0)
            if self._ended is not None:
                return
            self._rung.clear()

    async def aclose(self) -> None:
        """See `Session.aclose`."""
        self.end("SessionClosed", "the session was closed")
        self._hang_up()

    def end(self, reason: str, message: str) -> None:
        """It is over, as far as the daemon can know: whoever waits gets no reply."""
        if self._ended is not None:
            return
        self._ended = NoReply(reason, message)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(self._ended)
        self._rung.set()

    # -- what travels

    def _send(self, number: int, request: Request) -> None:
        weather = self.side.weather
        if weather.swallows():
            return
        delay = weather.delay_s()
        if self.side.dice.random() < self.side.trouble.request_late:
            self.side.world.count_fault("request-late")
            delay += 120.0 * self.side.dice.random()
        self.side.later(delay, lambda: self._arrive(number, request))

    def _arrive(self, number: int, request: Request) -> None:
        if self.agent.alive:
            self.agent.spawn(self._serve(number, request))

    async def _serve(self, number: int, request: Request) -> None:
        try:
            answer: Reply | ReconcilerError = Reply(body=await self.agent.answer(request))
        except ReconcilerError as error:
            answer = error
        except Exception:
            self.side.world.defect(f"the simulated agent: {traceback.format_exc()}")
            raise
        if self.side.weather.swallows() or self._ended is not None:
            return
        if self.side.dice.random() < self.side.trouble.reply_lost:
            self.side.world.count_fault("reply-lost")
            return
        self.owner.call_later(self.side.weather.delay_s(), self._take, number, answer)

    def _take(self, number: int, answer: Reply | ReconcilerError) -> None:
        waiting = self._asked.get(number)
        if waiting is None or waiting.done() or self._ended is not None:
            return
        if isinstance(answer, Reply):
            waiting.set_result(answer)
        else:
            waiting.set_exception(answer)

    async def _push(self) -> None:
        """What the outbox shows is told, without a word about the scheduler: whoever reads pages knows of none."""
        while True:
            await asyncio.sleep(PUSH_EVERY_S)
            root = self.agent.root
            fresh = [eid for eid in root.news() if eid not in self._pushed]
            self._pushed.update(fresh)
            page = [Found(eid=eid, staged=True, claim=root.claim_of(eid), exit=root.record_of(eid)) for eid in fresh]
            if page and not self.side.weather.swallows():
                self.owner.call_later(self.side.weather.delay_s(), self._hear, page)

    def _hear(self, page: Sequence[Found]) -> None:
        if self._ended is None:
            self._news.append(page)
            self._rung.set()

    # -- ends

    def _agent_died(self) -> None:
        self.owner.call_later(self.side.weather.delay_s(), self.end, "SessionEnded", "the agent ended")

    def _hang_up(self) -> None:
        """The agent does not mind: it finishes what it was asked, and goes a while later."""
        if not self.agent.alive or self._hung_up:
            return
        self._hung_up = True
        self.side.later(self.side.dice.choice((0.5, 10.0, 300.0)) * self.side.dice.random(), self.agent.kill)


class ClusterLink:
    """See `Link`. Each session may lead to another login node."""

    def __init__(self, side: ClusterSide) -> None:
        self.side = side

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> ClusterSession:
        """See `Link.open`."""
        side = self.side
        await asyncio.sleep(side.weather.delay_s())
        trouble = side.weather.unreachable()
        if trouble:
            raise NotSent("Unreachable", trouble)
        home = side.login_node()
        epoch = side.root.rule(instance, ruler)
        agent = Agent(side, instance, epoch, home)
        hello = Hello(
            identity=home,
            epoch=epoch,
            python="3.6.0",
            root=root,
            clock=side.wall() + side.skews[home.host],
            owner=instance,
            mark=side.root.mark,
        )
        session = ClusterSession(side, PROCESS.get(), agent, hello)
        side.opened(session)
        await asyncio.sleep(side.weather.delay_s())
        if side.weather.swallows() or not session.open:
            await session.aclose()
            raise NotSent("AgentNotStarted", "no answer")
        return session
