"""The reconcile of one key: read everything it needs, decide purely, write it down, and say who should look next."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

from reconciler.catalog import Catalog, Sweep
from reconciler.clock import Clock
from reconciler.controller import placement, reporting
from reconciler.controller.acceptance import NO_CODEBASES, Acceptance
from reconciler.controller.actions import Actions
from reconciler.controller.codes import code_facts, project_snapshots
from reconciler.controller.keys import DISPATCH, REPOSITORY, REQUESTS, Key, sweep_key
from reconciler.core.dispatch import Hold
from reconciler.core.errors import Damaged, ReconcilerError, RepositoryError
from reconciler.core.model import Instant, Json, Phase, ProjectName, SourceName, SweepName
from reconciler.core.settings import Config
from reconciler.core.spec import SweepState
from reconciler.core.status import source_status
from reconciler.core.status_json import source_json
from reconciler.repository import Codebase, Repository
from reconciler.sourceloop import Changed, SourceLoop
from reconciler.store import Store
from reconciler.telemetry import FetchResult, KeyKind, ReconcileResult, Snapshot, Telemetry
from reconciler.workqueue import WorkQueue

log = logging.getLogger("reconciler.controller")

TEMPORARY = ("Backoff", "ParallelismReached", "SourcesBusy", "GpusBusy")  # holds that end by themselves
GATHER_S = 0.05  # places that become free on a busy source are filled together
JUDGED_WITHIN_S = 10.0  # so long nothing is placed while a source has neither answered nor failed to
JUDGED_AGAIN_S = 0.2
STATUS_EVERY_S = 0.2  # a sweep's status is told at most so often


class Controller:
    """Takes keys from the queue, one at a time for each worker, and never the same key twice at once."""

    def __init__(
        self,
        *,
        config: Config,
        store: Store,
        catalog: Catalog,
        repository: Repository,
        queue: WorkQueue[Key],
        telemetry: Telemetry,
        clock: Clock,
        codebases: Mapping[ProjectName, Codebase] = NO_CODEBASES,
    ) -> None:
        self._config = config
        self._store = store
        self._catalog = catalog
        self._queue = queue
        self._telemetry = telemetry
        self._clock = clock
        self._acceptance = Acceptance(store, catalog, repository, config, clock, codebases)
        self._actions = Actions(
            Path(config.state_dir),
            store=store,
            catalog=catalog,
            acceptance=self._acceptance,
            clock=clock,
            sources=config.sources,
        )
        self._loops: Mapping[SourceName, SourceLoop] = {}
        self._holds: Mapping[SweepName, tuple[Hold, ...]] = {}
        self._told_sources: dict[SourceName, Mapping[str, Json]] = {}
        self._moved = True  # something may start that the newest dispatch pass did not know of
        self.looked = False  # the repository has been looked at, or could not be: readiness does not depend on git
        self._began = clock.elapsed()
        self._error: RepositoryError | None = None  # of the newest look at the repository
        self._fetched_at: Instant | None = None

    def attach(self, loops: Mapping[SourceName, SourceLoop]) -> None:
        """The sources, which need the controller to be there first."""
        self._loops = loops
        for loop in loops.values():
            loop.held = self._too_early

    def source_changed(self, changed: Changed) -> None:
        """A source has told something."""
        self._moved = True
        self._queue.add_after(DISPATCH, 0.0 if changed.urgent else GATHER_S)
        if not changed.sweeps:  # the source itself has changed, and there may be no sweep whose pass would tell
            self._queue.add(Key(KeyKind.SOURCE, changed.source))
        for name in changed.sweeps:
            self._queue.add_after(sweep_key(name), STATUS_EVERY_S)

    def collected(self, source: SourceName) -> None:
        """More results of a source lie here, or could not be collected."""
        self._queue.add_after(Key(KeyKind.SOURCE, source), STATUS_EVERY_S)

    async def work(self) -> None:
        """One worker, until cancelled."""
        while True:
            key = await self._queue.get()
            try:
                await self._one(key)
            finally:
                self._queue.done(key)

    async def _one(self, key: Key) -> None:
        """Reconcile one key; errors are logged, counted and tried again with backoff, and touch no other key.

        But for a damaged state: that ends the daemon.
        """
        began = self._clock.elapsed()
        try:
            await self.reconcile(key)
        except Damaged:
            raise
        except ReconcilerError as error:
            delay = self._queue.retry(key)
            log.warning("pass failed", extra={"key": _told(key), "error": str(error), "again_in_s": round(delay, 1)})
            result = ReconcileResult.ERROR
        except Exception:  # a defect that one key brings to light must not stop the others
            self._queue.retry(key)
            log.exception("pass failed by a defect: please report it", extra={"key": _told(key)})
            result = ReconcileResult.ERROR
        else:
            self._queue.forget(key)
            result = ReconcileResult.SUCCESS
        self._telemetry.reconciled(key.kind, result, self._clock.elapsed() - began)

    async def reconcile(self, key: Key) -> None:
        """One pass for one key. Raises ReconcilerError."""
        match key.kind:
            case KeyKind.REPOSITORY:
                await self._repository_pass()
            case KeyKind.SWEEP:
                await self._sweep_pass(SweepName(key.name))
            case KeyKind.DISPATCH:
                self._dispatch_pass()
            case KeyKind.REQUESTS:
                await self._requests_pass()
            case KeyKind.SOURCE:
                self.publish()

    async def _repository_pass(self) -> None:
        began, repins = self._clock.elapsed(), self._store.repins()
        try:
            done = await self._acceptance.run(repins)
        except RepositoryError as error:
            self._error = error
            self._telemetry.fetched(FetchResult.ERROR, self._clock.elapsed() - began)
            raise
        finally:
            self.looked = True
        self._error = None
        self._fetched_at = self._clock.now()
        if pinned := {name: asked for name, asked in repins.items() if name not in done.unpinned}:
            self._store.repinned(pinned)
        self._telemetry.fetched(
            FetchResult.CHANGED if done.news else FetchResult.UNCHANGED, self._clock.elapsed() - began
        )
        self._look_at(done.changed)
        if done.news:
            self._queue.add(DISPATCH)
            self._tell_all()
            self._telemetry.applied(self._clock.now() - done.head.committed_at)
        self.publish()

    async def _requests_pass(self) -> None:
        for done in await self._actions.run():
            for sweep, loop in product(done.sweeps, self._loops.values()):
                loop.source.barred.lift(sweep)
            self._look_at(done.sweeps)
            if done.look:
                self._queue.add(REPOSITORY)
            if done.source is not None:
                self.source_changed(Changed(source=done.source, sweeps=frozenset(), urgent=True))

    def _look_at(self, names: Iterable[SweepName]) -> None:
        """These sweeps changed: tell their status, place what waits, and let every source look at its intents."""
        names = list(names)
        for name in names:
            self._queue.add(sweep_key(name))
        if names:
            self._queue.add(DISPATCH)
            for loop in self._loops.values():
                loop.kick()

    def _tell_all(self) -> None:
        for sweep in self._catalog.sweeps():
            self._queue.add(sweep_key(sweep.name))

    def _dispatch_pass(self) -> None:
        if self._too_early():
            self._queue.add_after(DISPATCH, JUDGED_AGAIN_S)
            return
        now = self._clock.now()
        placed = placement.place(self._store, self._catalog, self._loops, now)
        self._moved = False
        for source in placed.sources:
            self._loops[source].kick()
        for name in placed.sweeps | {name for name in placed.holds if placed.holds[name] != self._holds.get(name)}:
            self._queue.add_after(sweep_key(name), STATUS_EVERY_S)
        self._holds = placed.holds
        delay = reporting.wake_in(placed.wake_at, now)
        if delay is not None:
            self._queue.add_after(DISPATCH, delay)

    def _too_early(self) -> bool:
        """Whether a source was not asked so far what lies there: it may be what would be started on another one."""
        waits = len(self._loops) > 1 and not all(loop.judged for loop in self._loops.values())
        return waits and self._clock.elapsed() - self._began < JUDGED_WITHIN_S

    async def _sweep_pass(self, name: SweepName) -> None:
        """Tell how a sweep stands; carry out `state: Cancelled`; forget a deleted one that has nothing left."""
        sweep = self._catalog.get(name)
        if sweep is None:
            return
        if sweep.spec.state is SweepState.CANCELLED and not sweep.row.deleted:
            self._cancel_all(sweep)
        holds = self._holds.get(name, ())
        status = reporting.status_of(
            self._store,
            sweep,
            holds=holds,
            repository=self._store.repository(),
            unresolved=self._unresolved(name),
            code=code_facts(sweep, self._loops),
        )
        told = self._store.set_status(name, status.conditions, reporting.holds_json(holds))
        if told or sweep.row.deleted:
            self._catalog.refresh(name)
        if told:
            log.info("sweep", extra={"sweep": name, "summary": status.summary})
        self.publish()

    def _cancel_all(self, sweep: Sweep) -> None:
        for loop in self._loops.values():
            wanted = [
                attempt.eid
                for attempt in self._store.open_attempts(loop.name)
                if attempt.key.sweep == sweep.name and not attempt.cancel
            ]
            if wanted:
                self._store.intend_cancel(wanted, "SweepCancelled", self._clock.now())
                loop.kick()

    def idle(self) -> bool:
        """Whether nothing is active, and nothing will start by itself."""
        stats = self._queue.stats()
        if not self.looked or self._moved or stats.depth or stats.processing or self._store.active_counts():
            return False
        if any(loop.beginning or _collects(loop) for loop in self._loops.values()):
            return False
        return not any(hold.reason in TEMPORARY for holds in self._holds.values() for hold in holds)

    async def aclose(self) -> None:
        """Let go of questions to projects that are under way."""
        await self._acceptance.aclose()

    async def conclude(self) -> int:
        """Tell how everything stands; 0 when git and the world agree, else 2. Raises what kept us from asking git."""
        if self._error is not None:
            raise self._error
        for sweep in list(self._catalog.sweeps()):
            await self._sweep_pass(sweep.name)
        sweeps = [sweep for sweep in self._catalog.sweeps() if not sweep.row.deleted]
        done = all(phase is Phase.SUCCEEDED for sweep in sweeps for (_, phase) in self._store.counts(sweep.name))
        return 0 if done and not self._store.invalid() else 2

    def _unresolved(self, name: SweepName) -> int:
        return sum(loop.unresolved(name) for loop in self._loops.values())

    def publish(self) -> None:
        """Give readers and metrics the newest picture."""
        active: dict[SourceName, int] = {}
        for (_, source), count in self._store.active_counts().items():
            active[source] = active.get(source, 0) + count
        uncollected, off = self._store.uncollected_counts(), self._store.switched_off()
        codes = {sweep.code for sweep in self._catalog.sweeps() if sweep.code is not None}
        for loop in self._loops.values():
            free = placement.gpus_free(self._store, loop)
            facts = reporting.source_facts(
                loop,
                active.get(loop.name, 0),
                free,
                uncollected.get(loop.name, 0),
                on=loop.name not in off,
                codes=codes,
            )
            told = source_json(source_status(facts))
            if told != self._told_sources.get(loop.name):
                self._store.set_source(loop.name, told, self._clock.now())
                self._told_sources[loop.name] = told
        invalid, sweeps, stats = self._store.invalid(), list(self._catalog.sweeps()), self._queue.stats()
        self._telemetry.publish(
            Snapshot(
                sweeps=tuple(reporting.sweep_snapshot(self._store, sweep) for sweep in sweeps),
                sources=tuple(
                    reporting.source_snapshot(loop, active.get(loop.name, 0), uncollected.get(loop.name, 0))
                    for loop in self._loops.values()
                ),
                projects=project_snapshots(codes, self._loops),
                manifests_valid=len([sweep for sweep in sweeps if not sweep.row.deleted]) - len(invalid),
                manifests_invalid=len(invalid),
                last_fetch_success_at=self._fetched_at,
                queue_depth=stats.depth,
                queue_adds=stats.adds,
                queue_retries=stats.retries,
            )
        )


def _collects(loop: SourceLoop) -> bool:
    """Whether results are just coming here."""
    return loop.collector is not None and loop.ready and loop.collector.due()


def _told(key: Key) -> str:
    return f"{key.kind}/{key.name}" if key.name else str(key.kind)


__all__ = ["DISPATCH", "REPOSITORY", "REQUESTS", "Controller", "Key"]
