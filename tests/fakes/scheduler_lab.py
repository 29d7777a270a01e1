"""A source loop before a scheduler that says what the test wants: what it lists, accepts, loses and answers.

lab = SchedulerLab(tmp_path); await lab.start(3); lab.far.jobs.clear(); await lab.minutes(5)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from acceptance_lab import AcceptanceLab
from some_stock import only_self
from virtual_clock import VirtualClock

from reconciler.controller.placement import place
from reconciler.core.jobs import Account, Job, JobState, Listing, Wait
from reconciler.core.model import Attempt, Eid, HostIdentity, InstanceId, SourceName
from reconciler.core.settings import SourceConfig
from reconciler.core.wire import (
    AttemptSpec,
    CancelOutcome,
    Claim,
    ClaimKind,
    Exchange,
    ExitRecord,
    Found,
    Hello,
    Reply,
    Request,
    RevokeOutcome,
    StartOutcome,
)
from reconciler.dialects.base import Limits
from reconciler.links.base import NEWCOMER, Ruler
from reconciler.project import Projects
from reconciler.source import Source
from reconciler.sourceloop import SourceLoop
from reconciler.store import Store

LOGIN = HostIdentity(host="login1", machine="l1", boot="b1")
CLUSTER = SourceName("cluster")
LIMITS = Limits(batch_max=100, inspect_max=100, settle_s=180.0, poll_s=30.0)
T = TypeVar("T")


class ScheduledDialect:
    """Bodies are Python values: what a scheduler prints is not what is tested here."""

    limits = LIMITS

    def submit(self, batch: Sequence[AttemptSpec]) -> Exchange[Mapping[Eid, StartOutcome]]:
        return _exchange("submit", [spec.eid for spec in batch])

    def inspect(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, Found]]:
        return _exchange("inspect", list(eids))

    def revoke(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, RevokeOutcome]]:
        return _exchange("revoke", list(eids))

    def cancel(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, CancelOutcome]]:
        return _exchange("cancel", list(eids))

    def restrict(self, limits: Mapping[Eid, int]) -> Exchange[Collection[Eid]]:
        request = Request(op="restrict", body={"eids": list(limits), "limits": list(limits.values())})
        return Exchange(request=request, parse=lambda reply: reply.body["answer"])


def _exchange(op: str, eids: list[Eid]) -> Exchange[Any]:
    return Exchange(request=Request(op=op, body={"eids": eids}), parse=lambda reply: reply.body["answer"])


class Far:
    """The far side: `answers` are given in turn to submissions (an error is raised); otherwise all is accepted."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.hello = Hello(identity=LOGIN, epoch=1, python="3.6.0", root="/r", clock=1000.0, owner=InstanceId("aaaa"))
        self.asked: list[tuple[str, list[Eid]]] = []
        self.jobs: set[Eid] = set()  # in the queue
        self.claims: dict[Eid, Claim] = {}
        self.exits: dict[Eid, ExitRecord] = {}
        self.accounts: dict[Eid, Account] = {}
        self.waits: dict[Eid, Wait] = {}
        self.arrays: dict[Eid, int] = {}  # by attempt
        self.limits: dict[int, int] = {}  # by array
        self.restricted: list[list[int]] = []  # what was told of arrays, question by question
        self.heeds_limits = True
        self.said = ""  # by jobs that ended before they had claimed anything
        self.listing = Listing.CLEAN
        self.shown: Callable[[set[Eid]], set[Eid]] = lambda jobs: jobs
        self.answers: list[Exception | list[Eid]] = []
        self.at_submission: Callable[[list[Eid]], None] = lambda eids: None
        self.submission_s = 0.0
        self.inspection_s = 0.0
        self.news: asyncio.Queue[Sequence[Found]] = asyncio.Queue()
        self.sessions = 0

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> Far:
        self.sessions += 1
        self.hello = replace(self.hello, epoch=self.sessions, clock=1000.0 + self.clock.elapsed())
        return self

    async def ask(self, request: Request) -> Reply:
        eids: list[Eid] = list(request.body.get("eids", ()))
        self.asked.append((request.op, eids))
        await asyncio.sleep(0)
        match request.op:
            case "submit":
                return Reply(body={"answer": await self._submitted(eids)})
            case "inspect":
                found = {eid: self._found(eid) for eid in eids}
                if self.inspection_s:
                    await self.clock.sleep(self.inspection_s)
                return Reply(body={"answer": found})
            case "revoke" | "cancel":
                kind = RevokeOutcome if request.op == "revoke" else CancelOutcome
                return Reply(body={"answer": {eid: self._revoked(eid, kind) for eid in eids}})
            case "restrict":
                limits = request.body["limits"]
                assert isinstance(limits, list)
                self.restricted.append([int(str(limit)) for limit in limits])
                if self.heeds_limits:
                    self.limits.update((self.arrays[eid], int(str(n))) for eid, n in zip(eids, limits, strict=True))
                return Reply(body={"answer": eids if self.heeds_limits else []})
            case "worktree":
                return Reply(body={"path": "/w"})
            case "tidy":
                return Reply(body={"worktrees": 0, "removed": 0})
            case "probe":
                told = {"cpus": 1, "load1": 0.0, "memory_mib": 1, "memory_free_mib": 1, "disk_free_mib": 1, "clock": 0}
                return Reply(body=told)
        return Reply(body={})

    async def _submitted(self, eids: list[Eid]) -> dict[Eid, StartOutcome]:
        self.at_submission(eids)
        if self.submission_s:
            await self.clock.sleep(self.submission_s)
        answer = self.answers.pop(0) if self.answers else eids
        if isinstance(answer, Exception):
            raise answer
        self.jobs.update(answer)
        self.arrays.update(dict.fromkeys(answer, len(self.arrays)))
        return dict.fromkeys(answer, StartOutcome.ACCEPTED)

    def _found(self, eid: Eid) -> Found:
        clean = self.listing is Listing.CLEAN
        job = (
            Job(
                id="7",
                state=JobState.RUNNING if eid in self.claims else JobState.WAITING,
                wait=self.waits.get(eid),
                array=self.arrays.get(eid),
                limit=self.limits.get(self.arrays.get(eid, -1), 0),
            )
            if clean and eid in self.shown(self.jobs)
            else None
        )
        account = self.accounts.get(eid) if clean else None
        claim, end = self.claims.get(eid), self.exits.get(eid)
        said = self.said if job is None and claim is None else ""
        return Found(
            eid=eid,
            staged=True,
            claim=claim,
            exit=end,
            listing=self.listing,
            job=job,
            account=account,
            said=said,
        )

    def _revoked(self, eid: Eid, kind: type[RevokeOutcome] | type[CancelOutcome]) -> RevokeOutcome | CancelOutcome:
        if eid not in self.claims:
            self.claims[eid] = Claim(kind=ClaimKind.REVOKED, at=self.clock.now(), home=LOGIN)
        if self.claims[eid].kind is ClaimKind.REVOKED:
            return kind.REVOKED
        return CancelOutcome.SIGNALLED if kind is CancelOutcome else RevokeOutcome.CLAIMED

    async def pushes(self) -> AsyncIterator[Sequence[Found]]:
        while True:
            yield await self.news.get()

    async def aclose(self) -> None:
        pass

    # -- what happens

    def start(self, *eids: Eid) -> None:
        """Their shims win their claims on a node."""
        node = HostIdentity(host="n1", machine="x", boot="y")
        for eid in eids:
            at = 1000.0 + self.clock.elapsed()
            claim = Claim(kind=ClaimKind.STARTED, at=at, home=node, nonce=f"nonce {eid}", job="7")
            self.claims[eid] = claim

    def named(self, op: str) -> list[Eid]:
        """The attempts in all questions of this kind, in order."""
        return [eid for asked, eids in self.asked for eid in eids if asked == op]


