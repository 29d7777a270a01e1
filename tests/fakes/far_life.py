"""Sources on real machines over bad lines, with the production loop, store and agent; the tasks' own log is the judge.

async with FarLife(folder, [lab.link(host)]) as life:
    life.want(100)
    await life.finish()
    assert life.faults() == []
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from acceptance_lab import AcceptanceLab

from reconciler.clock import SystemClock
from reconciler.controller.placement import place
from reconciler.core.model import Attempt, Commit, InstanceId, SourceName, SweepName
from reconciler.core.settings import SELF, SourceConfig
from reconciler.dialects.process import ProcessDialect
from reconciler.links.base import Link
from reconciler.project import Projects
from reconciler.project.base import Brought
from reconciler.source import Source
from reconciler.sourceloop import SourceLoop

SWEEP = SweepName("s")
PATIENCE_S = 150.0


class HastyClock(SystemClock):
    """Tells the real time, and waits less."""

    def __init__(self, longest_s: float) -> None:
        super().__init__()
        self.longest_s = longest_s

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, self.longest_s))


class AnyFolder:
    """Code that is everywhere already."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def bring(self, _source: Source, _commit: Commit) -> Brought:
        return Brought(path=str(self._folder))


class FarLife:
    """One sweep, over as many sources as there are links."""

    def __init__(self, folder: Path, links: Sequence[Link], *, slots: int = 2, longest_s: float = 0.1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.lab = AcceptanceLab(folder)
        self.folder = folder
        self.log = folder / "tasks.log"
        self.time = HastyClock(longest_s)
        self.loops = {}
        for number, link in enumerate(links):
            name = SourceName(f"far{number}")
            self.loops[name] = self._loop(name, link, slots)
        self._again = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted = 0

    def _loop(self, name: SourceName, link: Link, slots: int) -> SourceLoop:
        source = Source(
            config=SourceConfig(name=name, host="ssh://far", root=str(self.folder / f"root-{name}"), slots=slots),
            instance=InstanceId("aaaa"),
            daemon=f"d-{name}",
            dialect=ProcessDialect(),
            link=link,
            clock=self.time,
        )
        return SourceLoop(
            source,
            store=self.lab.store,
            catalog=self.lab.catalog,
            projects=Projects(source, {SELF: AnyFolder(self.folder)}, self.time),
            clock=self.time,
            notify=lambda _changed: self._again.set(),
        )

    async def __aenter__(self) -> FarLife:
        self._tasks = [asyncio.ensure_future(loop.run()) for loop in self.loops.values()]
        self._tasks.append(asyncio.ensure_future(self._place()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.lab.store.close()

    async def _place(self) -> None:
        """As the controller would."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):  # a retry may be due
                    await self._again.wait()
            self._again.clear()
            place(self.lab.store, self.lab.catalog, self.loops, self.time.now())
            for loop in self.loops.values():
                loop.kick()
            await asyncio.sleep(0.01)

    async def want(self, count: int, *, command: str = "true") -> None:
        """A sweep of so many tasks, each of which logs itself, then runs the command in a shell."""
        self._wanted = count
        script = f'echo "$RECONCILER_TASK" >> {self.log}; {command}'
        self.lab.origin.write(
            "sweeps.d/s.yaml",
            f"apiVersion: reconciler/v1alpha1\nkind: Sweep\nmetadata: {{name: {SWEEP}}}\n"
            f"spec: {{command: [/bin/sh, -c, {json.dumps(script)}], parameters: "
            f"{{x: {{range: {{start: 0, stop: {count}, step: 1}}}}}}, "
            "retry: {limit: 2, backoff: {duration: 1s}}}\n",
        )
        self.lab.origin.commit(None)
        await self.lab.acceptance.run()
        self._again.set()

    def counts(self) -> dict[str, int]:
        """Tasks by phase."""
        told: Counter[str] = Counter()
        for (_, phase), count in self.lab.store.counts(SWEEP).items():
            told[str(phase)] += count
        return dict(+told)

    def open(self) -> list[Attempt]:
        return [attempt for name in self.loops for attempt in self.lab.store.open_attempts(name)]

    async def until(self, what: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        end = self.time.elapsed() + patience_s
        while not what():
            assert self.time.elapsed() < end, (self.counts(), [loop.source.state for loop in self.loops.values()])
            await asyncio.sleep(0.02)

    async def finish(self) -> None:
        """Until each task has succeeded."""
        await self.until(lambda: self.counts() == {"succeeded": self._wanted})

    def runs(self) -> Counter[str]:
        """How often each task ran, by its own word."""
        return Counter(self.log.read_text().split()) if self.log.exists() else Counter()

    def faults(self) -> list[str]:
        """Tasks that ran twice, and how many never did."""
        runs = self.runs()
        doubled = [f"{task} ran {count} times" for task, count in runs.items() if count != 1]
        lost = self._wanted - len(runs)
        return [*doubled, *([f"{lost} were lost"] if lost else [])]
