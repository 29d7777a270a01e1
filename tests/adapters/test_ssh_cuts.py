"""A connection that is cut at any byte, in either direction, of login, hello, submission, acknowledgement and news.

The production loop runs a sweep over two sources while each of their connections is cut somewhere. The tasks' own log
is the judge: each ran once.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bad_line import BadLine, Fate
from far_life import FarLife

from reconciler.core.model import InstanceId
from reconciler.links.base import NEWCOMER, Ruler
from reconciler.links.lines import LineSession
from reconciler.links.ssh import SshLink
from tests.fakes.ssh_lab import SshLab, an_ssh_lab

pytestmark = pytest.mark.real("openssh-server")

CUTS = 220
TASKS = 700
WITHIN_S = 1.5  # a session that has nothing to say does not come to its byte


@pytest.fixture
def lab() -> Iterator[SshLab]:
    with an_ssh_lab() as lab:
        yield lab


@dataclass
class CutLink:
    """Each session over it is cut at the next of the given bytes; when there are none left, no more."""

    link: SshLink
    line: BadLine
    fates: list[Fate]
    kept: list[Fate] = field(default_factory=list)  # that came to pass

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> LineSession:
        self._count()
        self.line.fate = self.fates.pop() if self.fates else Fate()
        return await self.link.open(instance=instance, root=root, slots=slots, gpus=gpus, ruler=ruler)

    def _count(self) -> None:
        for wire in self.line.wires:
            if wire.up == wire.fate.up or wire.down == wire.fate.down:
                self.kept.append(wire.fate)
        self.line.wires.clear()


async def lengths(lab: SshLab, link: SshLink, line: BadLine, root: Path) -> tuple[int, int]:
    """How many bytes go to and fro until hello is answered."""
    session = await link.open(instance=InstanceId("aaaa"), root=str(root), slots=1, gpus=())
    up, down = line.wires[-1].up, line.wires[-1].down
    await session.aclose()
    return up, down


def fates(up: int, down: int, count: int, dice: random.Random) -> list[Fate]:
    """Where to cut: some while logging in and sending the agent, most from hello on."""
    places = [Fate(up=dice.randrange(1, up), within_s=WITHIN_S) for _ in range(count // 8)]
    places += [Fate(down=dice.randrange(1, down), within_s=WITHIN_S) for _ in range(count // 8)]
    rest = count - len(places)
    places += [Fate(up=up - 400 + dice.randrange(6000), within_s=WITHIN_S) for _ in range(rest // 2)]
    places += [Fate(down=down - 400 + dice.randrange(9000), within_s=WITHIN_S) for _ in range(rest - rest // 2)]
    dice.shuffle(places)
    return places


@pytest.mark.timeout(600)
async def test_wherever_a_connection_is_cut_each_task_runs_once(lab, tmp_path, figures):
    dice = random.Random(4)
    hosts = [lab.host("one"), lab.host("two")]
    async with BadLine(hosts[0].port) as one, BadLine(hosts[1].port) as two:
        links = []
        for line, host in ((one, hosts[0]), (two, hosts[1])):
            link = lab.link(host, port=line.port)
            up, down = await lengths(lab, link, line, tmp_path / f"measured-{host.name}")
            links.append(CutLink(link, line, fates(up, down, CUTS // 2, dice)))

        async with FarLife(tmp_path / "life", links) as life:
            await life.want(TASKS)
            await life.until(lambda: not links[0].fates and not links[1].fates, patience_s=400)
            await life.finish()

            assert [] == life.faults()
            assert [] == life.open()
    kept = [fate for link in links for fate in link.kept]
    directions = Counter("up" if fate.up is not None else "down" for fate in kept)
    assert 200 <= len(set(kept)), directions
    figures["ssh connections cut at a byte"] += len(kept)
