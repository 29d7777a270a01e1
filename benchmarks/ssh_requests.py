"""How often a source is asked while it works: the engine in this process, over a link that counts what passes it.

A pass is one decision about what starts now; all its starts are intended at the same instant. Passes that come while
an answer is awaited are sent together with the next ones, so that there may be fewer requests than passes.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks import product
from benchmarks.contender import SLOTS
from benchmarks.figures import Measured
from reconciler import config
from reconciler.clock import SystemClock
from reconciler.core.model import InstanceId, Phase
from reconciler.core.settings import Config
from reconciler.core.wire import Found, Hello, Reply, Request
from reconciler.dialects.process import ProcessDialect
from reconciler.engine import Engine, World, open_store
from reconciler.links.base import NEWCOMER, Link, Ruler, Session
from reconciler.links.choice import link_to
from reconciler.repository import Repository
from reconciler.store import Reader

TRIPS_GOAL = 1.0
START = "start"
PACE_S = 0.05


class CountedLink:
    """Counts the requests of all its sessions, by what is asked."""

    def __init__(self, link: Link, asked: Counter[str]) -> None:
        self._link = link
        self._asked = asked

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> Session:
        session = await self._link.open(instance=instance, root=root, slots=slots, gpus=gpus, ruler=ruler)
        return CountedSession(session, self._asked)


class CountedSession:
    """See CountedLink."""

    def __init__(self, session: Session, asked: Counter[str]) -> None:
        self._session = session
        self._asked = asked

    @property
    def hello(self) -> Hello:
        return self._session.hello

    async def ask(self, request: Request) -> Reply:
        self._asked[request.op] += 1
        return await self._session.ask(request)

    def pushes(self) -> AsyncIterator[Sequence[Found]]:
        return self._session.pushes()

    async def aclose(self) -> None:
        await self._session.aclose()


def measure(folder: Path, source: str, tasks: int) -> list[Measured]:
    """For each pass that starts something, and for a hundred tasks."""
    folder.mkdir()
    asked: Counter[str] = Counter()
    repository = product.make_repository(folder)
    path = product.configure(folder, repository, slots=SLOTS, source=source)
    product.commit(repository, product.manifest(product.whole_numbers(tasks)))
    settings = config.load(path, cwd=folder, env=os.environ, home=Path.home(), cpus=SLOTS)
    asyncio.run(_run(settings, tasks, asked))
    with closing(sqlite3.connect(f"file:{folder}/state/state.db?mode=ro", uri=True)) as store:
        (passes,) = store.execute("SELECT count(DISTINCT intended_at) FROM attempts").fetchone()
    others = {op: count for op, count in asked.items() if op != START}
    told = ", ".join(f"{op} {100 * count / tasks:.1f}" for op, count in sorted(others.items()))
    note = f"{tasks} tasks in {passes} passes"
    return [
        Measured(
            what="round trips, for each pass that starts tasks",
            unit="",
            values=(asked[START] / passes,),
            goal=TRIPS_GOAL,
            note=note,
        ),
        Measured(
            what="other requests, for 100 tasks; no start waits for them",
            unit="",
            values=(100 * sum(others.values()) / tasks,),
            note=told,
        ),
    ]


async def _run(settings: Config, tasks: int, asked: Counter[str]) -> None:
    clock, dice = SystemClock(), random.Random(1)
    store = open_store(settings, clock, dice)
    repository = Repository(settings.repository, Path(settings.state_dir) / "repository.git", clock=clock)
    world = World(
        clock=clock,
        dice=dice,
        repository=repository,
        dialect=lambda source: ProcessDialect(),
        link=lambda source: CountedLink(link_to(source), asked),
    )
    engine = Engine(settings, store, world)
    works = [asyncio.create_task(work) for work in engine.works()]
    engine.poll_now()
    try:
        await _until_done(Path(settings.state_dir), tasks, works)
    finally:
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        await engine.aclose()
        repository.close()
        store.close()


async def _until_done(state: Path, tasks: int, works: Sequence[asyncio.Task[None]]) -> None:
    reader, end = Reader.open(state), time.monotonic() + product.TIMEOUT_S
    try:
        while product.count(reader, product.SWEEP, Phase.SUCCEEDED) < tasks:
            if any(work.done() for work in works) or time.monotonic() > end:
                raise TimeoutError(f"waited in vain for {tasks} tasks")
            await asyncio.sleep(PACE_S)
    finally:
        reader.close()
