"""A pass that finds nothing to do, with 100,000 tasks in the store: its cost must not depend on how many there are.

The real controller, store, repository and source loop run in this process, as the daemon wires them; only the work
queue's workers do not, so that each pass is called, and timed, by itself. Measured twice: while all tasks wait (the
sweep is paused), and when all have succeeded (recorded through the store itself, not run).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from benchmarks import product
from benchmarks.figures import Measured
from reconciler.catalog import Catalog
from reconciler.clock import SystemClock
from reconciler.controller.controller import Controller
from reconciler.controller.keys import DISPATCH, REPOSITORY, Key, sweep_key
from reconciler.core import identity
from reconciler.core.model import (
    Attempt,
    AttemptKey,
    Digest,
    HostIdentity,
    InstanceId,
    Phase,
    Resources,
    SourceName,
    Task,
)
from reconciler.core.settings import SELF, Config, RepositoryConfig, SourceConfig
from reconciler.dialects.process import ProcessDialect
from reconciler.links.local import LocalLink
from reconciler.project import Projects, ways_of
from reconciler.repository import Repository
from reconciler.source import Source
from reconciler.sourceloop import SourceLoop
from reconciler.store import Store
from reconciler.telemetry import Telemetry
from reconciler.workqueue import WorkQueue

TASKS = 100_000
QUICK_TASKS = 5_000
REPEATS = 40
GOAL_MS = 10.0
CHUNK = 5_000
SOURCE = SourceName("local")
PAUSED = "  state: Paused\n"
KEYS = {"repository": REPOSITORY, "dispatch": DISPATCH, "sweep": sweep_key(product.SWEEP)}


def measure(folder: Path, *, rounds: int, quick: bool, say: Callable[[str], None]) -> Sequence[Measured]:
    """Milliseconds for each kind of pass, repeated often."""
    tasks = QUICK_TASKS if quick else TASKS
    return asyncio.run(_measure(folder, tasks, REPEATS * rounds, say))


async def _measure(folder: Path, tasks: int, repeats: int, say: Callable[[str], None]) -> Sequence[Measured]:
    repository = product.make_repository(folder)
    product.commit(repository, product.manifest(product.whole_numbers(tasks), extra=PAUSED))
    with _wired(folder, repository, tasks) as wired:
        await wired.controller.reconcile(REPOSITORY)
        running = asyncio.create_task(wired.loop.run())
        await _until_ready(wired.loop)
        say(f"{tasks:,} tasks wait")
        measured = await _passes(wired.controller, f"{tasks:,} waiting", repeats)
        product.commit(repository, product.manifest(product.whole_numbers(tasks)))
        await wired.controller.reconcile(REPOSITORY)
        _finish_all(wired.store, wired.loop)
        say(f"{tasks:,} tasks have succeeded")
        measured += await _passes(wired.controller, f"{tasks:,} finished", repeats)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return measured


async def _until_ready(loop: SourceLoop) -> None:
    while not loop.ready:  # noqa: ASYNC110 - watched from outside, as by anybody
        await asyncio.sleep(0.05)


async def _passes(controller: Controller, state: str, repeats: int) -> list[Measured]:
    """After one of each that is not counted: it may still have something to tell."""
    measured = []
    for name, key in KEYS.items():
        await controller.reconcile(key)
        took = [await _timed_ms(controller, key) for _ in range(repeats)]
        what = f"{name} pass, {state}"
        measured.append(Measured(what=what, unit="ms", values=tuple(took), goal=GOAL_MS, note=f"{repeats} passes"))
    return measured


async def _timed_ms(controller: Controller, key: Key) -> float:
    began = time.perf_counter()
    await controller.reconcile(key)
    return 1000 * (time.perf_counter() - began)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wired:
    store: Store
    controller: Controller
    loop: SourceLoop


@contextmanager
def _wired(folder: Path, repository: Path, limit: int) -> Iterator[_Wired]:
    """Everything, as the daemon puts it together."""
    clock, state = SystemClock(), folder / "state"
    config = Config(
        file=None,
        repository=RepositoryConfig(url=str(repository)),
        sources=(SourceConfig(name=SOURCE, slots=2, root=str(folder / "root")),),
        state_dir=str(state),
        results_dir=str(folder / "results"),
        max_tasks_per_sweep=limit,
    )
    store = Store.create(state, instance=InstanceId("abcd"), at=clock.now())
    catalog, mirror = Catalog(store), Repository(config.repository, state / "repository.git", clock=clock)
    controller = Controller(
        config=config,
        store=store,
        catalog=catalog,
        repository=mirror,
        queue=WorkQueue(clock, random=random.random),
        telemetry=Telemetry(version="0"),
        clock=clock,
    )
    source = Source(
        config=config.sources[0],
        instance=store.instance(),
        daemon="d1",
        dialect=ProcessDialect(),
        link=LocalLink(),
        clock=clock,
    )
    loop = SourceLoop(
        source,
        store=store,
        catalog=catalog,
        projects=Projects(source, ways_of(config, {SELF: mirror}, bundles=state / "bundles", clock=clock), clock),
        clock=clock,
        notify=controller.source_changed,
    )
    controller.attach({SOURCE: loop})
    try:
        yield _Wired(store=store, controller=controller, loop=loop)
    finally:
        mirror.close()
        store.close()


def _finish_all(store: Store, loop: SourceLoop) -> None:
    """Every task gets an attempt that succeeded."""
    row, hello = store.sweep(product.SWEEP), loop.source.state.hello
    assert row is not None
    assert row.policy is not None
    assert hello is not None
    tasks = iter(store.heads(product.SWEEP, limit=10 * TASKS, now=0.0))
    while chunk := list(islice(tasks, CHUNK)):
        attempts = [intended(task, store.instance(), row.policy.digest, hello.identity) for task in chunk]
        store.intend(attempts)
        ended = [replace(attempt, phase=Phase.SUCCEEDED, exit_code=0, ended_at=2.0) for attempt in attempts]
        done = [replace(task, phase=Phase.SUCCEEDED, attempts=1) for task in chunk]
        store.record(list(zip(ended, done, strict=True)), 2.0)


def intended(task: Task, instance: InstanceId, digest: Digest, home: HostIdentity) -> Attempt:
    """The first attempt of a task that waits."""
    return Attempt(
        key=AttemptKey(task.key.sweep, task.key.task, 1),
        eid=identity.eid(instance, task.key, 1),
        source=SOURCE,
        digest=digest,
        phase=Phase.QUEUED,
        home=home,
        resources=Resources(),
        intended_at=1.0,
    )
