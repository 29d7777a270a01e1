"""A source: one operator's entry, a dialect and a link, and whether it can be reached now.

    source = Source(
        config=config, instance=instance, daemon=name, dialect=ProcessDialect(), link=LocalLink(), clock=clock
    )
    await source.connect()
    outcomes = await source.ask(source.dialect.submit(batch))
    async for page in source.pushes(): ...

A question that gets no answer finds the source down, as does being fenced; whoever uses it connects again, after
`next_delay`. What is the same for every dialect is asked with the functions below.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from reconciler.barred import Barred
from reconciler.clock import Clock
from reconciler.core.errors import Busy, Fenced, LinkError, NotSent, ReconcilerError
from reconciler.core.jobs import Site
from reconciler.core.model import Eid, InstanceId, Instant, Json, SweepName
from reconciler.core.pace import pause_s
from reconciler.core.settings import SourceConfig
from reconciler.core.waiting import QueueView
from reconciler.core.wire import Exchange, Found, Hello, Output, Piece, Probe, Reply, Request, Survey
from reconciler.core.wire_json import outputs_from_json, piece_from_json, probe_from_json, survey_from_json
from reconciler.dialects.base import Dialect, Surveyed
from reconciler.links.base import Link, Ruler, Session

T = TypeVar("T")

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
SURVEY_TIMEOUT_S = 60.0
SURVEYED_EVERY_S = 5.0
PORTION_MAX = 1 << 30
LEARNT_AGAIN_S = 3600.0  # limits of a site are changed by its people, seldom
UNLEARNT_AGAIN_S = 60.0  # its controller is away, perhaps: what it takes must be known when it is back
FILES_TIMEOUT_S = 600.0  # a slow disk is no dead source, and nothing else waits for it


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """Whether the source answers; `reason`, `message` and `advice` say why not.

    hello, probe, survey   the newest ones, even while down
    latency_s              of the newest probe: from the question to its answer
    clock_skew_s           how far its clock is ahead of ours, as far as latency lets that be told
    sessions, failures     how often one was opened, and could not be; they only ever grow
    """

    up: bool
    reason: str
    message: str
    hello: Hello | None
    since: Instant
    advice: str = ""
    probe: Probe | None = None
    survey: Survey | None = None
    latency_s: float | None = None
    clock_skew_s: float | None = None
    sessions: int = 0
    failures: int = 0


class Source:
    """One place where tasks run, and the conversation with it."""

    def __init__(
        self,
        *,
        config: SourceConfig,
        instance: InstanceId,
        daemon: str,
        dialect: Dialect,
        link: Link,
        clock: Clock,
        earlier: tuple[str, ...] = (),
    ) -> None:
        """daemon: a name that no other has, nor this one after a restart; earlier: who served its state before."""
        self.config = config
        self.dialect = dialect
        self.barred = Barred(config.name, clock)
        self.queue: QueueView | None = None  # its scheduler's, as last listed
        self.site: Site | None = None  # what its scheduler bears, if that was told
        self._surveyed = dialect if isinstance(dialect, Surveyed) else None  # with no limits but the operator's
        self._learning = asyncio.Lock()
        self._learn_at = float("-inf")
        self.shared: tuple[QueueView, frozenset[tuple[SweepName, int]]] | None = None  # for which limits were told
        self.limited: dict[int, int] = {}  # what arrays were told, and no listing has shown so far
        self._quiet = 0
        self.listings = 0  # clean ones
        self.submissions = 0  # that were begun
        self._submitted_at = float("-inf")
        self.portion = PORTION_MAX  # the most attempts of one submission, as far as limits were reached lately
        self._instance = instance
        self._link = link
        self._clock = clock
        self._session: Session | None = None
        self._ruler = Ruler(daemon=daemon, earlier=earlier)
        self._state = SourceState(up=False, reason="NotConnected", message="", hello=None, since=clock.now())

    @property
    def state(self) -> SourceState:
        return self._state

    def listed(self, queue: QueueView) -> None:
        """What the newest clean listing of its scheduler came to."""
        self._quiet = self._quiet + 1 if queue == self.queue else 0
        self.listings += 1
        self.queue = queue
        silent = {array.number for array in queue.arrays if array.limit is None}
        self.limited = {number: limit for number, limit in self.limited.items() if number in silent}

    def pause_s(self, every_s: float) -> float:
        """Seconds until its scheduler is to be asked for its queue again."""
        if not self.dialect.limits.adaptive:
            return every_s
        return pause_s(
            every_s,
            quiet=self._quiet,
            turn=self.listings,
            seed=sum(f"{self.daemon} {self.config.name}".encode()),
            site=self.site,
        )

    @property
    def slots(self) -> int:
        """How many attempts may be there at once: what the operator says, and no more than its scheduler takes."""
        most = None if self.site is None else self.site.jobs_max
        return self.config.slots if most is None else min(self.config.slots, max(1, most))

    async def learn(self) -> bool:
        """Find out what its scheduler bears, once in each session and again from time to time; whether that took time.

        Whoever submits needs it first. What is not told leaves the operator's limits as they are. Raises as `ask`.
        """
        if self._surveyed is None:
            return False
        waited = self._learning.locked()
        async with self._learning:
            if self._clock.elapsed() < self._learn_at:
                return waited
            self._learn_at = self._clock.elapsed() + UNLEARNT_AGAIN_S
            try:
                told = await self._patiently(self._surveyed.survey())
            except ReconcilerError as error:
                if isinstance(error, LinkError | Fenced):
                    raise
                if isinstance(error, Busy):
                    self._learn_at = self._clock.elapsed() + SURVEYED_EVERY_S
                return True
            if told is not None:
                self._learn_at = self._clock.elapsed() + LEARNT_AGAIN_S
                self.site, self.dialect = told, self._surveyed.within(told)
            return True

    async def turn(self) -> bool:
        """Wait until the next submission is polite; whether that took any time."""
        learnt = await self.learn()
        wait_s = self._submitted_at + self.dialect.limits.submit_every_s - self._clock.elapsed()
        if wait_s > 0:
            await self._clock.sleep(wait_s)
        self._submitted_at = self._clock.elapsed()
        self._quiet = 0
        self.submissions += 1
        return learnt or wait_s > 0

    def taken(self, count: int) -> None:
        """So many were taken at once: twice as many may be the next time."""
        self.portion = min(PORTION_MAX, max(self.portion, 2 * count))

    def too_many(self, count: int) -> None:
        """A limit kept so many out, all of them: others may have filled it in part, and half of them may fit."""
        self.portion = max(1, count // 2)

    @property
    def daemon(self) -> str:
        """A name that no other daemon has, nor this one after a restart."""
        return self._ruler.daemon

    async def connect(self) -> Hello:
        """Open a new session; an earlier one is closed first, so that it cannot be told things any more.

        Raises NotSent, NoReply, Refused (the root belongs to another instance), Fenced (another daemon has ruled it
        since) or Garbled.
        """
        await self.aclose()
        config = self.config
        try:
            session = await self._link.open(
                instance=self._instance, root=config.root, slots=config.slots, gpus=config.gpus, ruler=self._ruler
            )
        except ReconcilerError as error:
            self._down(error)
            self._state = replace(self._state, failures=self._state.failures + 1)
            raise
        self._session = session
        self._learn_at = float("-inf")
        self._ruler = replace(self._ruler, after=session.hello.epoch)
        self._state = replace(
            self._state,
            up=True,
            reason="Connected",
            message="",
            advice="",
            hello=session.hello,
            since=self._clock.now(),
            sessions=self._state.sessions + 1,
        )
        return session.hello

    async def look(self) -> Probe:
        """Ask for a sign of life, and remember what it tells. Raises as `ask`."""
        began, asked_at = self._clock.elapsed(), self._clock.now()
        seen = await self.ask(probe())
        latency_s = self._clock.elapsed() - began
        skew_s = seen.clock - (asked_at + latency_s / 2)
        self._state = replace(self._state, probe=seen, latency_s=latency_s, clock_skew_s=skew_s)
        if self._state.survey is None and self.config.host is not None:
            await self._look_round()
        await self.learn()
        return seen

    async def _look_round(self) -> None:
        """Find out once what the machine has. Raises as `ask`; what is not understood is not told."""
        try:
            told = await self._patiently(survey())
            self._state = replace(self._state, survey=told)
        except ReconcilerError as error:
            if isinstance(error, LinkError | Fenced):
                raise

    async def _patiently(self, exchange: Exchange[T]) -> T:
        """The answer to what may take a while. Raises as `ask`.

        Signs of life are asked for meanwhile: an agent that hangs must not look busy.
        """
        asked = asyncio.ensure_future(self.ask(exchange))
        try:
            while not (await asyncio.wait({asked}, timeout=SURVEYED_EVERY_S))[0]:
                await self.ask(probe())
            return await asked
        finally:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    async def ask(self, exchange: Exchange[T]) -> T:
        """The parsed answer. Raises what `Session.ask` raises, and Garbled when the answer is not understood."""
        if self._session is None:
            raise NotSent("NotConnected", f"source {self.config.name} is not connected")
        try:
            reply = await self._session.ask(exchange.request)
        except (LinkError, Fenced) as error:
            self._down(error)
            raise
        return exchange.parse(reply)

    async def pushes(self) -> AsyncIterator[Sequence[Found]]:
        """Pages of evidence of the present session, in order; ends when it ends."""
        session = self._session
        if session is None:
            return
        async for page in session.pushes():
            yield page
        if session is self._session:
            self._down(NotSent("SessionEnded", "the agent has gone, or the connection to it: it is opened again"))

    async def aclose(self) -> None:
        """Close the session, if there is one. Tasks live on."""
        session, self._session = self._session, None
        if session is not None:
            if self._state.up:  # else it is known why not
                self._down(NotSent("Closed", ""))
            await session.aclose()

    def _down(self, error: ReconcilerError) -> None:
        since = self._state.since if not self._state.up else self._clock.now()
        self._state = replace(
            self._state, up=False, reason=error.reason, message=error.message, advice=error.hint, since=since
        )


def next_delay(failures: int) -> float:
    """Seconds to wait before connecting again, after `failures` ≥ 1 failures in a row: 1, 2, 4 … at most 60."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(max(failures, 1) - 1, 16))


