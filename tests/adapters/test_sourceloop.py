"""The loop of one source, against an agent that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from acceptance_lab import AcceptanceLab
from virtual_clock import VirtualClock

from reconciler.controller.placement import place
from reconciler.core.diagnosis import lost
from reconciler.core.errors import Refused
from reconciler.core.model import Attempt, Eid, HostIdentity, InstanceId, Json, SourceName, SweepName
from reconciler.core.settings import SourceConfig
from reconciler.core.wire import Claim, ClaimKind, Ended, ExitRecord, Found, Hello, Reply, Request
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
        self.news: asyncio.Queue[Sequence[Found]] = asyncio.Queue()

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> Agent:
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
        self.projects = Projects(source, folder / "mirror", self.time)
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
        sweep = self.catalog.get(SweepName(name))
        assert sweep is not None
        return str(sweep.pin)

    def open(self) -> list[Attempt]:
        return self.store.open_attempts(LAPTOP)

    async def close(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        self.store.close()


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    await lab.close()


async def test_code_that_cannot_be_brought_holds_its_sweep_and_no_other(lab: Lab) -> None:
    await lab.accept(good="{x: [1, 2]}")
    await lab.accept(bad="{x: [1, 2]}")
    lab.agent.cannot_bring = {lab.pin("bad")}

    await lab.dispatch()
    holds = await lab.dispatch()

    assert {"good"} == {attempt.key.sweep for attempt in lab.open() if not attempt.cancel}
    assert (2, ["ProjectNotReady"]) == (len(lab.agent.named("start")), holds["bad"])
    assert lab.loop.ready


async def test_tasks_that_fit_no_source_hide_no_others_however_many_they_are(lab: Lab) -> None:
    points = "{g: [1, 0], x: {range: {start: 0, stop: 1500, step: 1}}}"
    await lab.accept(s=f'{points}, resources: {{gpus: "$(g)"}}')

    await lab.dispatch()

    assert [0] * 1000 == [attempt.resources.gpus for attempt in lab.open()]


async def test_code_that_could_not_be_brought_is_tried_again(lab: Lab) -> None:
    await lab.accept(bad="{x: [1]}")
    lab.agent.cannot_bring = {lab.pin("bad")}
    await lab.dispatch()
    assert lab.projects.problem(lab.pin("bad"))

    lab.agent.cannot_bring = set()
    await lab.time.advance(45)
    lab.loop.kick()
    await lab.time.settle()

    assert None is lab.projects.problem(lab.pin("bad"))


async def test_code_that_is_tried_again_is_waited_for_without_an_instant_that_has_passed(lab: Lab) -> None:
    await lab.accept(bad="{x: [1]}")
    lab.agent.cannot_bring = {lab.pin("bad")}
    await lab.dispatch()
    lab.agent.may_bring.clear()
    await lab.time.advance(45)

    placed = place(lab.store, lab.catalog, {LAPTOP: lab.loop}, lab.time.now())

    assert ["ProjectNotReady"] == [hold.reason for hold in placed.holds[SweepName("bad")]]
    assert placed.wake_at is None


async def test_an_intent_whose_spec_changes_while_its_code_is_brought_is_given_up(lab: Lab) -> None:
    await lab.accept(s="{x: [1, 2]}")
    lab.agent.may_bring.clear()
    await lab.dispatch()
    intended = lab.open()
    lab.origin.write("sweeps.d/s.yaml", (lab.origin.directory / "sweeps.d/s.yaml").read_text().replace("[x]", "[y]"))
    await lab.accept()

    lab.agent.may_bring.set()
    await lab.time.settle()

    ended = lab.store.attempts_by_eid(attempt.eid for attempt in intended).values()
    assert ([], ["Outdated"] * 2) == (lab.agent.named("start"), [attempt.reason for attempt in ended])


async def test_an_attempt_that_could_not_be_read_is_looked_at_again(lab: Lab) -> None:
    await lab.accept(s="{x: [1]}")
    await lab.dispatch()
    (attempt,) = lab.open()
    started = lab.agent.named("start")

    await lab.time.advance(20)  # the agent has lost it, without a word
    await lab.time.settle()

    assert [attempt.eid] == started
    assert attempt.eid in lab.agent.named("inspect")
    assert [attempt.eid] * 2 == lab.agent.named("start")


async def test_an_attempt_that_the_source_cannot_read_is_told_and_does_not_make_us_ask_without_end(lab: Lab) -> None:
    await lab.accept(s="{x: [1, 2]}")
    await lab.time.settle()
    place(lab.store, lab.catalog, {LAPTOP: lab.loop}, lab.time.now())
    bad, good = sorted(attempt.eid for attempt in lab.open())
    lab.agent.unreadable = {bad}

    lab.loop.kick()
    for _ in range(5):
        await lab.time.settle()
    assert (1, 2) == (lab.agent.named("start").count(good), lab.agent.named("start").count(bad))

    await lab.time.advance(16)
    assert 1 == lab.loop.unresolved(SweepName("s"))


async def test_all_that_is_to_be_cancelled_is_told_so_at_once(lab: Lab) -> None:
    await lab.accept(s="{x: {range: {start: 0, stop: 700, step: 1}}}")
    await lab.dispatch()
    lab.store.intend_cancel([attempt.eid for attempt in lab.open()], "SweepCancelled", lab.time.now())

    lab.loop.kick()
    for _ in range(5):
        await lab.time.settle()

    assert 700 == len(set(lab.agent.named("cancel"))) == len(lab.agent.named("cancel"))


async def test_a_cancellation_is_asked_for_again_though_the_wall_clock_was_set_back(lab: Lab) -> None:
    await lab.accept(s="{x: [1]}")
    await lab.dispatch()
    lab.store.intend_cancel([attempt.eid for attempt in lab.open()], "SweepCancelled", lab.time.now())
    lab.loop.kick()
    await lab.time.settle()
    lab.time.jump(-3600)

    await lab.time.advance(11)
    lab.loop.kick()
    await lab.time.settle()

    assert 2 == len(lab.agent.named("cancel"))


async def test_what_a_person_says_is_dead_is_not_unresolved_any_more(lab: Lab) -> None:
    await lab.accept(s="{x: [1]}")
    await lab.dispatch()
    (attempt,) = lab.open()
    claim = Claim(kind=ClaimKind.STARTED, at=1.0, home=replace(HOME, machine="other"), nonce="n")
    for _ in range(2):
        lab.agent.news.put_nowait([Found(eid=attempt.eid, staged=True, claim=claim)])
        await lab.time.advance(0.1)
    assert 1 == lab.loop.unresolved()
    (running,) = lab.open()

    dead = lost(running, lab.time.now(), "a person said so")
    task = lab.store.task(attempt.key.task_key)
    lab.store.record([(dead, lab.catalog.settled(task, dead, lab.time.now()))], lab.time.now())

    assert 0 == lab.loop.unresolved()


@pytest.mark.parametrize(("policy", "waiting"), [("Rerun", 1), ("Keep", 0)])
async def test_a_success_of_other_work_under_the_same_number_counts_as_outdated(
    lab: Lab, policy: str, waiting: int
) -> None:
    await lab.accept(s=f"{{x: [1]}}, updatePolicy: {policy}")
    await lab.dispatch()
    (attempt,) = lab.open()
    claim = Claim(kind=ClaimKind.STARTED, at=1.0, home=HOME, nonce="n", digest="f" * 16)
    record = ExitRecord(nonce="n", started_at=1.0, ended_at=2.0, ended_by=Ended.ITSELF, exit_code=0)

    lab.agent.news.put_nowait([Found(eid=attempt.eid, staged=True, claim=claim, exit=record)])
    await lab.time.advance(0.1)

    (told,) = lab.store.attempts(attempt.key.task_key)
    assert ("f" * 16, waiting) == (told.digest, lab.may_start())
