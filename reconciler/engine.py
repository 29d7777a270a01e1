"""What reconciles: the loops and passes around one store, on whatever clock, repository and links it is given.

It knows no signals, no sockets and no files beside its store and the requests. The daemon runs it on the real world,
and the simulator of the tests runs the very same on a simulated one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler import __version__, triggers
from reconciler.catalog import Catalog
from reconciler.clock import Clock
from reconciler.collect import Collector
from reconciler.controller.controller import Controller
from reconciler.controller.keys import REPOSITORY, REQUESTS, Key
from reconciler.controller.steps import finish
from reconciler.core.model import InstanceId, ProjectName
from reconciler.core.settings import SELF, Config, SourceConfig
from reconciler.crashpoints import crashpoint
from reconciler.dialects.base import Dialect
from reconciler.links.base import Link
from reconciler.project import Projects, ways_of
from reconciler.repository import Codebase, Repository, Stock
from reconciler.results import ResultsTree
from reconciler.source import Source
from reconciler.sourceloop import SourceLoop
from reconciler.store import Store
from reconciler.telemetry import Telemetry
from reconciler.workqueue import WorkQueue

WORKERS = 3  # so that a slow fetch or a large acceptance never keeps a dispatch waiting
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
NAME_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the engine meets. `dice`: for jitter and names, never for secrets.

    codebases, stocks: where the code of projects comes from, and where it lies here; `self` is the repository.
    """

    clock: Clock
    dice: random.Random
    repository: Repository
    dialect: Callable[[SourceConfig], Dialect]
    link: Callable[[SourceConfig], Link]
    codebases: Mapping[ProjectName, Codebase] = field(default_factory=dict)
    stocks: Mapping[ProjectName, Stock] = field(default_factory=dict)


def open_store(config: Config, clock: Clock, dice: random.Random) -> Store:
    """The store, made if need be; what a crash has left half-way is finished or discarded. Raises StoreError."""
    instance = InstanceId("".join(dice.choice(ALPHABET) for _ in range(4)))
    store = Store.create(Path(config.state_dir), instance=instance, at=clock.now())
    try:
        finish(store.recover(clock.now()))
        crashpoint("engine.recovered")
    except BaseException:
        store.close()
        raise
    return store


class Engine:
    """Everything between the store and the sources."""

    def __init__(self, config: Config, store: Store, world: World) -> None:
        self._config = config
        self._store = store
        self._world = world
        self.telemetry = Telemetry(version=__version__)
        self._queue: WorkQueue[Key] = WorkQueue(world.clock, random=world.dice.random, waited=self.telemetry.waited)
        self._catalog = Catalog(store)
        self._controller = Controller(
            config=config,
            store=store,
            catalog=self._catalog,
            repository=world.repository,
            queue=self._queue,
            telemetry=self.telemetry,
            clock=world.clock,
            codebases=world.codebases,
        )
        self._name = f"{world.dice.getrandbits(4 * NAME_DIGITS):0{NAME_DIGITS}x}"
        store.collecting = config.collecting
        self._earlier = store.begin_life(self._name, world.clock.now())
        stocks: dict[ProjectName, Stock] = {SELF: world.repository, **world.stocks}
        self._ways = ways_of(config, stocks, bundles=Path(config.state_dir) / "bundles", clock=world.clock)
        self._loops = {source.name: self._loop(source) for source in config.sources}
        self._controller.attach(self._loops)

    def _loop(self, config: SourceConfig) -> SourceLoop:
        world = self._world
        source = Source(
            config=config,
            instance=self._store.instance(),
            daemon=self._name,
            earlier=self._earlier,
            dialect=world.dialect(config),
            link=world.link(config),
            clock=world.clock,
        )
        loop = SourceLoop(
            source,
            store=self._store,
            catalog=self._catalog,
            projects=Projects(source, self._ways, world.clock),
            clock=world.clock,
            notify=self._controller.source_changed,
        )
        if config.name in self._config.collecting:
            loop.collector = Collector(
                source,
                store=self._store,
                tree=ResultsTree(Path(self._config.results_dir)),
                clock=world.clock,
                max_file_bytes=self._config.results_max_file_mib << 20,
                notify=lambda: self._controller.collected(config.name),
            )
        return loop

    def works(self) -> list[Coroutine[None, None, None]]:
        """All that runs until cancelled; the end of one of them is a defect."""
        poll = triggers.poll(
            self._config.repository.interval_s, self.poll_now, clock=self._world.clock, random=self._world.dice.random
        )
        return [
            *(self._controller.work() for _ in range(WORKERS)),
            *(loop.run() for loop in self._loops.values()),
            poll,
        ]

    async def aclose(self) -> None:
        """Let go of what is not one of the works."""
        await self._controller.aclose()

    def poll_now(self) -> None:
        """Look at the repository and the requests."""
        self._queue.add(REPOSITORY)
        self.requests_arrived()

    def requests_arrived(self) -> None:
        """Look at the requests."""
        self._queue.add(REQUESTS)

    @property
    def looked(self) -> bool:
        """Whether the repository has been looked at, or could not be."""
        return self._controller.looked

    def idle(self) -> bool:
        """Whether nothing is active, and nothing will start by itself."""
        return self._controller.idle()

    async def conclude(self) -> int:
        """Tell how everything stands; 0 when git and the world agree, else 2. Raises RepositoryError."""
        return await self._controller.conclude()
