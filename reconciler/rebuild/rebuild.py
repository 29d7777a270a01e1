"""The rebuild as a whole: look, refuse or go on, write the new state beside the old one, and put it in its place."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from reconciler.catalog import Catalog
from reconciler.controller.acceptance import Acceptance
from reconciler.controller.brake import plan_id
from reconciler.controller.survey import Surveyor, projects_of
from reconciler.core.errors import StoreError
from reconciler.core.model import InstanceId, Phase, SourceName, SweepName
from reconciler.core.parameters import expand
from reconciler.core.settings import Config
from reconciler.crashpoints import crashpoint
from reconciler.locks import StateLock
from reconciler.rebuild.memory import Memory, recollect, remember
from reconciler.rebuild.past import Past
from reconciler.rebuild.recall import Recall
from reconciler.rebuild.survivors import NOBODY, SETTLE_S, Reach, one_owner, owners, survivors
from reconciler.rebuild.values import Rebuilt, SourceTold, SweepTold
from reconciler.repository import Repository
from reconciler.store import Store
from reconciler.store.whole import Examined, Soundness, examine, put_in_place

WORK, REHEARSAL = "rebuilding-", "rehearsal-"
BLOCKED = "the state was rebuilt, and cannot know whether this had been waiting for a word"
TELL_EVERY = 10_000

Tell = Callable[[str, int, int | None], None]


async def rebuild(config: Config, reach: Reach, *, force: bool, tell: Tell) -> Rebuilt:
    """Make the state anew from git and from what lies on the sources; the old one is kept aside.

    force: though it is whole, and without looking at it. tell: hears what is being done, how far, and of how much.
    Raises AlreadyRunning, StoreError (StateIsWhole), Refused (NothingToRebuild, OwnersDiffer, SourceUnread) and
    RepositoryError: then the old state is where it was.
    """
    directory = Path(config.state_dir)
    with _locked(directory):
        found = Examined(soundness=Soundness.WHOLE) if force else examine(directory)
        owned = await owners(config.sources, reach)
        if not force:
            _refuse_whole(found, one_owner(owned), directory)
        with _folder(directory, WORK) as work:
            done = await _Rebuild(config, reach, owned, tell).make(work, directory / "repository.git", rule=True)
            crashpoint("rebuild.made")
            kept = put_in_place(work, directory, _stamp(reach))
        return replace(done, found=found, kept=kept)


async def rehearse(config: Config, reach: Reach, *, tell: Tell) -> Rebuilt:
    """What `rebuild --force` would come to. Nothing is changed, and a daemon may run meanwhile. Raises as `rebuild`."""
    directory = Path(config.state_dir)
    found = examine(directory)
    owned = await owners(config.sources, reach)
    with _folder(directory, REHEARSAL) as work:
        done = await _Rebuild(config, reach, owned, tell).make(work, work / "repository.git", rule=False)
    return replace(done, found=found)


class _Rebuild:
    """One new state."""

    def __init__(self, config: Config, reach: Reach, owned: Mapping[SourceName, InstanceId], tell: Tell) -> None:
        self._config = config
        self._reach = reach
        self._owned = owned
        self._owner = one_owner(owned)
        self._tell = tell

    async def make(self, work: Path, mirror: Path, *, rule: bool) -> Rebuilt:
        """Written and closed in the folder `work`. `rule`: nobody else may start anything on the sources any more."""
        repository = Repository(self._config.repository, mirror, clock=self._reach.clock)
        try:
            self._tell("asking git", 0, None)
            head = await repository.fetch()
            await repository.verify(head.commit)
            used = [source for source in self._config.sources if self._owned[source.name] != NOBODY]
            settle_s = SETTLE_S if rule and len(self._config.sources) > 1 else 0.0
            past = await survivors(used, self._owner, self._reach, rule=rule, settle_s=settle_s, tell=self._count)
            surveyor = Surveyor(
                max_tasks=self._config.max_tasks_per_sweep,
                projects=projects_of(self._config),
                clock=self._reach.clock,
            )
            memory = await recollect(repository, surveyor, head.commit, past.sweeps())
            self._name_all(past, memory)
            store = Store.create(work, instance=self._owner, at=self._reach.clock.now())
            store.collecting = self._config.collecting
            try:
                store.go_on_from(past.moment, sorted(past.daemons), self._reach.clock.now())
                await self._recall(store, repository, memory, past)
                return self._told(store, memory, past)
            finally:
                store.close()
        finally:
            repository.close()

    def _count(self, count: int) -> None:
        self._tell("reading attempts", count, None)

    def _name_all(self, past: Past, memory: Memory) -> None:
        """Find the points of all tasks that have attempts."""
        names = set(past.sweeps()) | (memory.survey.sweeps.keys() if past.nameless else set())
        for name in sorted(names):
            spec = memory.desired(name)
            points = expand(spec) if spec is not None else ()
            for count in past.find_points(name, points, self._config.max_tasks_per_sweep):
                if count % TELL_EVERY == 0:
                    self._tell(f"finding the tasks of {name}", count, None)

    async def _recall(self, store: Store, repository: Repository, memory: Memory, past: Past) -> None:
        """The sweeps that have a past, and then, by the ordinary pass, all others."""
        recall = Recall(store, past, self._reach.clock.now())
        done, forgotten = 0, set[SweepName]()
        for name in past.sweeps():
            sweep = await remember(repository, memory, past, name)
            if sweep.document is None:
                forgotten.add(name)
            count = 0
            for count in recall.sweep(sweep):
                self._tell("writing attempts", done + count, len(past.attempts))
            done += count
        await Acceptance(store, Catalog(store), repository, self._config, self._reach.clock).run()
        recall.give_up_unstarted(forgotten)
        row = store.repository()
        if not row.blocked and any(sweep.frozen for sweep in store.sweeps()):
            store.set_repository(replace(row, blocked=BLOCKED))

    def _told(self, store: Store, memory: Memory, past: Past) -> Rebuilt:
        attempts = Counter(key.sweep for key in past.attempts)
        there = Counter(left.source for left in past.attempts.values())
        queued = Counter(left.source for left in past.attempts.values() if left.remains.found.job is not None)
        active: Counter[SweepName] = Counter()
        for (name, _), count in store.active_counts().items():
            active[name] += count
        names = sorted({*attempts, *(sweep.name for sweep in store.sweeps())})
        return Rebuilt(
            found=Examined(soundness=Soundness.MISSING),
            instance=self._owner,
            revision=memory.head,
            sources=tuple(
                SourceTold(
                    name=each.name,
                    root=each.root,
                    owner=self._owned[each.name],
                    attempts=there[each.name],
                    jobs=queued[each.name],
                )
                for each in self._config.sources
            ),
            sweeps=tuple(_sweep_told(store, memory, name, attempts[name], active[name]) for name in names),
            plan=plan_id((sweep.name, sweep.frozen) for sweep in store.sweeps()),
            nameless=tuple(past.nameless.values()),
            strangers=tuple(past.strangers),
            doubled=tuple(past.doubled),
        )


def _sweep_told(store: Store, memory: Memory, name: SweepName, attempts: int, active: int) -> SweepTold:
    tasks: Counter[Phase] = Counter()
    for (_, phase), count in store.counts(name).items():
        tasks[phase] += count
    row = store.sweep(name)
    return SweepTold(
        name=name,
        standing=memory.standing(name).value if attempts else "new",
        tasks=tasks,
        attempts=attempts,
        active=active,
        waits=row is not None and bool(row.frozen),
    )


def _refuse_whole(found: Examined, owner: InstanceId, directory: Path) -> None:
    """A whole state is the better one, unless it is a new one that only stands where the lost one was."""
    if found.soundness is not Soundness.WHOLE or (found.instance != owner and found.attempts == 0):
        return
    whose = "" if found.instance == owner else f", though not that of these sources ({found.instance}, not {owner})"
    raise StoreError(
        "StateIsWhole",
        f"the state in {directory} is whole{whose}",
        hint="`reconciler rebuild --force` makes a new one all the same, which knows less than this one does",
    )


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """No daemon runs, nor another rebuild; what a killed one has left goes."""
    lock = StateLock(directory)
    lock.acquire()
    try:
        for left_over in [path for prefix in (WORK, REHEARSAL) for path in directory.glob(f"{prefix}*")]:
            shutil.rmtree(left_over, ignore_errors=True)
        yield
    finally:
        lock.release()


@contextmanager
def _folder(directory: Path, prefix: str) -> Iterator[Path]:
    """A folder for the new state, beside the old one where there is any place."""
    place = directory if directory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _stamp(reach: Reach) -> str:
    return datetime.fromtimestamp(reach.clock.now(), tz=UTC).strftime("%Y%m%dT%H%M%SZ")
