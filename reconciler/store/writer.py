"""The one writer. A method is one durable transaction (synchronous=FULL); bulk ones do one per step of a generator."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from reconciler.core.model import (
    Attempt,
    Commit,
    Condition,
    Eid,
    HostIdentity,
    InstanceId,
    Instant,
    Json,
    Phase,
    SourceName,
    SweepName,
    Task,
    TaskId,
    TaskKey,
)
from reconciler.store import rows
from reconciler.store.acceptance import Acceptance
from reconciler.store.attempts import Batch
from reconciler.store.database import Database
from reconciler.store.events import write_events
from reconciler.store.reader import Reader
from reconciler.store.values import Accepted, DiffSummary, Draft, Event, RepositoryRow

CHUNK = 2_000
MOMENTS_BETWEEN = 1_000_000_000  # more than a state comes along after the last start that it has told a source of
LIVES_TOLD = 50  # how many starts later a request of a daemon that is gone may still arrive
LIVES_KEPT = 2_000  # two for each start: so many starts a copy that was put back may take to ask each source


class Store(Reader):
    """The store of the daemon. Every method raises StoreError when the state cannot be read or written."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._acceptance = Acceptance(database, self._staging)
        self.collecting: frozenset[SourceName] = frozenset()  # ends there are put down as still to be collected

    @classmethod
    def create(cls, directory: Path, *, instance: InstanceId, at: Instant) -> Store:
        """Open `<directory>/state.db` for writing, made (directory 0700, file 0600) when missing, migrated when older.

        `instance` is kept only when the store is new. Raises StoreError: NetworkFileSystem, NewerState, CorruptState.
        """
        database = Database.writable(directory)
        with database.transaction("create"):
            sql = "INSERT INTO meta (instance, created) SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM meta)"
            database.execute(sql, (instance, at))
            _write_life(database, "", at)  # before anything is added: what came before this was told by others
        return Store(database)

    def begin_life(self, daemon: str, at: Instant) -> tuple[str, ...]:
        """Write down that a daemon of this name serves the state now; returns those that did before, newest first."""
        with self._database.transaction("life"):
            sql = "SELECT daemon FROM lives WHERE daemon <> '' ORDER BY id DESC LIMIT ?"
            earlier = tuple(row[0] for row in self._database.rows(sql, (LIVES_TOLD,)))
            _write_life(self._database, daemon, at)
            self._database.execute("DELETE FROM lives WHERE id <= (SELECT max(id) FROM lives) - ?", (LIVES_KEPT,))
        return earlier

    # -- acceptance:  stage → prepare → commit; for each sweep alone, whatever happens to others meanwhile

    def prepare(self, draft: Draft) -> Generator[int, None, DiffSummary]:
        """Write the diff of the staged points under an inactive generation; the old one stays in force.

        One transaction per step, yields how many tasks so far. The summary is that of `draft.policy` without freeze.
        A crash, or preparing again, discards it. With `policy.deletion` nothing needs to be staged.
        """
        return self._acceptance.prepare(draft)

    def commit(self, name: SweepName, *, freeze: bool, at: Instant) -> Generator[int, None, Accepted]:
        """Put the prepared generation in force (the first step: one small transaction), then apply its changes.

        One transaction per step, yields how many changes so far. From the first step on it survives a crash.
        `freeze`: removals and replacements wait for `release_frozen`.
        """
        return self._acceptance.commit(name, freeze=freeze, at=at)

    def accept(self, draft: Draft, *, freeze: bool, at: Instant) -> Generator[int, None, Accepted]:
        """`prepare` and `commit` in one."""
        yield from self.prepare(draft)
        return (yield from self.commit(draft.name, freeze=freeze, at=at))

    def abandon(self, name: SweepName) -> Generator[int, None, None]:
        """Discard what was prepared, if anything was."""
        return self._acceptance.abandon(name)

    def recover(self, at: Instant) -> Generator[int, None, None]:
        """After a crash: finish what was in force, discard what was not. To be run before anything else."""
        return self._acceptance.recover(at)

    def release_frozen(self, name: SweepName, at: Instant) -> Generator[int, None, int]:
        """Apply the removals and replacements that waited for approval; returns how many tasks were looked at.

        (There is no call that drops them: a later generation that has the points again thaws them.)
        """
        return self._acceptance.release_frozen(name, at)

    # -- attempts

    def intend(self, attempts: Sequence[Attempt]) -> None:
        """New attempts, before anything is sent: their tasks become queued. One durable transaction for all.

        Each attempt's digest is its sweep's (`SweepRow.policy.digest`). Raises StoreError, and writes nothing:
        NotWaiting when a task may not start, NumberTaken when the number or the eid was given before.
        """
        with self._database.transaction("intend"):
            batch = Batch(self._database, attempts)
            for attempt in attempts:
                batch.intend(attempt)
            batch.flush()

    def record(self, pairs: Sequence[tuple[Attempt, Task]], at: Instant, events: Sequence[Event] = ()) -> None:
        """Save what was learned: the attempt's new value and its task's. Idempotent.

        A recorded success is final; the task is saved only from its newest attempt; an intended cancellation stays.
        A task that ended while its spec changed, or that was cancelled and is desired, goes on as `core.diff` decides.
        Of the task only phase, reason, failures, uncounted, not_before and scale are taken. Durable when an attempt
        ended: its source may forget it then. Otherwise the source tells again.
        """
        ended = any(attempt.phase.ended for attempt, _ in pairs)
        with self._database.transaction("conclude") if ended else self._database.soft_transaction("record"):
            batch = Batch(self._database, [attempt for attempt, _ in pairs], self.collecting)
            for attempt, task in pairs:
                batch.record(attempt, task, at)
            batch.flush()
            write_events(self._database, events, at)

    def sent(self, eids: Iterable[Eid], at: Instant) -> None:
        """These are about to be submitted to a scheduler, and never will be again under the same eid. Durable."""
        with self._database.transaction("sent"):
            self._database.many("UPDATE attempts SET sent_at = ? WHERE eid = ?", [(at, eid) for eid in eids])

    def unsent(self, eids: Iterable[Eid]) -> None:
        """The scheduler has certainly not got them. Forgotten in a power loss it only costs time."""
        with self._database.soft_transaction("unsent"):
            sql = "UPDATE attempts SET sent_at = NULL WHERE eid = ? AND accepted_at IS NULL"
            self._database.many(sql, [(eid,) for eid in eids])

    def accepted(self, eids: Iterable[Eid], at: Instant) -> None:
        """The source has these attempts; those of which more is known already keep what is known.

        Not durable by itself: forgotten in a power loss, they are looked at again.
        """
        with self._database.soft_transaction("accepted"):
            sql = "UPDATE attempts SET accepted_at = ? WHERE eid = ? AND open = 1 AND accepted_at IS NULL"
            self._database.many(sql, [(at, eid) for eid in eids])

    def collected(self, sizes: Mapping[int, int], at: Instant) -> None:
        """What was written by these attempts lies here, durably: `Uncollected.id` → bytes. Another end counts anew."""
        with self._database.transaction("collected"):
            sql = "UPDATE collections SET collected_at = ?, bytes = ? WHERE id = ?"
            self._database.many(sql, [(at, size, each) for each, size in sizes.items()])

    def intend_cancel(self, eids: Iterable[Eid], reason: str, at: Instant) -> None:
        """Mark open attempts as to be cancelled; those marked already keep their reason, and `cancel_at` is renewed."""
        with self._database.transaction("cancel"):
            batch = Batch(self._database)
            for eid in eids:
                batch.cancel(eid, reason, at)
            batch.flush()

    def reset(
        self, name: SweepName, tasks: Iterable[TaskKey] | None, *, phases: Sequence[Phase], reason: str, at: Instant
    ) -> Generator[int, None, int]:
        """Let desired tasks (None: all of the sweep) in one of `phases` wait again, with a fresh budget.

        Active and succeeded ones are never reset. Yields and returns how many were.
        """
        done = 0
        stream = self._identities(name) if tasks is None else iter([key.task for key in tasks if key.sweep == name])
        while chunk := list(islice(stream, CHUNK)):
            with self._database.transaction("reset"):
                batch = Batch(self._database)
                done += sum(batch.reset(TaskKey(name, task), phases, reason, at) for task in chunk)
                batch.flush()
            yield done
        return done

    def keep_names(self, eids: Iterable[Eid], source: SourceName) -> None:
        """These attempts lie on a source, and this state does not know them; see `names`."""
        with self._database.transaction("names"):
            sql = "INSERT OR REPLACE INTO names (eid, source) VALUES (?, ?)"
            self._database.many(sql, [(eid, source) for eid in eids])

    def move(self, eids: Iterable[Eid], source: SourceName, home: HostIdentity) -> int:
        """Those of these attempts that have not started, as far as we know, are on another source; returns how many."""
        with self._database.transaction("rehome"):
            batch = Batch(self._database)
            count = sum(batch.move(eid, source, home) for eid in eids)
            batch.flush()
        return count

    def go_on_from(self, moment: int, daemons: Iterable[str], at: Instant) -> None:
        """This new state follows one that had come so far, or a little farther: its own `moment` begins far beyond.

        daemons: who had served others before it, as far as that is known. What they told it knows.
        """
        with self._database.transaction("moment"):
            self._database.execute("DELETE FROM sqlite_sequence WHERE name = 'events'")
            sql = "INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)"
            self._database.execute(sql, (moment + MOMENTS_BETWEEN,))
            self._database.execute("UPDATE lives SET moment = ?", (moment + MOMENTS_BETWEEN,))
            for daemon in (*daemons, ""):
                _write_life(self._database, daemon, at)

    # -- facts beside tasks

    def set_repository(self, row: RepositoryRow) -> None:
        """Remember what is known of the repository."""
        values = asdict(row)
        columns = ",".join(values)
        sql = f"INSERT OR REPLACE INTO repository (id,{columns}) VALUES (1{',?' * len(values)})"
        with self._database.transaction("repository"):
            self._database.execute(sql, list(values.values()))

    def set_invalid(
        self, path: str, sweep: SweepName | None, errors: Sequence[Mapping[str, Json]], at: Instant
    ) -> None:
        """Remember why a manifest is not understood."""
        sql = "INSERT OR REPLACE INTO invalid (path, sweep, at, errors) VALUES (?, ?, ?, ?)"
        with self._database.transaction("invalid"):
            self._database.execute(sql, (path, sweep, at, rows.dump(errors)))

    def clear_invalid(self, path: str) -> None:
        """The manifest is understood again, or gone."""
        with self._database.transaction("valid"):
            self._database.execute("DELETE FROM invalid WHERE path = ?", (path,))

    def set_path(self, name: SweepName, path: str, commit: Commit) -> None:
        """The manifest moved, and nothing else changed."""
        with self._database.transaction("path"):
            self._database.execute("UPDATE sweeps SET path = ?, head = ? WHERE name = ?", (path, commit, name))

    def set_status(self, name: SweepName, conditions: Sequence[Condition], holds: Json) -> bool:
        """Written only when changed; returns whether it was."""
        new = (rows.dump([asdict(each) for each in conditions]), rows.dump(holds))
        if self._database.row("SELECT conditions, holds FROM sweeps WHERE name = ?", (name,)) in (None, new):
            return False
        with self._database.soft_transaction("status"):
            self._database.execute("UPDATE sweeps SET conditions = ?, holds = ? WHERE name = ?", (*new, name))
        return True

    def set_source(self, name: SourceName, state: Json, at: Instant) -> None:
        """The last known state of a source."""
        with self._database.soft_transaction("source"):
            sql = "INSERT OR REPLACE INTO sources (name, at, state) VALUES (?, ?, ?)"
            self._database.execute(sql, (name, at, rows.dump(state)))

    def switch(self, source: SourceName, *, on: bool, at: Instant) -> None:
        """Whether new attempts may start on a source, until the next switch."""
        with self._database.transaction("switched"):
            if on:
                self._database.execute("DELETE FROM switched_off WHERE source = ?", (source,))
            else:
                self._database.execute("INSERT OR IGNORE INTO switched_off (source, at) VALUES (?, ?)", (source, at))

    def want_repins(self, names: Iterable[SweepName]) -> None:
        """The commits of these sweeps are to be resolved anew, whatever happens before that is done."""
        with self._database.transaction("repin"):
            self._database.many("INSERT OR REPLACE INTO repins (sweep) VALUES (?)", [(name,) for name in names])

    def repinned(self, done: Mapping[SweepName, int]) -> None:
        """These of `repins` are done; whoever has asked again since is not forgotten."""
        with self._database.transaction("repinned"):
            self._database.many("DELETE FROM repins WHERE sweep = ? AND id <= ?", list(done.items()))

    def add_events(self, events: Sequence[Event], at: Instant) -> None:
        """Append events that belong to no other write."""
        with self._database.transaction("events"):
            write_events(self._database, events, at)

    def _identities(self, name: SweepName) -> Iterator[TaskId]:
        """The sweep's tasks by id, page by page."""
        last = ""
        sql = "SELECT task FROM tasks WHERE sweep = ? AND task > ? ORDER BY task LIMIT ?"
        while page := self._database.rows(sql, (self._of(name)[0], last, CHUNK)):
            last = page[-1][0]
            yield from (task for (task,) in page)


def _write_life(database: Database, daemon: str, at: Instant) -> None:
    sql = (
        "INSERT INTO lives (daemon, begun, moment)"
        " SELECT ?, ?, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)"
    )
    database.execute(sql, (daemon, at))
