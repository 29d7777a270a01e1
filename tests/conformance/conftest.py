"""Sites to run the one suite of sources against: a real agent, in a root of its own, over each kind of link."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from reconciler.core.model import Eid, InstanceId
from reconciler.core.wire import AttemptSpec, Found, Lock, StartOutcome
from reconciler.core.wire_code import worktree
from reconciler.dialects.base import Dialect
from reconciler.dialects.process import ProcessDialect
from reconciler.dialects.slurm import SlurmDialect
from reconciler.links.base import NEWCOMER, Link, Ruler, Session
from reconciler.links.local import LocalLink
from reconciler.source import acknowledge, forget
from tests.fakes.slurm_lab import SlurmLab
from tests.fakes.ssh_lab import SshLab

PATIENCE_S = 20.0


class Visit:
    """One session with the agent of a site, and all that it pushed."""

    def __init__(self, site: Site, session: Session) -> None:
        self.site = site
        self.session = session
        self.pushed: list[Found] = []
        self._news = asyncio.Event()
        self._listening = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        async for page in self.session.pushes():
            self.pushed.extend(page)
            self._news.set()

    async def ask(self, exchange):
        return exchange.parse(await self.session.ask(exchange.request))

    async def start(self, *specs: AttemptSpec) -> dict[Eid, StartOutcome]:
        return dict(await self.ask(self.site.dialect.submit(specs)))

    async def inspect(self, *eids: Eid) -> dict[Eid, Found]:
        return dict(await self.ask(self.site.dialect.inspect(eids)))

    async def cancel(self, *eids: Eid):
        return dict(await self.ask(self.site.dialect.cancel(eids)))

    async def acknowledge(self, *eids: Eid) -> None:
        await self.ask(acknowledge(eids))

    async def forget(self, *eids: Eid) -> None:
        await self.ask(forget(eids))

    async def worktree(self, project: str, commit, git_dir: str) -> str:
        return (await self.ask(worktree(project, commit, (), git_dir))).path

    async def until(self, eid: Eid, true: Callable[[Found], object], patience_s: float = 40.0) -> Found:
        """The first look at this attempt of which it is true."""
        async with asyncio.timeout(patience_s):
            while True:
                found = (await self.inspect(eid))[eid]
                if true(found):
                    return found
                await asyncio.sleep(0.3)

    async def told(self, eid: Eid, matches: Callable[[Found], object]) -> Found:
        """The first push about this attempt that matches."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for found in self.pushed:
                    if found.eid == eid and matches(found):
                        return found
                self._news.clear()
                await self._news.wait()

    async def ended(self, eid: Eid) -> Found:
        return await self.told(eid, lambda found: found.exit)

    async def running(self, eid: Eid) -> Found:
        return await self.told(eid, lambda found: found.claim and found.lock is Lock.HELD)

    async def run(self, *argv: str, **options) -> Found:
        """Start one attempt and wait for its end."""
        spec = self.site.spec(*argv, **options)
        await self.start(spec)
        return await self.ended(spec.eid)

    def signal_agent(self, number: int) -> None:
        """As the kernel would: the agent has no say."""
        os.kill(self._agent(), number)

    def signal_session(self, number: int) -> None:
        """To the agent, and to every process that is still in its session."""
        agent = self._agent()
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError, ValueError):
                if os.getsid(int(entry)) == agent:
                    os.kill(int(entry), number)

    def _agent(self) -> int:
        epoch = self.site.root / "epoch" / str(self.session.hello.epoch)
        return int(json.loads(epoch.read_text())["pid"])

    async def kill_agent(self) -> None:
        self.signal_agent(signal.SIGKILL)
        await self._listening

    async def aclose(self) -> None:
        await self.session.aclose()
        await self._listening