def acknowledge(eids: Sequence[Eid]) -> Exchange[None]:
    """These exit records are committed: the agent need not tell them again."""
    return Exchange(request=Request(op="ack", body={"eids": list(eids)}), parse=_nothing)


def forget(eids: Sequence[Eid]) -> Exchange[None]:
    """These attempts' directories may go."""
    return Exchange(request=Request(op="forget", body={"eids": list(eids)}), parse=_nothing)


def outputs(eids: Sequence[Eid], limit: int) -> Exchange[Mapping[Eid, Mapping[str, Output]]]:
    """The files that these attempts have written, as many attempts as fit into an answer: the first one at least.

    limit: bytes; longer files are told as their beginning and their end.
    """
    request = Request(op="outputs", body={"eids": list(eids), "limit": limit}, timeout_s=FILES_TIMEOUT_S)
    return Exchange(request=request, parse=lambda reply: outputs_from_json(reply.body.get("outputs")))


def read(eid: Eid, name: str, offset: int, length: int) -> Exchange[Piece]:
    """At most `length` bytes (and 256 KiB) of a file of one attempt, named as in `outputs`."""
    body: dict[str, Json] = {"eid": eid, "name": name, "offset": offset, "length": length}
    request = Request(op="read", body=body, timeout_s=FILES_TIMEOUT_S)
    return Exchange(request=request, parse=lambda reply: piece_from_json(reply.body))


def probe() -> Exchange[Probe]:
    """The source's own view of itself."""
    return Exchange(
        request=Request(op="probe", body={}, timeout_s=10.0), parse=lambda reply: probe_from_json(reply.body)
    )


def survey() -> Exchange[Survey]:
    """What the source's machine has."""
    request = Request(op="survey", body={}, timeout_s=SURVEY_TIMEOUT_S)
    return Exchange(request=request, parse=lambda reply: survey_from_json(reply.body))


def _nothing(reply: Reply) -> None:
    del reply
