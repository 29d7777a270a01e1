"""Sessions over real sshd that go wrong: tasks go on meanwhile, and on return everything is resolved by evidence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bad_line import ADDRESS, BadLine, Fate
from far_life import FarLife

from reconciler.core.model import InstanceId
from reconciler.core.wire import Reply, Request
from reconciler.links.lines import LineSession
from reconciler.links.ssh import SshLink
from tests.fakes.ssh_lab import SshLab, an_ssh_lab

pytestmark = [pytest.mark.real("openssh-server"), pytest.mark.timeout(240)]


@pytest.fixture
def lab() -> Iterator[SshLab]:
    with an_ssh_lab() as lab:
        yield lab


def agents(root: Path) -> list[int]:
    """The processes that rule the root: the newest epoch names its own."""
    epochs = sorted((root / "epoch").glob("[0-9]*"), key=lambda path: int(path.name))
    return [int(path.read_text().partition('"pid": ')[2].partition(",")[0].rstrip("}")) for path in epochs[-1:]]


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def epoch(root: Path) -> int:
    return max((int(path.name) for path in (root / "epoch").glob("[0-9]*") if path.name.isdigit()), default=0)


class Counting:
    """A link whose sessions count what they are asked."""

    def __init__(self, link: SshLink) -> None:
        self._link = link
        self.asked: Counter[str] = Counter()

    async def open(self, **options: Any) -> CountingSession:
        return CountingSession(await self._link.open(**options), self.asked)


class CountingSession:
    def __init__(self, session: LineSession, asked: Counter[str]) -> None:
        self._session = session
        self._asked = asked
        self.hello = session.hello
        self.pushes = session.pushes
        self.aclose = session.aclose

    async def ask(self, request: Request) -> Reply:
        self._asked[request.op] += 1
        return await self._session.ask(request)


async def test_over_a_slow_line_starts_go_in_batches_and_ends_are_told_without_a_question(lab, tmp_path):
    host = lab.host("far")
    async with BadLine(host.port) as line:
        line.fate = Fate(latency_s=0.2)
        link = Counting(lab.link(host, port=line.port))
        async with FarLife(tmp_path / "life", [link], slots=8) as life:
            await life.want(200)
            await life.finish()

            assert [] == life.faults()
            assert link.asked["start"] <= 200 / 4
            assert link.asked["ack"] <= 200 / 4


async def test_a_killed_login_takes_no_task_with_it(lab, tmp_path):
    host = lab.host("far")
    async with FarLife(tmp_path / "life", [lab.link(host)], slots=4) as life:
        (loop,) = life.loops.values()
        await life.want(12, command="sleep 0.5")
        left = set()
        for _ in range(4):
            await life.until(lambda: life.runs() and loop.source.state.up)
            left |= set(agents(life.folder / "root-far0"))
            host.cut()
            await life.until(lambda: not loop.source.state.up)
        await life.finish()

        assert [] == life.faults()
        assert not [pid for pid in left - set(agents(life.folder / "root-far0")) if lives(pid)]
        assert 4 <= epoch(life.folder / "root-far0")


async def test_tasks_go_on_while_the_machine_lets_nobody_in(lab, tmp_path):
    host = lab.host("far")
    async with FarLife(tmp_path / "life", [lab.link(host)], slots=3) as life:
        (loop,) = life.loops.values()
        await life.want(3, command=f"until [ -e {tmp_path}/go ]; do sleep 0.1; done")
        await life.until(lambda: life.counts() == {"running": 3})
        host.close()
        await life.until(lambda: loop.source.state.reason == "HostUnreachable")
        assert {"running": 3} == life.counts()

        (tmp_path / "go").touch()
        await life.until(lambda: not tasks_of(life.folder))
        assert {"running": 3} == life.counts()

        host.start()
        await life.finish()

        assert [] == life.faults()


async def test_a_line_that_falls_silent_is_given_up_and_opened_anew(lab, tmp_path):
    host = lab.host("far")
    async with BadLine(host.port) as line:
        link = lab.link(host, port=line.port)
        link = replace(link, way=replace(link.way, keepalive_s=0.3))
        async with FarLife(tmp_path / "life", [link], slots=2) as life:
            await life.want(8, command="sleep 0.3")
            await life.until(lambda: life.runs())
            line.stall()
            await life.finish()

            assert [] == life.faults()
            assert 2 <= epoch(life.folder / "root-far0")


async def test_an_agent_that_hangs_is_given_up_and_its_tasks_live(lab, tmp_path):
    host = lab.host("far")
    async with FarLife(tmp_path / "life", [lab.link(host)], slots=2) as life:
        root = life.folder / "root-far0"
        await life.want(6, command="sleep 1")
        await life.until(lambda: life.runs())
        (hung,) = agents(root)
        os.kill(hung, signal.SIGSTOP)
        try:
            await life.finish()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(hung, signal.SIGCONT)

        assert [] == life.faults()
        assert 2 <= epoch(root)


@pytest.mark.mounts
async def test_a_machine_whose_disk_is_full_starts_nothing_until_there_is_room(lab, tmp_path):
    host = lab.host("far")
    root = tmp_path / "life" / "root-far0"
    root.mkdir(parents=True)
    with small_disk(root):
        async with FarLife(tmp_path / "life", [lab.link(host)], slots=2) as life:
            await life.want(10)
            await life.until(lambda: life.counts().get("succeeded", 0) >= 1)
            ballast = root / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb") as file:
                while True:
                    file.write(b"x" * 4096)
            await asyncio.sleep(1.0)
            ballast.unlink()
            await life.finish()

            assert [] == life.faults()


@pytest.mark.mounts
async def test_a_reboot_there_is_the_end_of_what_ran_and_of_nothing_else(lab, tmp_path):
    boot = tmp_path / "boot_id"
    boot.write_text(f"{uuid.uuid4()}\n")
    host = lab.host("far", mounts=((boot, "/proc/sys/kernel/random/boot_id"),))
    async with FarLife(tmp_path / "life", [lab.link(host)], slots=2) as life:
        await life.want(4, command=f"test -e {tmp_path}/rebooted || sleep 60")
        await life.until(lambda: life.counts().get("running") == 2)
        (loop,) = life.loops.values()
        before = loop.source.state.hello.identity

        host.close()
        while mine := tasks_of(life.folder):
            for pid in mine:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        (tmp_path / "rebooted").touch()
        boot.write_text(f"{uuid.uuid4()}\n")
        host.start()
        await life.finish()

        after = loop.source.state.hello.identity
        assert (before.host, before.machine) == (after.host, after.machine)
        assert before.boot != after.boot
        assert {1: 2, 2: 2} == {n: list(life.runs().values()).count(n) for n in (1, 2)}


def tasks_of(folder: Path) -> list[int]:
    """Shims and tasks that work below the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                links = [os.readlink(link) for link in (entry / "fd").iterdir()]
                if any(f"{folder}/root-" in link for link in links):
                    found.append(int(entry.name))
    return found


