"""Code over a real sshd: it comes beside everything else, and after a cut only the rest of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from code_lab import MNIST, CodeLab

from reconciler.core.errors import LinkError
from reconciler.core.model import Code
from reconciler.project import Brought
from reconciler.source import probe
from tests.fakes.ssh_lab import SshHost, SshLab

pytestmark = pytest.mark.real("openssh-server")

SIZE = 24 << 20
PATIENCE_S = 60.0


@pytest.fixture
async def far() -> AsyncIterator[tuple[CodeLab, SshHost]]:
    """The lab, and the machine to which its source's link leads."""
    folder = Path(tempfile.mkdtemp(prefix="r"))
    ssh = SshLab(folder / "ssh")
    host = ssh.host("far")
    lab = CodeLab(folder, way_there=ssh.link(host))
    await lab.source.connect()
    yield lab, host
    await lab.close()
    ssh.close()
    shutil.rmtree(folder, ignore_errors=True)


async def until_arriving(lab: CodeLab, least: int) -> int:
    """Until so many bytes of a bundle lie on the source; returns how many it is."""
    incoming = lab.root / "projects" / MNIST / "incoming"
    async with asyncio.timeout(PATIENCE_S):
        while True:
            there = sum(file.stat().st_size for file in incoming.iterdir()) if incoming.exists() else 0
            if there >= least:
                return there
            await asyncio.sleep(0.005)


async def test_other_questions_are_answered_while_code_comes(far: tuple[CodeLab, SshHost]) -> None:
    lab, _ = far
    commit = lab.commit(data=os.urandom(SIZE))
    bringing = asyncio.ensure_future(lab.bring(commit))
    await until_arriving(lab, 1 << 20)

    answers, slowest = 0, 0.0
    while not bringing.done():
        began = asyncio.get_running_loop().time()
        await lab.source.ask(probe())
        slowest = max(slowest, asyncio.get_running_loop().time() - began)
        answers += 1
        await asyncio.sleep(0.01)

    assert isinstance(bringing.result(), Brought), bringing.result()
    assert answers > 3
    assert slowest < 5.0
    assert SIZE == (lab.folder_of(commit) / "data").stat().st_size


async def test_after_a_cut_only_the_rest_is_sent(far: tuple[CodeLab, SshHost]) -> None:
    lab, host = far
    commit = lab.commit(data=os.urandom(SIZE))
    await lab.projects.bring({Code(MNIST, commit)})
    await until_arriving(lab, 2 << 20)

    host.cut()
    with contextlib.suppress(LinkError):
        async with asyncio.timeout(PATIENCE_S):
            while lab.source.state.up:
                await lab.source.ask(probe())
    there = await until_arriving(lab, 2 << 20)
    await lab.source.connect()
    found = await lab.bring(commit)

    assert isinstance(found, Brought), found
    assert lab.projects.tallies()[MNIST].sent_bytes <= SIZE + (1 << 16) - there
    assert SIZE == (lab.folder_of(commit) / "data").stat().st_size
