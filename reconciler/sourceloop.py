"""The loop of one source: connect, look at everything that is open there, then listen and act until the session ends.

What it does is level-triggered: `kick` only says "look at the store". Whatever the reason for a lost session, the next
one begins with a look at every open attempt, and only then is anything submitted again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from reconciler import apply, marks
from reconciler.catalog import Catalog
from reconciler.clock import Clock
from reconciler.collect import Collector
from reconciler.core.dispatch import Hold
from reconciler.core.errors import Damaged, Fenced, ReconcilerError
from reconciler.core.model import Code, Eid, SourceName, SweepName
from reconciler.core.status import Problem
from reconciler.core.waiting import view
from reconciler.core.wire import PAGE, Found
from reconciler.crashpoints import crashpoint
from reconciler.hearsay import Hearsay
from reconciler.observe import Observation, observe
from reconciler.project import Projects
from reconciler.source import Source, acknowledge, next_delay
from reconciler.store import Store

log = logging.getLogger("reconciler.source")

PREFETCH_WINDOW_S = 0.5  # the source may queue as many attempts as have ended in this window
PREFETCH_MAX = 400
BUSY_ENDS = 8  # as many ends in that window make a source busy
GATHER_S = 0.03  # news of a busy source is gathered for so long: each recording waits once for the disk
PROBE_EVERY_S = 15.0
AUDIT_MAX = 100  # attempts looked at again with each probe
CODE_EVERY_S = 10.0
FENCED_DELAY_S = 300.0  # somebody newer owns the root: do not fight over it
HELD_AGAIN_S = 0.2
REFUSED_DELAY_S = 5.0  # the source could not stage (a full disk, say)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What the controller should look at after a source has told something."""

    source: SourceName
    sweeps: frozenset[SweepName]
    urgent: bool  # False: the source has enough to do for the moment


