"""Questions to the store; read-only, short, and none of them counts or scans tasks when a daemon's pass asks it.

Not constant: `tasks` (a scan with a bounded result, for people), and staging (in proportion to the points).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from reconciler.core.diff import Change, DiffPolicy
from reconciler.core.efficiency import Usage
from reconciler.core.model import (
    Attempt,
    Eid,
    InstanceId,
    Instant,
    Phase,
    Point,
    SourceName,
    SweepName,
    Task,
    TaskId,
    TaskKey,
)
from reconciler.store import rows
from reconciler.store.database import Cell, Database, Row, pages, places
from reconciler.store.settle import sweep_of, would_end
from reconciler.store.staging import Staging
from reconciler.store.values import (
    DiffSummary,
    EventRow,
    GenerationRow,
    InvalidRow,
    RepositoryRow,
    SourceRow,
    SweepRow,
    Uncollected,
)

_TASKS = "tasks t CROSS JOIN points p ON p.sweep = t.sweep AND p.added = t.added AND p.place = t.place"
TASK = f"SELECT {rows.TASK_COLUMNS} FROM {_TASKS} WHERE t.sweep = ? AND t.added <= ?"
_QUEUE = f"""
    SELECT {rows.TASK_COLUMNS.replace("task,ordinal", "t.task,t.ordinal")}
    FROM heads h CROSS JOIN {_TASKS}
    WHERE t.sweep = h.sweep AND t.task = h.task AND h.sweep = ? AND h.added <= ? AND h.wake
"""
READY = f"{_QUEUE} = 0.0 ORDER BY h.ordinal, h.task LIMIT ?"
DUE = f"{_QUEUE} > 0.0 AND h.wake <= ? ORDER BY h.wake, h.ordinal LIMIT ?"
ASTRAY = f"{_QUEUE} > ? ORDER BY h.wake, h.ordinal LIMIT ?"
WAITING = "SELECT coalesce(sum(n), 0) FROM counters WHERE sweep = ? AND phase = 'waiting' AND standing = 'desired'"
NEXT_WAKE = "SELECT wake FROM heads WHERE sweep = ? AND wake > ? AND wake <= ? AND added <= ? ORDER BY wake LIMIT 1"
COUNTS = """
    SELECT source, phase, sum(n) FROM counters WHERE sweep = ? AND standing IN ('desired', 'frozen') GROUP BY 1, 2
"""
ATTEMPT = f"""
    SELECT s.name, {",".join("a." + column for column in rows.ATTEMPT_COLUMNS.split(","))}
    FROM attempts a JOIN sweeps s ON s.id = a.sweep WHERE
"""
OPEN = f"{ATTEMPT} a.open = 1 AND a.source = ?"
UNACCEPTED = f"""
    {ATTEMPT} a.open = 1 AND a.accepted_at IS NULL AND a.sent_at IS NULL AND a.cancel = '' AND a.phase = 'queued'
        AND a.source = ?
    ORDER BY a.intended_at LIMIT ?
"""
UNCOLLECTED = f"""
    s.name, {",".join("a." + column for column in rows.ATTEMPT_COLUMNS.split(","))}
    FROM collections c CROSS JOIN attempts a ON a.eid = c.eid JOIN sweeps s ON s.id = a.sweep
    WHERE c.collected_at IS NULL AND c.source = ? AND c.id > ? ORDER BY c.id LIMIT ?
"""
MEASURED = f"""
    SELECT {rows.ATTEMPT_COLUMNS}, max(number) FROM attempts
    WHERE sweep = ? AND started_at IS NOT NULL AND ended_at IS NOT NULL AND cpu_s IS NOT NULL AND task
