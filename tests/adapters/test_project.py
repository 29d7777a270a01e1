"""The pinned code on a source, where bringing it fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from some_stock import only_self
from virtual_clock import VirtualClock

from reconciler.core.dispatch import Hold
from reconciler.core.errors import Busy, Refused
from reconciler.core.model import Code, Commit
from reconciler.core.settings import SELF
from reconciler.core.wire_code import LaidOut, Tidied
from reconciler.project import AGAIN_S, Brought, Coming, Projects
from reconciler.project.projects import COMING_GRACE_S

CODE = Code(SELF, Commit("a" * 40))
OTHER = Code(SELF, Commit("b" * 40))


class Source:
    """One that has no room for code, `failures` times."""

    config = SimpleNamespace(name="laptop", host=None)
    state = SimpleNamespace(hello=None)

    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def ask(self, exchange: Any) -> Any:
        self.failures -= 1
        if self.failures >= 0:
            raise Busy("Busy", "no room")
        return LaidOut(path="/projects/self", seal="/seal")


async def test_code_is_tried_again_in_time_though_the_clock_was_set_back():
    clock = VirtualClock()
    projects = Projects(Source(failures=1), only_self(Path("/mirror")), clock)
    await projects.bring({CODE})
    clock.jump(-86_400)
    await clock.advance(AGAIN_S)

    await projects.bring(set())
    assert Brought(path="/projects/self", seal="/seal") == projects.found(CODE)


class Sending:
    """A way that must send code first; each takes until the test says that it has come, or how it failed."""

    def __init__(self) -> None:
        self.there: set[Commit] = set()
        self.sending: dict[Commit, asyncio.Future[int]] = {}

    async def bring(self, source: Any, pin: Commit) -> Brought | Coming | Hold:
        if pin in self.there:
            return Brought(path=f"/{pin[0]}")
        return Coming(supply=lambda: self._send(pin))

    async def _send(self, pin: Commit) -> int:
        self.sending[pin] = asyncio.get_running_loop().create_future()
        sent = await self.sending[pin]
        self.there.add(pin)
        return sent


class Bench:
    """What is known of the code on a source to which it is sent."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.way = Sending()
        self.source = Source(failures=0)
        self.source.state = SimpleNamespace(hello="first")
        self.projects = Projects(self.source, {SELF: self.way}, self.clock)
        self.stirred = 0
        self.projects.stirred = self._stir

    def _stir(self) -> None:
        self.stirred += 1

    async def bring(self, *wanted: Code) -> None:
        await self.projects.bring(set(wanted))
        await self.clock.settle()

    def held(self, code: Code) -> str:
        hold = self.projects.problem(code)
        return "" if hold is None else hold.reason


async def test_what_comes_quickly_holds_nothing_and_what_takes_long_does():
    bench = Bench()
    await bench.bring(CODE)
    assert "" == bench.held(CODE)

    await bench.clock.advance(COMING_GRACE_S)
    assert "ProjectComing" == bench.held(CODE)

    bench.way.sending[CODE.pin].set_result(7)
    await bench.clock.settle()
    await bench.bring()
    assert ("", 7, 1) == (bench.held(CODE), bench.projects.tallies()[SELF].sent_bytes, bench.stirred)
    assert Brought(path="/a") == bench.projects.found(CODE)


async def test_one_comes_after_the_other_and_nobody_needs_to_ask_again():
    bench = Bench()
    await bench.bring(CODE, OTHER)
    assert [CODE.pin] == list(bench.way.sending)

    bench.way.sending[CODE.pin].set_result(1)
    await bench.clock.settle()
    await bench.bring()
    assert [CODE.pin, OTHER.pin] == list(bench.way.sending)

    bench.way.sending[OTHER.pin].set_result(1)
    await bench.clock.settle()
    await bench.bring()
    assert Brought(path="/b") == bench.projects.found(OTHER)


async def test_what_cannot_be_sent_is_held_and_tried_again():
    bench = Bench()
    await bench.bring(CODE)
    bench.way.sending[CODE.pin].set_exception(Refused("BundleTooLarge", "too much", hint="fetch it"))
    await bench.clock.settle()
    await bench.bring(CODE)

    hold = bench.projects.problem(CODE)
    assert hold is not None
    assert "the code of aaaaaaaaaaaa cannot be brought to laptop: too much (fetch it)" == hold.message

    bench.way.there.add(CODE.pin)
    await bench.clock.advance(AGAIN_S)
    await bench.bring()
    assert Brought(path="/a") == bench.projects.found(CODE)


async def test_a_cut_ends_what_was_sent_and_the_next_session_begins_with_a_look():
    bench = Bench()
    await bench.bring(CODE)
    first = bench.way.sending[CODE.pin]

    bench.source.state = SimpleNamespace(hello="second")
    await bench.bring(CODE)

    assert (True, "", False) == (first.cancelled(), bench.held(CODE), bench.way.sending[CODE.pin] is first)
    bench.way.sending[CODE.pin].cancel()


async def test_code_that_no_sweep_is_pinned_to_any_more_is_forgotten():
    bench = Bench()
    bench.source.ask = _tidied
    await bench.bring(CODE, OTHER)
    await bench.clock.advance(COMING_GRACE_S)

    await bench.projects.keep({CODE})

    assert ("ProjectComing", "") == (bench.held(CODE), bench.held(OTHER))
    bench.way.sending[CODE.pin].cancel()


async def _tidied(exchange: Any) -> Tidied:
    return Tidied(worktrees=0, removed=0)
