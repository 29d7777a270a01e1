"""A repository, a store, and the passes that bring what the one says into the other."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

from git_repository import GitRepository, mirror_of
from virtual_clock import VirtualClock

from reconciler.catalog import Catalog
from reconciler.controller.acceptance import Acceptance
from reconciler.controller.brake import plan_id
from reconciler.controller.controller import Controller
from reconciler.controller.keys import Key
from reconciler.core import identity
from reconciler.core.errors import StoreError
from reconciler.core.model import (
    Attempt,
    AttemptKey,
    HostIdentity,
    InstanceId,
    Phase,
    Resources,
    SourceName,
    SweepName,
    Task,
)
from reconciler.core.settings import Config, RepositoryConfig
from reconciler.store import Accepted, Store
from reconciler.store.database import Database
from reconciler.telemetry import Telemetry
from reconciler.workqueue import WorkQueue


class HastyClock(VirtualClock):
    """Nobody waits; `meanwhile` is what others do while a pass gives way to them."""

    meanwhile: Callable[[], None] | None = None

    async def sleep(self, seconds: float) -> None:
        if self.meanwhile is not None:
            self.meanwhile()


class FragileStore(Store):
    """Fails `commits` times in the middle of a commit, after the generation has come in force."""

    commits = 0

    def commit(self, name: SweepName, *, freeze: bool, at: float) -> Generator[int, None, Accepted]:
        steps = super().commit(name, freeze=freeze, at=at)
        yield next(steps)
        if self.commits:
            self.commits -= 1
            raise StoreError("DiskFull", "no room")
        return (yield from steps)


class AcceptanceLab:
    """A repository, a store, and passes from the one to the other."""

    def __init__(self, folder: Path) -> None:
        self.origin = GitRepository(folder / "origin")
        self.clock = HastyClock()
        self.folder = folder
        Store.create(folder / "state", instance=InstanceId("aaaa"), at=0.0).close()
        self.store = FragileStore(Database.writable(folder / "state"))
        self.restart()

    def restart(self, *, prune_max_tasks: int = 100) -> None:
        """As a new daemon would begin."""
        self.catalog = Catalog(self.store)
        self.mirror = mirror_of(self.origin.directory, self.folder)
        repository = RepositoryConfig(url=str(self.origin.directory))
        self.config = Config(
            file=None,
            repository=repository,
            sources=(),
            state_dir=str(self.folder / "state"),
            results_dir="/r",
            prune_max_tasks=prune_max_tasks,
        )
        self.acceptance = Acceptance(self.store, self.catalog, self.mirror, self.config, self.clock)

    def commit(self, *options: str, **sweeps: str | None) -> None:
        """Manifests by name, each with its parameters; None takes it away."""
        for name, parameters in sweeps.items():
            path = f"sweeps.d/{name}.yaml"
            if parameters is None:
                (self.origin.directory / path).unlink()
                continue
            spec = f"spec: {{command: [x], parameters: {parameters}}}"
            self.origin.write(
                path, f"apiVersion: reconciler/v1alpha1\nkind: Sweep\nmetadata: {{name: {name}}}\n{spec}\n"
            )
        self.origin.commit(None, *options)

    def controller(self, queue: WorkQueue[Key]) -> Controller:
        """One that takes its keys from this queue."""
        return Controller(
            config=self.config,
            store=self.store,
            catalog=self.catalog,
            repository=self.mirror,
            queue=queue,
            telemetry=Telemetry(version="0"),
            clock=self.clock,
        )

    def plan(self) -> str:
        """What waits for an approval, as a person would name it."""
        return plan_id((sweep.name, sweep.row.frozen) for sweep in self.catalog.sweeps())

    def start_all(self, name: str) -> None:
        """Every task of a sweep has an active attempt."""
        heads = self.store.heads(SweepName(name), limit=100, now=self.clock.now())
        self.store.intend([self.attempt_of(task, 1) for task in heads])

    def attempt_of(self, task: Task, number: int) -> Attempt:
        """To be intended."""
        sweep = self.catalog.get(task.key.sweep)
        assert sweep is not None
        return Attempt(
            key=AttemptKey(*task.key, number),
            eid=identity.eid(self.store.instance(), task.key, number),
            source=SourceName("laptop"),
            digest=sweep.digest,
            phase=Phase.QUEUED,
            home=HostIdentity(host="h", machine="m", boot="b"),
            resources=Resources(),
            intended_at=0.0,
        )

    def end_all(self, name: str) -> None:
        """Every active attempt of a sweep succeeds."""
        for attempt in self.store.open_attempts(SourceName("laptop")):
            if attempt.key.sweep == name:
                task = self.store.task(attempt.key.task_key)
                assert task is not None
                now = replace(attempt, phase=Phase.SUCCEEDED, started_at=0.0, ended_at=1.0)
                self.store.record([(now, replace(task, phase=Phase.SUCCEEDED))], 1.0)

    def desired(self, name: str = "s") -> int:
        return sum(self.store.counts(SweepName(name)).values())

    def may_start(self, name: str = "s") -> int:
        return len(self.store.heads(SweepName(name), limit=100, now=self.clock.now()))
