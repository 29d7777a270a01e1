"""A collector beside a store and a results tree, and the real reader of files behind a session that tests rule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from store_lab import LAPTOP, Lab
from virtual_clock import VirtualClock

from reconciler.agent import files
from reconciler.agent.place import Place
from reconciler.collect import Collector
from reconciler.core.errors import NoReply
from reconciler.core.model import Attempt, Eid, HostIdentity, InstanceId, Phase, SourceName, Task
from reconciler.core.settings import SourceConfig
from reconciler.core.wire import Found, Hello, Reply, Request
from reconciler.dialects.process import ProcessDialect
from reconciler.links.base import NEWCOMER, Ruler
from reconciler.results import ResultsTree
from reconciler.source import Source

HOME = HostIdentity(host="h", machine="m", boot="b")
LIMIT = 1 << 20


async def inline(work):
    """Disk work of the collector, done in the loop: virtual time knows no threads."""
    return work()


class FarSide:
    """A session that answers from the files in a root. `before` may change them, or raise, at each request."""

    def __init__(self, root: Path) -> None:
        self.place = Place(str(root))
        self.asked: list[Request] = []
        self.came = 0  # bytes that were asked for as pieces, and answered
        self.before: Callable[[Request], None] = lambda request: None
        self.after: Callable[[Request, Reply], Reply] = lambda request, reply: reply
        self.hello = Hello(identity=HOME, epoch=1, python="3.6.0", root=str(root), clock=5.0, owner=InstanceId("aaaa"))

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> FarSide:
        return self

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        await asyncio.sleep(0)
        self.before(request)
        self.came += request.body.get("length", 0)
        return self.after(request, Reply(body=files.work(self.place, {"op": request.op, **request.body})()))

    async def pushes(self) -> AsyncIterator[Sequence[Found]]:
        await asyncio.Event().wait()
        yield ()

    async def aclose(self) -> None:
        pass

    def cut_at(self, number: int) -> None:
        """From this request on, counted from 1, the line is cut."""

        def cut(request: Request) -> None:
            if len(self.asked) >= number:
                raise NoReply("SessionEnded", "the line was cut")

        self.before = cut


class CollectLab(Lab):
    """One sweep whose attempts ran far away."""

    def __init__(self, folder: Path, *, limit: int = LIMIT) -> None:
        super().__init__(folder / "state")
        self.store.collecting = frozenset({LAPTOP})
        self.root = folder / "root"
        self.results = folder / "results"
        self.tree = ResultsTree(self.results)
        self.time = VirtualClock()
        self.far = FarSide(self.root)
        self.told = 0
        self.limit = limit
        self.source = self._source()
        self.collector = self.fresh_collector()
        self.running: asyncio.Task[None] | None = None

    def _source(self) -> Source:
        return Source(
            config=SourceConfig(name=LAPTOP, root=str(self.root), host="ssh://far"),
            instance=InstanceId("aaaa"),
            daemon="d1",
            dialect=ProcessDialect(),
            link=self.far,
            clock=self.time,
        )

    def fresh_collector(self) -> Collector:
        """As after a restart of the daemon."""
        return Collector(
            self.source,
            store=self.store,
            tree=self.tree,
            clock=self.time,
            max_file_bytes=self.limit,
            notify=self._notified,
            aside=inline,
        )

    def _notified(self) -> None:
        self.told += 1

    def attempt(self, task: Task, source: SourceName = LAPTOP) -> Attempt:
        """With a name that an agent takes."""
        attempt = super().attempt(task, source)
        return replace(attempt, eid=Eid(f"g{attempt.key.task}aaa{'abcdefgh'[attempt.key.number]}"))

    def ends(self, attempt: Attempt, phase: Phase = Phase.SUCCEEDED, **written: str | bytes) -> None:
        """It leaves these files, and its end is recorded; `stdout_log` is stdout.log."""
        for name, content in written.items():
            stem, _, ending = name.rpartition("_")
            self.write(attempt.eid, f"{stem}.{ending}", content)
        self.learn(attempt, phase)

    def write(self, eid: Eid, name: str, content: str | bytes) -> Path:
        path = Path(self.far.place.attempt(eid)) / files.FILES[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    async def collect(self, seconds: float = 30.0) -> None:
        """A session of so many virtual seconds, or until it is cut."""
        await self.source.connect()
        self.running = asyncio.ensure_future(self.collector.run())
        for _ in range(round(seconds * 2)):
            await self.time.advance(0.5)
            if self.running.done():
                break
        if not self.running.done():
            self.running.cancel()
        await asyncio.wait([self.running])
        if not self.running.cancelled() and not isinstance(self.running.exception(), NoReply | None):
            raise self.running.exception()

    def pending(self) -> int:
        return self.store.uncollected_counts().get(LAPTOP, 0)

    def lies(self, attempt: Attempt) -> dict[str, bytes]:
        """The attempt's files here, without what we write about it."""
        folder = self.tree.folder(attempt.key)
        ours = ("status.yaml", "params.yaml")
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.name not in ours}

    def shown(self, attempt: Attempt) -> dict[str, bytes]:
        """The files of the task that count."""
        folder = self.tree.task_folder(attempt.key)
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()}

    def status(self, attempt: Attempt) -> dict[str, object]:
        return yaml.safe_load(self.shown(attempt)["status.yaml"])