class SchedulerLab(AcceptanceLab):
    """A source loop beside the repository and the store."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.time = VirtualClock()
        self.far = Far(self.time)
        self._begin()

    def _begin(self) -> None:
        source = Source(
            config=SourceConfig(name=CLUSTER, scheduler="slurm", root="/r", slots=100),
            instance=InstanceId("aaaa"),
            daemon="d1",
            dialect=ScheduledDialect(),
            link=self.far,
            clock=self.time,
        )
        self.loop = SourceLoop(
            source,
            store=self.store,
            catalog=self.catalog,
            projects=Projects(source, only_self(self.folder / "mirror"), self.time),
            clock=self.time,
            notify=lambda changed: None,
        )
        self.running = asyncio.ensure_future(self.loop.run())

    async def accept(self, count: int, **options: str) -> None:
        """A sweep of so many tasks is desired."""
        more = "".join(f", {name}: {value}" for name, value in options.items())
        self.commit(s=f"{{x: {list(range(count))}}}{more}")
        await self.acceptance.run()
        await self.time.settle()

    def intend(self) -> None:
        """What waits is placed."""
        place(self.store, self.catalog, {CLUSTER: self.loop}, self.time.now())

    async def dispatch(self) -> None:
        """What waits is placed, and the loop acts."""
        await self.time.settle()
        self.intend()
        self.loop.kick()
        for _ in range(3):
            await self.time.settle()

    async def start(self, count: int, **options: str) -> list[Eid]:
        """So many attempts are submitted; in declared order."""
        await self.accept(count, **options)
        await self.dispatch()
        return [attempt.eid for attempt in self.open()]

    async def minutes(self, minutes: float) -> None:
        await self.time.advance(60 * minutes)

    async def crash(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """The daemon is killed, and started again on the same state."""
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        self.store.close()
        meanwhile()
        self.store = Store.create(self.folder / "state", instance=InstanceId("aaaa"), at=self.time.now())
        self.restart()
        self._begin()
        await self.time.settle()

    def open(self) -> list[Attempt]:
        return sorted(self.store.open_attempts(CLUSTER), key=lambda attempt: attempt.intended_at)

    def attempt(self, eid: Eid) -> Attempt:
        return self.store.attempts_by_eid([eid])[eid]

    async def close(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        self.store.close()