"""
MEASURED_PAGE = 2_000
DELAYED_MAX = 100_000
CANCELLING = f"{ATTEMPT} a.open = 1 AND a.cancel <> '' AND a.source = ? AND a.cancel_at <= ? ORDER BY a.cancel_at"


class Reader:
    """The store, read-only. Every method raises StoreError when the state cannot be read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._staging = Staging(database)

    @classmethod
    def open(cls, directory: Path) -> Reader:
        """Open `<directory>/state.db` read-only; raises StoreError (NoState when there is none)."""
        return Reader(Database.read_only(directory))

    def close(self) -> None:
        self._database.close()

    # -- facts beside tasks

    def instance(self) -> InstanceId:
        """Which installation this is; drawn once, when the store was made."""
        return InstanceId(self._database.rows("SELECT instance FROM meta")[0][0])

    def moment(self) -> int:
        """How far the story of this state has come: with every event it grows, and a copy put back goes back."""
        row = self._database.row("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        return 0 if row is None else int(row[0])

    def known_of(self, daemon: str) -> int:
        """How far this state knows what a daemon told: the `moment` at which the next one took over from it.

        -1 of a daemon that it does not know: that one may have served another copy, however far it had come.
        """
        known = self._database.row("SELECT max(id) FROM lives WHERE daemon = ?", (daemon,))
        if known is None or known[0] is None:
            return -1
        row = self._database.row("SELECT moment FROM lives WHERE id > ? ORDER BY id LIMIT 1", (known[0],))
        return self.moment() if row is None else int(row[0])

    def repository(self) -> RepositoryRow:
        row = self._database.row(
            "SELECT accepted, tree, fetched, checked_at, error_reason, error_message, rewritten_from, blocked"
            " FROM repository"
        )
        return RepositoryRow() if row is None else rows.repository(row)

    def sweeps(self) -> list[SweepRow]:
        """All sweeps by name; deleted ones only while they have active tasks, or their removal waits for approval."""
        sql = f"""
            SELECT {rows.SWEEP_COLUMNS} FROM sweeps WHERE generation > 0 AND (
                deleted = 0 OR frozen <> '' OR settling = 1
                OR EXISTS (SELECT 1 FROM attempts WHERE sweep = sweeps.id AND open = 1)) ORDER BY name
        """
        return [rows.sweep(row) for row in self._database.rows(sql)]

    def sweep(self, name: SweepName) -> SweepRow | None:
        """A sweep, deleted or not; None when nothing of that name was ever accepted."""
        sql = f"SELECT {rows.SWEEP_COLUMNS} FROM sweeps WHERE name = ? AND generation > 0"
        row = self._database.row(sql, (name,))
        return None if row is None else rows.sweep(row)

    def invalid(self) -> list[InvalidRow]:
        """Manifests that are not understood, by path."""
        return [rows.invalid(row) for row in self._database.rows("SELECT path, sweep, at, errors FROM invalid")]

    def held_back(self, name: SweepName) -> int:
        """How many active tasks of a sweep would end if its frozen removals were released now."""
        sweep = sweep_of(self._database, name)
        return 0 if sweep is None else would_end(self._database, sweep)

    def generations(self, name: SweepName, limit: int = 50) -> list[GenerationRow]:
        """Newest first."""
        sql = """
            SELECT g.generation, g.head, g.at, g.document_digest, g.digest, g.counts, g.frozen
            FROM generations g JOIN sweeps s ON s.id = g.sweep WHERE s.name = ? ORDER BY g.generation DESC LIMIT ?
        """
        return [rows.generation(name, row) for row in self._database.rows(sql, (name, limit))]

    def events(self, sweep: SweepName | None = None, task: TaskId | None = None, limit: int = 100) -> list[EventRow]:
        """Newest first."""
        where, args = "", list[Cell]()
        if sweep is not None:
            where, args = "WHERE sweep = ?", [sweep]
        if sweep is not None and task is not None:
            where, args = "WHERE sweep = ? AND task = ?", [sweep, task]
        sql = f"SELECT id, at, sweep, task, attempt, reason, message FROM events {where} ORDER BY id DESC LIMIT ?"
        return [rows.event(row) for row in self._database.rows(sql, [*args, limit])]

    def sources(self) -> list[SourceRow]:
        """By name."""
        return [rows.source(row) for row in self._database.rows("SELECT name, at, state FROM sources ORDER BY name")]

    # -- tasks

    def counts(self, name: SweepName) -> Mapping[tuple[SourceName | None, Phase], int]:
        """Desired tasks per source of their newest attempt and phase; only non-zero ones."""
        found = self._database.rows(COUNTS, (self._of(name)[0],))
        return {(SourceName(source) if source else None, Phase(phase)): n for source, phase, n in found if n}

    def endings(self, name: SweepName) -> Mapping[tuple[SourceName, Phase], int]:
        """How many attempts of a sweep have ended, by source and phase, since the store exists; only ever grows."""
        sql = "SELECT source, phase, n FROM endings WHERE sweep = ?"
        return {
            (SourceName(source), Phase(phase)): n for source, phase, n in self._database.rows(sql, (self._of(name)[0],))
        }

    def usage(self, name: SweepName) -> Mapping[SourceName, Usage]:
        """What the ended attempts of a sweep have used, by source, since the store exists."""
        sql = f"SELECT source, {rows.USAGE_COLUMNS} FROM usage WHERE sweep = ?"
        found = self._database.rows(sql, (self._of(name)[0],))
        return {SourceName(source): rows.usage(tuple(used)) for source, *used in found}

    def active_counts(self) -> Mapping[tuple[SweepName, SourceName], int]:
        """Active tasks per sweep and source, also those no longer desired (they take a slot); only non-zero ones."""
        sql = """
            SELECT s.name, c.source, sum(c.n) FROM counters c JOIN sweeps s ON s.id = c.sweep
            WHERE c.phase IN ('queued', 'running') AND c.standing <> 'orphaned' GROUP BY 1, 2
        """
        return {(SweepName(name), SourceName(source)): n for name, source, n in self._database.rows(sql) if n}

    def task(self, key: TaskKey) -> Task | None:
        """A task, desired or not; None when it was never known."""
        sweep, generation, _ = self._of(key.sweep)
        row = self._database.row(f"{TASK} AND task = ?", (sweep, generation, key.task))
        return None if row is None else rows.task(key.sweep, row)

    def tasks_by_key(self, keys: Iterable[TaskKey]) -> Mapping[TaskKey, Task]:
        """Those of them that are known."""
        wanted: dict[SweepName, list[TaskId]] = {}
        for key in keys:
            wanted.setdefault(key.sweep, []).append(key.task)
        found: dict[TaskKey, Task] = {}
        for name, tasks in wanted.items():
            sweep, generation, _ = self._of(name)
            for page in pages(tasks):
                sql = f"{TASK} AND task IN ({places(page)})"
                read = (rows.task(name, row) for row in self._database.rows(sql, (sweep, generation, *page)))
                found.update((task.key, task) for task in read)
        return found

    def tasks(
        self, name: SweepName, *, phase: Phase | None = None, after: Task | None = None, limit: int
    ) -> list[Task]:
        """Desired tasks in declared order; `after`: the last one of the page before."""
        sweep, generation, _ = self._of(name)
        place = (-1, "") if after is None else (after.ordinal, after.key.task)
        sql = f"""
            {TASK} AND standing IN ('desired', 'frozen') AND (? IS NULL OR phase = ?) AND (ordinal, task) > (?, ?)
            ORDER BY ordinal, task LIMIT ?
        """
        found = self._database.rows(sql, (sweep, generation, phase, phase, *place, limit))
        return [rows.task(name, row) for row in found]

    def find_task(self, name: SweepName, prefix: str, limit: int = 10) -> list[Task]:
        """Tasks whose id begins with `prefix`, desired or not, by id."""
        sweep, generation, _ = self._of(name)
        sql = f"{TASK} AND task >= ? AND task < ? ORDER BY task LIMIT ?"
        found = self._database.rows(sql, (sweep, generation, prefix, prefix + "\x7f", limit))
        return [rows.task(name, row) for row in found]

    def heads(self, name: SweepName, *, limit: int, now: Instant, longest_s: float = math.inf) -> list[Task]:
        """At most `limit` tasks that may start: waiting, desired, not frozen, backoff over; in declared order.

        longest_s: no backoff is longer. One that ends even later was begun before the clock was set back, and is over,
        so that nobody waits as long as the clock was wrong; also in `next_wake` and `delayed`.

        Of more than `limit` whose backoff is over, those that wait longest. Empty while a generation's changes are
        still being applied.
        """
        sweep, generation, settling = self._of(name)
        limit = 0 if settling else min(limit, self._database.rows(WAITING, (sweep,))[0][0])
        if limit <= 0:
            return []
        found = self._database.rows(READY, (sweep, generation, limit))
        found += self._database.rows(DUE, (sweep, generation, now, limit))
        found += self._database.rows(ASTRAY, (sweep, generation, max(now + longest_s, 0.0), limit))
        heads = [rows.task(name, row) for row in found]
        return sorted(heads, key=lambda task: (task.ordinal, task.key.task))[:limit]

    def next_wake(self, name: SweepName, now: Instant, longest_s: float = math.inf) -> Instant | None:
        """The earliest end of a backoff that lies after `now`."""
        sweep, generation, _ = self._of(name)
        row = self._database.row(NEXT_WAKE, (sweep, max(now, 0.0), now + longest_s, generation))
        return None if row is None else Instant(row[0])

    def delayed(self, name: SweepName, now: Instant, longest_s: float = math.inf) -> int:
        """How many tasks wait for the end of their backoff; counted to DELAYED_MAX at most."""
        sql = "SELECT count(*) FROM (SELECT 1 FROM heads WHERE sweep = ? AND wake > ? AND wake <= ? LIMIT ?)"
        args = (self._of(name)[0], max(now, 0.0), now + longest_s, DELAYED_MAX)
        return int(self._database.rows(sql, args)[0][0])

    # -- attempts

    def attempts(self, key: TaskKey) -> list[Attempt]:
        """All attempts of a task, the first one first."""
        return self._attempts(f"{ATTEMPT} s.name = ? AND a.task = ? ORDER BY a.number", key)

    def open_attempts(self, source: SourceName) -> list[Attempt]:
        """Tracked attempts that have not ended."""
        return self._attempts(OPEN, (source,))

    def unaccepted(self, source: SourceName, *, limit: int) -> list[Attempt]:
        """Intended attempts that are still to be sent, as far as we know; the oldest first."""
        return self._attempts(UNACCEPTED, (source, limit))

    def attempts_by_eid(self, eids: Iterable[Eid]) -> Mapping[Eid, Attempt]:
        """Those of them that are known."""
        found: dict[Eid, Attempt] = {}
        for page in pages(eids):
            sql = f"{ATTEMPT} a.eid IN ({places(page)})"
            found.update((attempt.eid, attempt) for attempt in self._attempts(sql, page))
        return found

    def measured(self, name: SweepName) -> Iterator[Attempt]:
        """Of each task the newest attempt of which is known what it used, by task: a scan in pages, for people."""
        sweep, after = self._of(name)[0], ""
        while page := self._database.rows(
            f"{MEASURED} > ? GROUP BY task ORDER BY task LIMIT {MEASURED_PAGE}", (sweep, after)
        ):
            yield from (rows.attempt(name, row[:-1]) for row in page)
            after = page[-1][1]

    def measured_of(self, name: SweepName, tasks: Iterable[TaskId]) -> Mapping[TaskId, Attempt]:
        """The same of these tasks."""
        found: dict[TaskId, Attempt] = {}
        for page in pages(tasks):
            sql = f"{MEASURED} IN ({places(page)}) GROUP BY task"
            read = (rows.attempt(name, row[:-1]) for row in self._database.rows(sql, (self._of(name)[0], *page)))
            found.update((attempt.key.task, attempt) for attempt in read)
        return found

    def uncollected(self, source: SourceName, *, after: int, limit: int) -> list[Uncollected]:
        """Ended attempts of a source whose files are still to come here, in the order of their ends."""
        sql = f"SELECT c.id, {UNCOLLECTED}"
        found = self._database.rows(sql, (source, after, limit))
        return [Uncollected(id=row[0], attempt=rows.attempt(row[1], row[2:])) for row in found]

    def uncollected_counts(self) -> Mapping[SourceName, int]:
        """How many of them there are, by source."""
        sql = "SELECT source, count(*) FROM collections WHERE collected_at IS NULL GROUP BY source"
        return {SourceName(source): n for source, n in self._database.rows(sql)}

    def switched_off(self) -> frozenset[SourceName]:
        """The sources on which a person wants nothing new to start."""
        return frozenset(SourceName(source) for (source,) in self._database.rows("SELECT source FROM switched_off"))

    def repins(self) -> Mapping[SweepName, int]:
        """The sweeps whose commit a person wants resolved anew, each with a number that grows when asked again."""
        return {SweepName(sweep): id_ for id_, sweep in self._database.rows("SELECT id, sweep FROM repins")}

    def is_collected(self, eid: Eid) -> bool | None:
        """Whether an ended attempt's files lie here; None: nobody fetches them."""
        row = self._database.row("SELECT collected_at FROM collections WHERE eid = ?", (eid,))
        return None if row is None else row[0] is not None

    def names(self, eids: Iterable[Eid]) -> Mapping[Eid, SourceName]:
        """Where those of them lie that a later state than this one had made."""
        found: dict[Eid, SourceName] = {}
        for page in pages(eids):
            sql = f"SELECT eid, source FROM names WHERE eid IN ({places(page)})"
            found.update((Eid(eid), SourceName(source)) for eid, source in self._database.rows(sql, page))
        return found

    def cancelling(self, source: SourceName, before: Instant) -> list[Attempt]:
        """Open attempts whose cancellation was intended (or intended again) not after `before`; the oldest first."""
        return self._attempts(CANCELLING, (source, before))

    # -- staging: the desired points of one sweep, kept in temporary tables of this connection

    def stage(self, name: SweepName, points: Iterable[tuple[int, Point]]) -> Generator[int, None, int]:
        """Take the points in, each with its ordinal; one chunk per step, yields how many so far, returns how many.

        One sweep at a time: it replaces what was staged before. Nothing is written to the store.
        """
        return self._staging.stage(name, points)

    def changes(self, name: SweepName, policy: DiffPolicy) -> Iterator[Change]:
        """The diff of the staged points (none, for a deletion) against what is known of the sweep."""
        return self._staging.changes(name, policy)

    def summarise(self, name: SweepName, policy: DiffPolicy) -> Generator[int, None, DiffSummary]:
        """The same in numbers; one chunk per step, yields how many tasks so far."""
        return self._staging.summarise(name, policy)

    def _of(self, name: SweepName) -> Row:
        """(id, generation in force, settling); an unknown sweep has no tasks."""
        row = self._database.row("SELECT id, generation, settling FROM sweeps WHERE name = ?", (name,))
        return (0, 0, 0) if row is None else row

    def _attempts(self, sql: str, args: Sequence[Cell]) -> list[Attempt]:
        return [rows.attempt(row[0], row[1:]) for row in self._database.rows(sql, args)]