class Site:
    """A root on some machine, and ways to reach it."""

    def __init__(self, folder: Path, link: Link, dialect: Dialect) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.link = link
        self.dialect = dialect
        self.log = folder / "log"  # the tasks' own: each appends a line; the oracle of what has run
        self._visits: list[Visit] = []
        self._numbers = itertools.count(1)

    async def open(
        self, *, instance: str = "aaaa", slots: int = 2, gpus: tuple[int, ...] = (), ruler: Ruler = NEWCOMER
    ) -> Visit:
        session = await self.link.open(
            instance=InstanceId(instance), root=str(self.root), slots=slots, gpus=gpus, ruler=ruler
        )
        visit = Visit(self, session)
        self._visits.append(visit)
        return visit

    def spec(self, *argv: str, **options) -> AttemptSpec:
        """An attempt like no other of this site."""
        number = next(self._numbers)
        digest = base64.b32encode(hashlib.sha256(f"{self.folder} {number}".encode()).digest()).decode().lower()
        fields = {
            "eid": Eid("gaaaa" + digest[:10]),
            "sweep": "a-sweep",
            "task": digest[:10],
            "attempt": 1,
            "argv": argv or ("true",),
            "environment": {},
            "setup": (),
            "parameters": {"number": number},
            "cwd": None,
            "checkpoint": digest[:10],
            "walltime_s": None,
            "gpus": 0,
            "grace_s": 0.5,
        }
        return AttemptSpec(**(fields | options))

    def shell(self, script: str, **options) -> AttemptSpec:
        """An attempt that runs a shell script; $log is the tasks' own log."""
        return self.spec("/bin/bash", "-c", f"log={self.log}; {script}", **options)

    def long(self, count: int) -> list[AttemptSpec]:
        """So many that log themselves and then run until somebody ends them."""
        return [self.shell("echo $RECONCILER_TASK >> $log; exec sleep 300") for _ in range(count)]

    def python(self, code: str, *arguments: str, **options) -> AttemptSpec:
        return self.spec(sys.executable, "-I", "-S", "-X", "utf8", "-c", code, *arguments, **options)

    def logged(self) -> list[str]:
        """What the tasks wrote."""
        return self.log.read_text().split("\n")[:-1] if self.log.exists() else []

    async def until_logged(self, count: int) -> list[str]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.logged()) < count:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.01)
        return self.logged()

    async def aclose(self) -> None:
        for visit in self._visits:
            await visit.aclose()


def _processes_of(folder: Path) -> Iterator[int]:
    """Whatever a failed test has left: processes with an open file below its folder."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                links = [os.readlink(link) for link in (entry / "fd").iterdir()]
            except OSError:
                continue
            if any(link.startswith(str(folder)) for link in links):
                yield int(entry.name)


@pytest.fixture(scope="session")
def ssh_lab() -> Iterator[SshLab]:
    """A machine to log in to, for all tests of this process."""
    folder = Path(tempfile.mkdtemp(prefix="s-ssh-"))
    lab = SshLab(folder)
    lab.host("far")
    yield lab
    lab.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def slurm_lab() -> Iterator[SlurmLab]:
    """A cluster, for all tests of this process."""
    folder = Path(tempfile.mkdtemp(prefix="s-slurm-"))
    lab = SlurmLab(folder)
    lab.start()
    yield lab
    lab.close()
    shutil.rmtree(folder, ignore_errors=True)


ROUGH = {"MinJobAge": "5", "MessageTimeout": "3", "SlurmdTimeout": "10"}


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[SlurmLab]:
    """A cluster of the module's own, to do bad things to: it forgets soon, and waits for nobody for long.

    `LAB` of the module: further lines of its configuration.
    """
    folder = Path(tempfile.mkdtemp(prefix="s-lab-"))
    lab = SlurmLab(folder, **{**ROUGH, **getattr(request.module, "LAB", {})})
    lab.start()
    yield lab
    lab.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def slurm(lab: SlurmLab) -> AsyncIterator[Site]:
    """A site on that cluster, whose queue is empty again afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="s-"))
    site = Site(folder, lab.link(), SlurmDialect.of(options={}, poll_s=1.0))
    yield site
    await site.aclose()
    lab.until_it_answers()
    lab.empty()
    shutil.rmtree(folder, ignore_errors=True)


SSH, SLURM = pytest.mark.real("openssh-server"), [pytest.mark.real(each) for each in ("slurmctld", "slurmd", "munge")]
SITES = [
    "local",
    pytest.param("ssh", marks=SSH),
    pytest.param("slurm", marks=SLURM),
    pytest.param("slurm over ssh", marks=[*SLURM, SSH]),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test on each kind of source; on schedulers those that are marked `schedulers`, and not `own_queue`."""
    if "site" in metafunc.fixturenames:
        marked = [metafunc.definition.get_closest_marker(name) is not None for name in ("schedulers", "own_queue")]
        metafunc.parametrize("site", SITES if marked == [True, False] else SITES[:2], indirect=True)


@pytest.fixture
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A fresh site, for each kind of source."""
    folder = Path(tempfile.mkdtemp(prefix="s-"))
    dialect: Dialect = ProcessDialect()
    python = ""
    if "slurm" in request.param:
        cluster: SlurmLab = request.getfixturevalue("slurm_lab")
        dialect, python = SlurmDialect.of(options={}, poll_s=1.0), str(cluster.python)
    link: Link = LocalLink(python=python or sys.executable)
    if "ssh" in request.param:
        lab: SshLab = request.getfixturevalue("ssh_lab")
        link = lab.link(lab.hosts[0], **({"python": python} if python else {}))
    site = Site(folder, link, dialect)
    yield site
    await site.aclose()
    for pid in _processes_of(folder):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
