"""Questions to the store; read-only, short, and none of them counts or scans tasks when a daemon's pass asks it.

Not constant: `tasks` (a scan with a bounded result, for people), `plan` and `stage` (in proportion to the points).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from reconciler.core.diff import Change, DiffPolicy
from reconciler.core.model import (
    Attempt, Eid, InstanceId, Instant, Phase, Point, SourceName, SweepName, Task, TaskId, TaskKey,
)
from reconciler.store.values import (
    DiffSummary, EventRow, GenerationRow, InvalidRow, RepositoryRow, SourceRow, SweepRow,
)


class Reader:
    """The store, read-only. Every method raises StoreError when the state cannot be read."""

    @classmethod
    def open(cls, directory: Path) -> Reader:
        """Open `<directory>/state.db` read-only; raises StoreError (NoState when there is none)."""
        raise NotImplementedError

    def close(self) -> None: ...

    def instance(self) -> InstanceId:
        """Which installation this is; drawn once, when the store was made."""
        raise NotImplementedError

    def repository(self) -> RepositoryRow:
        raise NotImplementedError

    def sweeps(self) -> list[SweepRow]:
        """All sweeps by name, with deleted ones that still have active tasks."""
        raise NotImplementedError

    def sweep(self, name: SweepName) -> SweepRow | None:
        raise NotImplementedError

    def invalid(self) -> list[InvalidRow]:
        raise NotImplementedError

    def generations(self, name: SweepName, limit: int = 50) -> list[GenerationRow]:
        """Newest first."""
        raise NotImplementedError

    def counts(self, name: SweepName) -> Mapping[tuple[SourceName | None, Phase], int]:
        """Desired tasks per source of their newest attempt and phase; only non-zero ones."""
        raise NotImplementedError

    def active_counts(self) -> Mapping[tuple[SweepName, SourceName], int]:
        """Active tasks per sweep and source, also those no longer desired (they take a slot); only non-zero ones."""
        raise NotImplementedError

    def task(self, key: TaskKey) -> Task | None:
        """A task, desired or not; None when it was never known."""
        raise NotImplementedError

    def tasks(self, name: SweepName, *, phase: Phase | None = None, after: int | None = None, limit: int) -> list[Task]:
        """Desired tasks in declared order, from the first ordinal beyond `after`."""
        raise NotImplementedError

    def find_task(self, name: SweepName, prefix: str, limit: int = 10) -> list[Task]:
        """Tasks whose id begins with `prefix`, desired or not."""
        raise NotImplementedError

    def attempts(self, key: TaskKey) -> list[Attempt]:
        """All attempts of a task, the first one first."""
        raise NotImplementedError

    def open_attempts(self, source: SourceName) -> list[Attempt]:
        """Tracked attempts that have not ended."""
        raise NotImplementedError

    def attempts_by_eid(self, eids: Iterable[Eid]) -> Mapping[Eid, Attempt]:
        """Those of them that are known."""
        raise NotImplementedError

    def cancelling(self, source: SourceName, before: Instant) -> list[Attempt]:
        """Open attempts whose cancellation was intended not after `before`."""
        raise NotImplementedError

    def heads(self, name: SweepName, *, limit: int, now: Instant) -> list[Task]:
        """At most `limit` tasks that may start: waiting, desired, not frozen, backoff over; in declared order.

        Empty while a generation's changes are still being applied.
        """
        raise NotImplementedError

    def next_wake(self, name: SweepName, now: Instant) -> Instant | None:
        """The earliest end of a backoff that lies after `now`."""
        raise NotImplementedError

    def events(self, sweep: SweepName | None = None, task: TaskId | None = None, limit: int = 100) -> list[EventRow]:
        """Newest first."""
        raise NotImplementedError

    def sources(self) -> list[SourceRow]:
        raise NotImplementedError

    # -- staging: the desired points of one sweep, kept in a temporary table of this connection

    def stage(self, name: SweepName, points: Iterable[tuple[int, Point]]) -> Generator[int, None, int]:
        """Take the points (with their ordinals) in; one chunk per step, yields how many so far, returns how many.

        One sweep at a time: it replaces what was staged before. Nothing is written to the store.
        """
        raise NotImplementedError

    def changes(self, name: SweepName, policy: DiffPolicy) -> Iterator[Change]:
        """The diff of the staged points against what is known of the sweep."""
        raise NotImplementedError

    def summarise(self, name: SweepName, policy: DiffPolicy) -> Generator[int, None, DiffSummary]:
        """The same in numbers; one chunk per step, yields how many tasks so far."""
        raise NotImplementedError
