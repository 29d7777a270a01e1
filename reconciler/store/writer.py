"""The one writer. Every method is one durable transaction (synchronous=FULL); bulk ones do one per step of a generator."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path

from reconciler.core.model import (
    Attempt, Condition, Eid, InstanceId, Instant, Json, Phase, SourceName, SweepName, Task, TaskKey,
)
from reconciler.store.reader import Reader
from reconciler.store.values import Accepted, DiffSummary, Draft, Event, RepositoryRow


class Store(Reader):
    """The store of the daemon. Every method raises StoreError when the state cannot be read or written."""

    @classmethod
    def create(cls, directory: Path, *, instance: InstanceId, at: Instant) -> Store:
        """Open `<directory>/state.db` for writing, made (directory 0700, file 0600) when missing, migrated when older.

        `instance` is kept only when the store is new. Raises StoreError: NetworkFileSystem, NewerState, CorruptState.
        """
        raise NotImplementedError

    # -- acceptance:  stage → prepare → commit; for each sweep alone, whatever happens to others meanwhile

    def prepare(self, draft: Draft) -> Generator[int, None, DiffSummary]:
        """Write the diff of the staged points under an inactive generation; the old one stays in force.

        One transaction per step, yields how many tasks so far. The summary is that of `draft.policy` without freeze.
        A crash, or preparing again, discards it.
        """
        raise NotImplementedError

    def commit(self, name: SweepName, *, freeze: bool, at: Instant) -> Generator[int, None, Accepted]:
        """Put the prepared generation in force (the first step: one small transaction), then apply its changes.

        One transaction per step, yields how many changes so far. From the first step on it survives a crash (`recover`).
        """
        raise NotImplementedError

    def accept(self, draft: Draft, *, freeze: bool, at: Instant) -> Generator[int, None, Accepted]:
        """`prepare` and `commit` in one."""
        raise NotImplementedError

    def abandon(self, name: SweepName) -> Generator[int, None, None]:
        """Discard what was prepared."""
        raise NotImplementedError

    def recover(self, at: Instant) -> Generator[int, None, None]:
        """After a crash: finish what was in force, discard what was not. To be run before anything else."""
        raise NotImplementedError

    def release_frozen(self, name: SweepName, at: Instant) -> Generator[int, None, int]:
        """Apply the removals and replacements that waited for approval; returns how many tasks changed.

        (There is no call that drops them: a later generation that has the points again thaws them.)
        """
        raise NotImplementedError

    # -- attempts

    def intend(self, attempts: Sequence[Attempt]) -> None:
        """New attempts, before anything is sent: their tasks become queued. One durable transaction for all.

        Raises StoreError EidTaken when an eid or number exists already; then nothing is written.
        """
        raise NotImplementedError

    def record(self, pairs: Sequence[tuple[Attempt, Task]], at: Instant, events: Sequence[Event] = ()) -> None:
        """Save what was learned: the attempt's new value and its task's. Idempotent.

        A recorded success is final; the task is saved only from its newest attempt; an intended cancellation stays.
        A task that ended while its spec changed, or that was cancelled and is desired, goes on as `core.diff` decides.
        """
        raise NotImplementedError

    def intend_cancel(self, eids: Iterable[Eid], reason: str, at: Instant) -> None:
        """Mark open attempts as to be cancelled; those marked already keep their reason, and `cancel_at` is renewed."""
        raise NotImplementedError

    def reset(
        self, name: SweepName, tasks: Iterable[TaskKey] | None, *, phases: Sequence[Phase], reason: str, at: Instant
    ) -> Generator[int, None, int]:
        """Let desired tasks (None: all of the sweep) in one of the ended `phases` wait again, with a fresh budget.

        Succeeded ones are never reset. Returns how many were.
        """
        raise NotImplementedError

    # -- facts beside tasks

    def set_repository(self, row: RepositoryRow) -> None: ...

    def set_invalid(
        self, path: str, sweep: SweepName | None, errors: Sequence[Mapping[str, Json]], at: Instant
    ) -> None:
        """Remember why a manifest is not understood."""

    def clear_invalid(self, path: str) -> None: ...

    def set_path(self, name: SweepName, path: str, commit: str) -> None:
        """The manifest moved, and nothing else changed."""

    def set_status(self, name: SweepName, conditions: Sequence[Condition], holds: Json) -> bool:
        """Written only when changed; returns whether it was."""
        raise NotImplementedError

    def set_source(self, name: SourceName, state: Json, at: Instant) -> None: ...

    def add_events(self, events: Sequence[Event], at: Instant) -> None: ...

    def drop_sweep(self, name: SweepName) -> Generator[int, None, None]:
        """Forget a deleted sweep that has no active tasks (its attempts' numbers stay known: see `attempts`)."""
        raise NotImplementedError