class SourceLoop:
    """Keeps one source and the store in agreement. `notify` is called after anything has changed."""

    def __init__(
        self,
        source: Source,
        *,
        store: Store,
        catalog: Catalog,
        projects: Projects,
        clock: Clock,
        notify: Callable[[Changed], None],
    ) -> None:
        self.source = source
        self._store = store
        self._catalog = catalog
        self.projects = projects
        projects.stirred = self.kick
        self._clock = clock
        self._notify = notify
        self.collector: Collector | None = None
        self._wake = asyncio.Event()
        self._wanted = asyncio.Event()
        self._recorded = asyncio.Event()
        self._to_acknowledge: list[Eid] = []
        self._settled = False  # this session has looked at everything that was open
        self.judged = False  # it was reached, or could not be, since this daemon began
        self.held: Callable[[], bool] = lambda: False  # whether other sources are still to be asked what lies there
        self._asked: dict[Eid, float] = {}
        self._unresolved: dict[Eid, SweepName] = {}
        self._refused = ""  # what the source said when it could not even start something
        self._pause_until = 0.0
        self._refusals = 0  # in a row, before anything started
        self._ends: deque[tuple[float, int]] = deque(maxlen=PREFETCH_MAX)  # more are not counted
        self._flying: set[Eid] = set()  # the scheduler is being told of them
        self._hearsay = Hearsay()

    @property
    def name(self) -> SourceName:
        return self.source.config.name

    @property
    def ready(self) -> bool:
        """Whether new attempts may be placed here."""
        return self.source.state.up and self._settled and not self._refused

    @property
    def problem(self) -> Problem | None:
        """Why it cannot be used, if it cannot."""
        state = self.source.state
        if not state.up:
            return Problem(reason=state.reason, message=state.message)
        return Problem(reason="CannotStage", message=self._refused) if self._refused else None

    @property
    def untried(self) -> bool:
        """Whether it was never connected to so far: then nothing is known of it, neither good nor bad."""
        state = self.source.state
        return state.hello is None and state.reason == "NotConnected"

    @property
    def beginning(self) -> bool:
        """Whether it may become ready by itself soon: not tried so far, or still looking at what was open there."""
        return not self.ready and (self.untried or self.problem is None)

    def unresolved(self, sweep: SweepName | None = None) -> int:
        """Attempts (of one sweep) whose fate the evidence does not tell."""
        if self._unresolved:  # somebody may have said meanwhile that they are dead
            known = self._store.attempts_by_eid(self._unresolved)
            self._unresolved = {eid: each.key.sweep for eid, each in known.items() if each.phase.active}
        return len(self._unresolved) if sweep is None else Counter(self._unresolved.values())[sweep]

    def code_problem(self, code: Code | None) -> Hold | None:
        """Why nothing that runs this code can start here."""
        return code and self.projects.problem(code)

    def prefetch(self) -> int:
        """How many attempts the source may queue beyond its slots: as many as it has just finished, so that ends are
        followed by starts without a round trip, while long tasks are never bound to a source before they can start."""
        if not self.source.dialect.limits.prefetch:
            return 0
        oldest = self._clock.elapsed() - PREFETCH_WINDOW_S
        return min(PREFETCH_MAX, sum(count for at, count in self._ends if at >= oldest))

    @property
    def busy(self) -> bool:
        """Whether short tasks end in quick succession: then a moment's delay costs nothing, and saves much."""
        return self.prefetch() >= BUSY_ENDS

    def kick(self) -> None:
        """The store holds something for this source."""
        self._wake.set()
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled. Tasks on the source live on."""
        failures = 0
        try:
            while True:
                began, sessions = self._clock.elapsed(), self.source.state.sessions
                delay = await self._session()
                lasted = self.source.state.sessions > sessions and self._clock.elapsed() - began > PROBE_EVERY_S
                failures = 1 if lasted else failures + 1  # a login that hangs is no session
                await self._clock.sleep(delay if delay is not None else next_delay(failures))
        finally:
            await self.source.aclose()

    async def _session(self) -> float | None:
        """One session, from hello to its end; returns how long to wait before the next one, None for the usual."""
        self._settled = False
        self._to_acknowledge.clear()  # a new session tells again what was not acknowledged
        try:
            hello = await self.source.connect()
            self._hearsay.begin(hello.clock, self._clock.elapsed())
            crashpoint("source.connected")
            log.info("source connected", extra={"source": self.name, "epoch": hello.epoch})
            if marks.is_older(self._store, self.source, hello.mark):
                names = await marks.write_down_names(self.source, self._store)
                log.warning("the state is older than its source", extra={"source": self.name, "names": names})
            await self._look_at([attempt.eid for attempt in self._store.open_attempts(self.name)])
            crashpoint("source.looked")
            self._settled = self.judged = True
            self._changed(frozenset())
            await self._serve()
        except Damaged:  # with such a state nobody may go on
            raise
        except Fenced as error:
            self._lost(error)
            return FENCED_DELAY_S
        except ReconcilerError as error:
            self._lost(error)
        except Exception:  # a defect that one source brings to light must not stop the others
            log.exception("source lost by a defect: please report it", extra={"source": self.name})
        finally:
            self._settled = False
            self.judged = True
            await self.source.aclose()
            self._changed(frozenset())
        return None

    async def _serve(self) -> None:
        """Listen, act and probe side by side; the first to end ends the session."""
        works = [self._listen(), self._acknowledge(), self._act(), self._bring(), self._probe()]
        poll_s = self.source.dialect.limits.poll_s
        works.append(self._audit() if poll_s is None else self._poll(poll_s))
        if self.collector is not None:
            works.append(self.collector.run())
        workers = [asyncio.create_task(work) for work in works]
        try:
            await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
            for worker in workers:
                if worker.done():
                    worker.result()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _listen(self) -> None:
        async for page in self.source.pushes():
            self._take(page)
            await self._clock.sleep(GATHER_S if self.busy else 0.0)

    async def _acknowledge(self) -> None:
        """Let the source forget what is recorded: many at once, and without keeping the next page waiting."""
        while True:
            await self._recorded.wait()
            self._recorded.clear()
            while self._to_acknowledge:
                eids, self._to_acknowledge = self._to_acknowledge[:PAGE], self._to_acknowledge[PAGE:]
                crashpoint("source.acknowledging")
                await self.source.ask(acknowledge(eids))
                crashpoint("source.acknowledged")

    async def _act(self) -> None:
        self._wake.set()
        while True:
            self._wake.clear()
            if self.held():
                await self._pause(self._wake, HELD_AGAIN_S)
                continue
            if self._clock.elapsed() >= self._pause_until:
                self._try_again()
                await self._submit_all()
            await self._cancel_all()
            await self._pause(self._wake, REFUSED_DELAY_S if self._refused else apply.CANCEL_AGAIN_S)

    def _try_again(self) -> None:
        """The pause after a refusal is over: new attempts may come, and tell whether it still refuses."""
        if self._refused:
            self._refused = ""
            self._changed(frozenset())

    async def _submit_all(self) -> None:
        while True:
            done = await apply.submit(self.source, self._store, self._catalog, self.projects, self._clock, self._flying)
            await self._look_at(done.look_at)
            if done.refused:
                self._pause_after(done.refused)
            if done.sent == 0 or self._clock.elapsed() < self._pause_until:
                return

    async def _cancel_all(self) -> None:
        while True:
            done = await apply.cancel(self.source, self._store, self._catalog, self._clock, self._asked)
            await self._look_at(done.look_at)
            if done.sent == 0:
                return
            self._changed(frozenset())

    async def _bring(self) -> None:
        """Bring the code that intents wait for, beside everything else: that may take minutes."""
        while True:
            self._wanted.clear()
            await self.projects.keep({sweep.code for sweep in self._catalog.sweeps() if sweep.code is not None})
            if await self.projects.bring(apply.codes(self.source, self._store, self._catalog)):
                self._wake.set()
                self._changed(frozenset())
            await self._pause(self._wanted, CODE_EVERY_S)

    async def _pause(self, event: asyncio.Event, seconds: float) -> None:
        """Until it happens, or so long."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass

    async def _probe(self) -> None:
        """Ask for a sign of life now and then: a session that hangs must not look healthy."""
        while True:
            await self.source.look()
            self._changed(frozenset())
            await self._clock.sleep(PROBE_EVERY_S)

    async def _audit(self) -> None:
        """Look at a few open attempts now and then, in turn, for what the agent has overlooked."""
        audited: deque[Eid] = deque()
        while True:
            await self._clock.sleep(PROBE_EVERY_S)
            audited.extend(() if audited else (attempt.eid for attempt in self._store.open_attempts(self.name)))
            await self._look_at([audited.popleft() for _ in range(min(len(audited), AUDIT_MAX))])

    async def _poll(self, every_s: float) -> None:
        """Ask the scheduler for everything that may be there, again and again, in one question each time."""
        while True:
            asked_at = self._clock.elapsed()
            opened = self._store.open_attempts(self.name)
            there = [each.eid for each in opened if each.sent_at is not None or each.accepted_at is not None]
            if there:
                page = await self._inspect(there)
                elapsed = self._clock.elapsed()
                jobs = self._hearsay.take(page, flying=self._flying, asked_at=asked_at, elapsed=elapsed)
                if jobs is not None:
                    self.source.listed(view(jobs))
                await self._give_up(self._take(list(page.values())))
            await self._clock.sleep(self.source.pause_s(every_s))

    async def _give_up(self, seen: Observation) -> None:
        if seen.give_up:
            done = await apply.revoke(self.source, self._store, self._catalog, self._clock, seen.give_up)
            # They have begun. If an old answer of a file server says otherwise, the next look may give them up again.
            async for _ in self._looks(done.look_at):
                pass
            self._changed(frozenset())

    async def _look_at(self, eids: Sequence[Eid]) -> None:
        async for seen in self._looks(eids):
            await self._give_up(seen)

    async def _looks(self, eids: Sequence[Eid]) -> AsyncIterator[Observation]:
        most = self.source.dialect.limits.inspect_max
        for first in range(0, len(eids), most):
            page = await self._inspect(eids[first : first + most])
            yield self._take(list(page.values()))

    async def _inspect(self, eids: Sequence[Eid]) -> Mapping[Eid, Found]:
        """What the source tells about them; those that it cannot read are unresolved."""
        page = await self.source.ask(self.source.dialect.inspect(eids))
        unread = self._store.attempts_by_eid(eid for eid in eids if eid not in page)
        self._unresolved.update((eid, attempt.key.sweep) for eid, attempt in unread.items())
        return page

    def _take(self, page: Sequence[Found]) -> Observation:
        """Record a page of evidence; what is recorded the source may forget."""
        hello = self.source.state.hello
        assert hello is not None
        scheduled = self._hearsay.scheduled(self.source.dialect.limits, self._clock.elapsed())
        seen = observe(self._store, self._catalog, hello, page, self._clock.now(), scheduled)
        self._note(page, seen)
        if seen.changed:
            self._changed(seen.changed)
        if seen.acknowledge:
            self._to_acknowledge.extend(seen.acknowledge)
            self._recorded.set()
        return seen

    def _note(self, page: Sequence[Found], seen: Observation) -> None:
        for found in page:
            self._unresolved.pop(found.eid, None)
        self._unresolved.update(seen.unresolved)
        self.source.barred.started(seen.started)
        self._refusals = 0 if seen.started else self._refusals
        if seen.ended:
            self._ends.append((self._clock.elapsed(), seen.ended))
        if seen.refused:
            self._pause_after(seen.refused)
        for sweep in filter(None, map(self._catalog.get, seen.differs)):
            self.projects.doubt(sweep.code)
        if seen.again:
            self._wake.set()

    def _pause_after(self, refused: str) -> None:
        """Longer each time, while nothing starts there; what was refused beside each other is refused once."""
        if self._clock.elapsed() >= self._pause_until:
            self._refusals += 1
            self._pause_until = self._clock.elapsed() + max(REFUSED_DELAY_S, next_delay(self._refusals))
        self._refused = refused
        log.warning("source cannot start attempts", extra={"source": self.name, "why": refused})

    def _changed(self, sweeps: frozenset[SweepName]) -> None:
        self._notify(Changed(source=self.name, sweeps=sweeps, urgent=not self.busy))

    def _lost(self, error: ReconcilerError) -> None:
        log.warning("source lost", extra={"source": self.name, "reason": error.reason, "why": error.message})