async def test_two_sources_on_one_machine_share_nothing(lab, tmp_path):
    host = lab.host("far")
    async with FarLife(tmp_path / "life", [lab.link(host), lab.link(host)], slots=2) as life:
        await life.want(30, command="sleep 0.05")
        await life.finish()

        assert [] == life.faults()
        assert all((life.folder / f"root-far{n}/attempts").exists() for n in (0, 1))


async def test_a_machine_that_does_not_answer_keeps_no_other_waiting(lab, tmp_path):
    host = lab.host("far")
    with socket.create_server((ADDRESS, 0)) as silent:
        nobody = lab.link(host, port=silent.getsockname()[1])
        async with FarLife(tmp_path / "life", [lab.link(host), nobody]) as life:
            await life.want(10)
            await life.finish()

            began = time.monotonic()

        assert time.monotonic() - began < 10, "the end waited for a connection that nobody needs"
        assert [] == life.faults()


async def test_a_session_on_a_machine_with_room_for_one_is_enough(lab, tmp_path):
    host = lab.host("narrow", more=("MaxSessions 1",))
    async with FarLife(tmp_path / "life", [lab.link(host)]) as life:
        await life.want(5)
        await life.finish()

        assert [] == life.faults()


async def test_closing_a_session_over_a_dead_line_takes_no_time(lab, tmp_path):
    host = lab.host("far")
    async with BadLine(host.port) as line:
        link: SshLink = lab.link(host, port=line.port)
        session = await link.open(instance=InstanceId("aaaa"), root=str(tmp_path / "root"), slots=1, gpus=())
        line.stall()

        began = time.monotonic()
        await session.aclose()

        assert time.monotonic() - began < 8
