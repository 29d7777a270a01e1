"""A machine that is cut off: packets vanish, or find no way. Tasks go on there, others go on here, and on return
everything is resolved by evidence.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from far_life import SWEEP, FarLife

from reconciler.core.wire import Reply, Request
from reconciler.links.lines import LineSession
from reconciler.links.ssh import SshLink
from tests.fakes.networks import Network
from tests.fakes.ssh_lab import SshHost, SshLab, an_ssh_lab

pytestmark = [pytest.mark.real("openssh-server"), pytest.mark.real("iproute2"), pytest.mark.networks]

KEEPALIVE_S = 1.0
GIVEN_UP_S = 4 * KEEPALIVE_S  # three questions without an answer, and what was left of the time before the first
SLACK_S = 5.0  # of a busy machine
HELD = "until [ -e {folder}/go ]; do sleep 0.1; done"


@pytest.fixture
def lab() -> Iterator[SshLab]:
    with an_ssh_lab() as lab:
        yield lab


@pytest.fixture
def host(lab: SshLab) -> SshHost:
    return lab.host("far", network=Network())


@pytest.fixture
def network(host: SshHost) -> Network:
    assert host.network is not None
    return host.network


def link_to(lab: SshLab, host: SshHost) -> SshLink:
    link = lab.link(host)
    return replace(link, way=replace(link.way, keepalive_s=KEEPALIVE_S, connect_s=5.0))


def agents(network: Network) -> list[int]:
    """The processes there that speak with a daemon, or did: their shims are named otherwise."""
    return [pid for pid, name in network.processes().items() if name.startswith("python")]


async def given_up(life: FarLife, name: str = "far0") -> float:
    """Seconds until the source is known to be away."""
    began = time.monotonic()
    await life.until(lambda: not life.loops[name].source.state.up)
    return time.monotonic() - began


def ends(life: FarLife, name: str) -> int:
    """How many attempts have succeeded on a source."""
    counts = life.lab.store.counts(SWEEP)
    return sum(counts[key] for key in counts if key == (name, "succeeded"))


class Vanishing:
    """A link whose network is cut while the n-th question of a kind is under way."""

    def __init__(self, link: SshLink, op: str, cut: Callable[[], None]) -> None:
        self._link = link
        self.op = op
        self.cut = cut
        self.left = 1
        self.asked: Counter[str] = Counter()

    async def open(self, **options: Any) -> VanishingSession:
        return VanishingSession(await self._link.open(**options), self)


class VanishingSession:
    def __init__(self, session: LineSession, link: Vanishing) -> None:
        self._session = session
        self._link = link
        self.hello = session.hello
        self.pushes = session.pushes
        self.aclose = session.aclose

    async def ask(self, request: Request) -> Reply:
        self._link.asked[request.op] += 1
        if request.op == self._link.op and self._link.left:
            self._link.left -= 1
            self._link.cut()
        return await self._session.ask(request)


@pytest.mark.timeout(120)
async def test_a_machine_that_is_cut_off_is_given_up_in_time_and_nothing_else_is(lab, host, network, tmp_path):
    other = lab.host("near")
    async with FarLife(tmp_path / "life", [link_to(lab, host), link_to(lab, other)], slots=2) as life:
        await life.want(60, command="sleep 0.4")
        await life.until(lambda: ends(life, "far0") >= 2 and ends(life, "far1") >= 2)

        network.cut()
        waited = await given_up(life)
        before, ran = ends(life, "far1"), ends(life, "far0")
        await life.until(lambda: ends(life, "far1") >= before + 6)

        assert waited <= GIVEN_UP_S + SLACK_S
        assert life.loops["far0"].source.state.reason in ("SessionEnded", "HostUnreachable")
        assert ran == ends(life, "far0")
        assert life.loops["far1"].source.state.up
        assert set(life.counts()) <= {"waiting", "queued", "running", "succeeded"}
        network.mend()
        await life.finish()
        assert [] == life.faults()


@pytest.mark.timeout(120)
async def test_what_is_cut_off_for_a_moment_only_comes_late(lab, host, network, tmp_path):
    async with FarLife(tmp_path / "life", [lab.link(host)], slots=3) as life:
        await life.want(24, command="sleep 0.2")
        for ended in (3, 9, 15):
            await life.until(lambda ended=ended: ends(life, "far0") >= ended)
            network.cut()
            await asyncio.sleep(0.7)
            network.mend()
        await life.finish()

        assert ([], 1) == (life.faults(), life.loops["far0"].source.state.sessions)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["blackhole", "unreachable"])
async def test_tasks_go_on_while_no_way_leads_to_their_machine(lab, host, network, tmp_path, kind):
    async with FarLife(tmp_path / "life", [link_to(lab, host)], slots=3) as life:
        await life.want(3, command=HELD.format(folder=tmp_path))
        await life.until(lambda: life.counts() == {"running": 3})

        network.forget_way(kind)
        waited = await given_up(life)
        await life.until(lambda: life.loops["far0"].source.state.reason == "HostUnreachable")
        (tmp_path / "go").touch()
        await life.until(lambda: not [name for name in network.processes().values() if name.startswith("gaaaa")])

        assert waited <= GIVEN_UP_S + SLACK_S
        assert {"running": 3} == life.counts()
        network.find_way(kind)
        await life.finish()
        assert [] == life.faults()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("op", ["start", "ack", "inspect", "probe"])
async def test_a_question_that_vanishes_doubles_and_loses_nothing(lab, host, network, tmp_path, op):
    link = Vanishing(link_to(lab, host), op, network.cut)
    async with FarLife(tmp_path / "life", [link], slots=3) as life:
        await life.want(12, command="sleep 0.1")
        await life.until(lambda: not link.left)
        await given_up(life)
        network.mend()
        await life.finish()

        assert [] == life.faults()
        assert 2 <= life.loops["far0"].source.state.sessions


@pytest.mark.timeout(120)
async def test_what_was_taken_out_meanwhile_is_cancelled_on_return_and_nothing_else(lab, host, network, tmp_path):
    async with FarLife(tmp_path / "life", [link_to(lab, host)], slots=4) as life:
        await life.want(4, command=HELD.format(folder=tmp_path))
        await life.until(lambda: life.counts() == {"running": 4} and sum(life.runs().values()) == 4)
        network.cut()
        await given_up(life)

        await life.want(2, command=HELD.format(folder=tmp_path))
        await asyncio.sleep(1.0)
        shims = [name for name in network.processes().values() if name.startswith("gaaaa")]
        assert (4, {"running": 2}) == (len(shims), life.counts())

        network.mend()
        await life.until(lambda: len(life.open()) == 2)
        await life.until(lambda: 2 == len([n for n in network.processes().values() if n.startswith("gaaaa")]))
        (tmp_path / "go").touch()
        await life.finish()

        assert {1: 4} == dict(Counter(life.runs().values()))


@pytest.mark.timeout(180)
async def test_agents_whose_daemon_vanished_end_when_it_is_back(lab, host, network, tmp_path):
    async with FarLife(tmp_path / "life", [link_to(lab, host)], slots=2) as life:
        await life.want(2, command=HELD.format(folder=tmp_path))
        await life.until(lambda: life.counts() == {"running": 2})
        for _ in range(3):
            network.cut()
            network.move()
            await given_up(life)
            network.mend()
            await life.until(lambda: life.loops["far0"].source.state.up)
        await life.until(lambda: len(agents(network)) == 1, patience_s=30.0)
        (tmp_path / "go").touch()
        await life.finish()

        assert [] == life.faults()
