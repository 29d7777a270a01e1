"""The loop of one source, beside a repository and a store, against an agent that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from acceptance_lab import AcceptanceLab
from some_stock import only_self
from virtual_clock import VirtualClock

from reconciler.controller.placement import place
from reconciler.core.errors import Refused
from reconciler.core.model import Attempt, Code, Eid, HostIdentity, InstanceId, Json, SourceName, SweepName
from reconciler.core.settings import SourceConfig
from reconciler.core.wire import Found, Hello, Reply, Request
from reconciler.dialects.process import ProcessDialect
from reconciler.links.base import NEWCOMER, Ruler
from reconciler.project import Projects
from reconciler.source import Source
from reconciler.sourceloop import SourceLoop

HOME = HostIdentity(host="h", machine="m", boot="b")
LAPTOP = SourceName("laptop")
NOTHING: dict[str, Json] = {
    "staged": False,
    "waiting": False,
    "claim": None,
    "lock": "unknown",
    "exit": None,
    "refused": "",
    "directory": "",
}


class Agent:
    """A session with an agent that has room for everything, and keeps what it was asked."""

    def __init__(self) -> None:
        self.hello = Hello(identity=HOME, epoch=1, python="3.6.0", root="/r", clock=5.0, owner=InstanceId("aaaa"))
        self.asked: list[Request] = []
        self.unreadable: set[Eid] = set()
        self.cannot_bring: set[str] = set()
        self.may_bring = asyncio.Event()
        self.may_bring.set()
        self.may_look = asyncio.Event()
        self.may_look.set()
        self.news: asyncio.Queue[Sequence[Found]] = asyncio.Queue()
        self.at_login: Callable[[], Awaitable[None]] | None = None

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> Agent:
        if self.at_login is not None:
            await self.at_login()
        return self

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        await asyncio.sleep(0)
        body = request.body
        match request.op:
            case "start":
                eids = [spec["eid"] for spec in body["attempts"] if spec["eid"] not in self.unreadable]
                return Reply(body={"outcomes": dict.fromkeys(eids, "accepted")})
            case "inspect":
                await self.may_look.wait()
                return Reply(body={"found": {eid: NOTHING for eid in body["eids"] if eid not in self.unreadable}})
            case "cancel":
                started = self.named("start")
                outcomes = {eid: "signalled" if eid in started else "revoked" for eid in body["eids"]}
                return Reply(body={"outcomes": outcomes})
            case "worktree":
                await self.may_bring.wait()
                if body["commit"] in self.cannot_bring:
                    raise Refused("WorktreeFailed", "no room")
                return Reply(body={"path": f"/w/{body['commit']}"})
            case "tidy":
                return Reply(body={"worktrees": 0, "removed": 0})
            case "probe":
                told = {"cpus": 1, "load1": 0.0, "memory_mib": 1, "memory_free_mib": 1, "disk_free_mib": 1, "clock": 0}
                return Reply(body=told)
        return Reply(body={})

    async def pushes(self) -> AsyncIterator[Sequence[Found]]:
        while True:
            yield await self.news.get()

    async def aclose(self) -> None:
        pass

    def named(self, op: str) -> list[str]:
        """The attempts in all requests of this kind, in order."""
        if op == "start":
            return [spec["eid"] for each in self.asked if each.op == op for spec in each.body["attempts"]]
        return [eid for each in self.asked if each.op == op for eid in each.body["eids"]]


class Lab(AcceptanceLab):
    """A source loop beside the repository and the store. `clock` is the passes', `time` the loop's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.time = VirtualClock()
        self.agent = Agent()
        config = SourceConfig(name=LAPTOP, root="/r", slots=1000)
        source = Source(
            config=config,
            instance=InstanceId("aaaa"),
            daemon="d1",
            dialect=ProcessDialect(),
            link=self.agent,
            clock=self.time,
        )
        self.projects = Projects(source, only_self(folder / "mirror"), self.time)
        self.loop = SourceLoop(
            source,
            store=self.store,
            catalog=self.catalog,
            projects=self.projects,
            clock=self.time,
            notify=lambda changed: None,
        )
        self.running = asyncio.ensure_future(self.loop.run())

    async def dispatch(self) -> dict[str, list[str]]:
        """Place what may start, let the loop act, and return the holds by sweep."""
        await self.time.settle()
        placed = place(self.store, self.catalog, {LAPTOP: self.loop}, self.time.now())
        self.loop.kick()
        await self.time.settle()
        return {str(name): [hold.reason for hold in holds] for name, holds in placed.holds.items()}

    async def accept(self, **sweeps: str) -> None:
        self.commit(**sweeps)
        await self.acceptance.run()

    def pin(self, name: str) -> str:
        return str(self.code(name).pin)

    def code(self, name: str) -> Code:
        sweep = self.catalog.get(SweepName(name))
        assert sweep is not None
        assert sweep.code is not None
        return sweep.code

    def open(self) -> list[Attempt]:
        return self.store.open_attempts(LAPTOP)

    async def again(self) -> None:
        """The session ends, and nothing of it is remembered but what the store has; then the next one begins."""
        await self.stop()
        self.agent.asked.clear()
        self.running = asyncio.ensure_future(self.loop.run())
        await self.time.settle()

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    async def close(self) -> None:
        await self.stop()
        self.store.close()
