"""A project, a source that cannot read our mirror (its host says so, whatever the link), and what brings code to it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from reconciler.clock import SystemClock
from reconciler.core.dispatch import Hold
from reconciler.core.model import Code, Commit, Eid, InstanceId, Instant, ProjectName, SourceName
from reconciler.core.settings import ProjectConfig, SourceConfig, Transfer
from reconciler.core.wire import AttemptSpec, CodeSpec, Found
from reconciler.dialects.process import ProcessDialect
from reconciler.links.base import Link
from reconciler.links.local import LocalLink
from reconciler.project import AGAIN_S, Brought, Projects, Worktree
from reconciler.repository import GitCodebase
from reconciler.source import Source

MNIST = ProjectName("mnist")
PATIENCE_S = 60.0
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


class LateClock(SystemClock):
    """Ours, and as much later as a test wants."""

    ahead_s = 0.0

    def now(self) -> Instant:
        return super().now() + self.ahead_s

    def elapsed(self) -> float:
        return super().elapsed() + self.ahead_s


class CodeLab:
    """One project and one source."""

    def __init__(
        self,
        folder: Path,
        *,
        link: Sequence[str] = (),
        transfer: Transfer = Transfer.BUNDLE,
        again: bool = False,
        way_there: Link | None = None,
        url: str = "",
    ) -> None:
        """again: the folder holds a lab already. way_there: the link to the source, default a local one.

        url: where the source finds the project, default the folder `work`.
        """
        self.folder = folder
        self.work = folder / "work"
        self.root = folder / "there"
        self.bundles = folder / "bundles"
        self.clock = LateClock()
        if not again:
            self.work.mkdir()
            self.git("init", "--quiet", "--initial-branch=main")
        self.codebase = GitCodebase(str(self.work), folder / "mirrors" / "mnist.git", clock=self.clock)
        project = ProjectConfig(name=MNIST, url=url or str(self.work), link=tuple(link), transfer=transfer)
        config = SourceConfig(name=SourceName("far"), host="ssh://far", root=str(self.root), slots=2)
        self.source = Source(
            config=config,
            instance=InstanceId("aaaa"),
            daemon="d1",
            dialect=ProcessDialect(),
            link=way_there or LocalLink(),
            clock=self.clock,
        )
        way = Worktree(project, self.codebase, self.bundles, self.clock)
        self.projects = Projects(self.source, {MNIST: way}, self.clock)

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.work, env={**os.environ, **_ENVIRONMENT}, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def commit(self, **files: str | bytes) -> Commit:
        """Files by name, `__` for a dot."""
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            (self.work / name.replace("__", ".")).write_bytes(data)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "a change")
        return Commit(self.git("rev-parse", "HEAD"))

    def folder_of(self, commit: Commit) -> Path:
        return self.root / "projects" / MNIST / commit

    def later(self) -> None:
        """Time passes, until what failed is tried again."""
        self.clock.ahead_s += AGAIN_S

    async def bring(self, commit: Commit) -> Brought | Hold:
        """What comes of it in the end."""
        code = Code(MNIST, commit)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await self.projects.bring({code})
                found = self.projects.found(code) or self.projects.problem(code)
                if found is not None and getattr(found, "reason", "") != "ProjectComing":
                    return found
                await asyncio.sleep(0.01)

    async def run(self, number: int, commit: Commit, *argv: str) -> Found:
        """An attempt in this code, until it has ended or was refused."""
        eid = await self._submit(number, commit, *argv)
        return await self._told(eid, lambda each: each.exit is not None or each.refused != "")

    async def start(self, number: int, commit: Commit, *argv: str) -> None:
        """An attempt in this code, until it runs."""
        eid = await self._submit(number, commit, *argv)
        await self._told(eid, lambda each: each.claim is not None)

    async def cancel(self, number: int) -> None:
        """End it."""
        eid = _eid(number)
        await self.source.ask(self.source.dialect.cancel([eid]))
        await self._told(eid, lambda each: each.exit is not None)

    async def _submit(self, number: int, commit: Commit, *argv: str) -> Eid:
        found = self.projects.found(Code(MNIST, commit))
        assert found is not None
        spec = AttemptSpec(
            eid=_eid(number),
            sweep="s",
            task="t",
            attempt=1,
            argv=argv,
            environment={},
            setup=(),
            parameters={},
            cwd=found.path,
            checkpoint=f"c{number}",
            walltime_s=None,
            gpus=0,
            code=CodeSpec(project=MNIST, commit=commit, seal=found.seal),
        )
        await self.source.ask(self.source.dialect.submit([spec]))
        return spec.eid

    async def _told(self, eid: Eid, matches: Callable[[Found], bool]) -> Found:
        async with asyncio.timeout(PATIENCE_S):
            async for page in self.source.pushes():
                for each in page:
                    if each.eid == eid and matches(each):
                        return each
        raise AssertionError("the session ended")

    async def close(self) -> None:
        await self.source.aclose()
        self.codebase.close()


def _eid(number: int) -> Eid:
    return Eid(f"gaaaa{'abcdefghij'[number] * 10}")
