"""Attempts and the tasks that follow them, inside one transaction.

`Batch` reads each task once, keeps its newest row, and lets the ledger move counters and heads; several changes of one
task in a batch see each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import replace

from reconciler.core.diff import Standing, Verb, decide
from reconciler.core.efficiency import Usage, usage
from reconciler.core.errors import StoreError
from reconciler.core.model import (
    Attempt,
    AttemptKey,
    Eid,
    HostIdentity,
    Instant,
    Phase,
    SourceName,
    SweepName,
    Task,
    TaskId,
    TaskKey,
)
from reconciler.store import rows
from reconciler.store.database import Cell, Database, pages, places
from reconciler.store.events import write_events
from reconciler.store.ledger import Ledger
from reconciler.store.rows import TaskRow
from reconciler.store.settle import Sweep, fresh, sweep_of, touch, transition
from reconciler.store.values import Event

_STATE = f"SELECT {rows.STATE_COLUMNS} FROM tasks WHERE sweep = ? AND added <= ?"
_TASK = f"{_STATE} AND task = ?"
_ATTEMPT = f"SELECT {rows.ATTEMPT_COLUMNS} FROM attempts WHERE sweep = ? AND task = ? AND number = ?"
_COLUMNS = rows.ATTEMPT_COLUMNS.split(",")
_INSERT = f"INSERT INTO attempts ({rows.ATTEMPT_COLUMNS}) VALUES ({','.join('?' * len(_COLUMNS))})"
_UPDATE = f"{_INSERT} ON CONFLICT (sweep, task, number) DO UPDATE SET " + ",".join(
    f"{column} = excluded.{column}" for column in _COLUMNS[4:]
)

_ENDED = (
    "INSERT INTO endings (sweep, source, phase, n) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (sweep, source, phase) DO UPDATE SET n = n + excluded.n"
)
_USED = (
    f"INSERT INTO usage (sweep, source, {rows.USAGE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (sweep, source) DO UPDATE SET elapsed_s = elapsed_s + excluded.elapsed_s,"
    " cpu_s = cpu_s + excluded.cpu_s, reserved_cpu_s = reserved_cpu_s + excluded.reserved_cpu_s,"
    " largest_mib = max(largest_mib, excluded.largest_mib), memory = max(memory, excluded.memory),"
    " walltime = max(walltime, excluded.walltime)"
)
_QUEUED = """
    SELECT s.name, a.task, a.number FROM attempts a JOIN sweeps s ON s.id = a.sweep
    WHERE a.open = 1 AND a.phase = 'queued'
"""
_OPEN = """
    SELECT s.name, a.task, a.number, a.cancel FROM attempts a JOIN sweeps s ON s.id = a.sweep
    WHERE a.eid = ? AND a.open = 1
"""


class Batch:
    """The changes of one transaction; `flush` before it commits."""

    def __init__(
        self, database: Database, attempts: Sequence[Attempt] = (), collecting: Container[SourceName] = ()
    ) -> None:
        """attempts: those that the batch is about; what is known of them is read at once.

        collecting: sources from which the files of ended attempts are fetched.
        """
        self._database = database
        self._collecting = collecting
        self._ledger = Ledger(database)
        self._sweeps: dict[SweepName, Sweep] = {}
        self._tasks: dict[TaskKey, TaskRow] = {}
        self._attempts: dict[AttemptKey, Attempt] = {}
        self._taken: set[Eid] = set()
        self._inserted: list[tuple[Cell, ...]] = []
        self._updated: list[tuple[Cell, ...]] = []
        self._to_collect: list[tuple[Cell, ...]] = []
        self._endings: Counter[tuple[int, SourceName, Phase]] = Counter()
        self._used: dict[tuple[int, SourceName], Usage] = {}
        self._events: list[tuple[Instant, Event]] = []
        self._read(attempts)

    def intend(self, attempt: Attempt) -> None:
        """A waiting task becomes queued."""
        key = attempt.key.task_key
        sweep, row = self._sweep(key.sweep), self._task(key)
        if row.phase is not Phase.WAITING or row.standing is not Standing.DESIRED:
            raise StoreError("NotWaiting", f"{key.sweep}/{key.task} may not start: it is {row.phase}, {row.standing}")
        if attempt.key.number <= row.attempts or attempt.eid in self._taken:
            message = f"attempt {attempt.key.number} of {key.sweep}/{key.task} was given before"
            raise StoreError("NumberTaken", message, hint="take the next number")
        self._taken.add(attempt.eid)
        self._inserted.append(rows.attempt_cells(sweep.id, attempt, tracked=True))
        budget = row if row.digest == attempt.digest else fresh(row, "")
        after = budget._replace(
            phase=attempt.phase,
            digest=attempt.digest,
            cancelling=False,
            reason="",
            attempts=attempt.key.number,
            not_before=None,
            source=attempt.source,
        )
        self._save(key, row, after)
        self._note(attempt, "Intended", f"on {attempt.source}", attempt.intended_at)

    def record(self, attempt: Attempt, task: Task, at: Instant) -> None:
        """What was learned of an attempt, and what it means for its task."""
        key = attempt.key.task_key
        sweep, row = self._sweep(key.sweep), self._task(key)
        stored = self._attempts.get(attempt.key) or self._stored(sweep, attempt.key)
        if stored is not None:
            if stored.cancel:
                attempt = replace(attempt, cancel=stored.cancel, cancel_at=stored.cancel_at)
            if _final(stored, attempt):
                return
        newest = attempt.key.number >= row.attempts
        tracked = newest and row.standing is not Standing.ORPHANED
        if stored != attempt:
            self._attempts[attempt.key] = attempt
            self._updated.append(rows.attempt_cells(sweep.id, attempt, tracked=tracked))
        after = self._learned(row, attempt, task) if newest else row
        if attempt.phase is Phase.SUCCEEDED:
            after = after._replace(succeeded=rows.with_digest(after.succeeded, attempt.digest))
        self._save(key, row, self._judged(sweep, after))
        if stored is None or stored.phase is not attempt.phase:
            if attempt.phase.ended:
                self._count(sweep, attempt, stored)
            reason = attempt.reason or attempt.phase.value.capitalize()
            self._note(attempt, reason, attempt.message or attempt.phase.value, at)

    def cancel(self, eid: Eid, reason: str, at: Instant) -> None:
        """An open attempt is to be cancelled."""
        found = self._database.row(_OPEN, (eid,))
        if found is None:
            return
        name, task, number, before = found
        sql = "UPDATE attempts SET cancel = ?, cancel_at = ? WHERE eid = ?"
        self._database.execute(sql, (before or reason, at, eid))
        key = TaskKey(SweepName(name), TaskId(task))
        row = self._task(key)
        if number == row.attempts:
            self._save(key, row, row._replace(cancelling=row.phase.active))
        if not before:
            self._events.append(
                (at, Event(reason=reason, message="cancelling", sweep=key.sweep, task=key.task, attempt=number))
            )

    def move(self, eid: Eid, source: SourceName, home: HostIdentity) -> bool:
        """A queued attempt is on another source than was written down; returns whether it was queued."""
        found = self._database.row(f"{_QUEUED} AND a.eid = ?", (eid,))
        if found is None:
            return False
        name, task, number = found
        sql = "UPDATE attempts SET source = ?, home = ?, accepted_at = NULL, sent_at = NULL WHERE eid = ?"
        self._database.execute(sql, (source, rows.home_text(home), eid))
        key = TaskKey(SweepName(name), TaskId(task))
        row = self._task(key)
        if number == row.attempts:
            self._save(key, row, row._replace(source=source))
        return True

    def reset(self, key: TaskKey, phases: Sequence[Phase], reason: str, at: Instant) -> bool:
        """A desired task waits again; returns whether it does."""
        row = self._find(key)
        if row is None or row.phase not in phases or not row.standing.desired:
            return False
        if row.phase.active or row.phase is Phase.SUCCEEDED:
            return False
        self._save(key, row, fresh(row, reason)._replace(phase=Phase.WAITING, digest=None))
        event = Event(reason=reason, message="waiting again, with a fresh budget", sweep=key.sweep, task=key.task)
        self._events.append((at, event))
        return True

    def flush(self) -> None:
        """To be called once, at the end."""
        self._database.many(_INSERT, self._inserted)
        self._database.many(_UPDATE, self._updated)
        self._database.many(_ENDED, [(*key, n) for key, n in self._endings.items()])
        self._database.many(_USED, [(*key, *rows.usage_cells(used)) for key, used in self._used.items()])
        self._database.many("INSERT OR REPLACE INTO collections (eid, source) VALUES (?, ?)", self._to_collect)
        self._ledger.flush()
        for at in sorted({at for at, _ in self._events}):
            write_events(self._database, [event for when, event in self._events if when == at], at)

    def _read(self, attempts: Sequence[Attempt]) -> None:
        """The stored attempts with these names, and the tasks."""
        wanted: dict[SweepName, list[Attempt]] = {}
        for attempt in attempts:
            wanted.setdefault(attempt.key.sweep, []).append(attempt)
        for name, several in wanted.items():
            sweep = self._sweep(name)
            for page in pages(several):
                self._read_page(sweep, page)

    def _read_page(self, sweep: Sweep, page: list[Attempt]) -> None:
        sql = f"SELECT {rows.ATTEMPT_COLUMNS} FROM attempts WHERE eid IN ({places(page)})"
        for found in self._database.rows(sql, [attempt.eid for attempt in page]):
            stored = rows.attempt(sweep.name, found)
            self._taken.add(stored.eid)
            if found[0] == sweep.id:  # else two attempts have the same hash
                self._attempts[stored.key] = stored
        sql = f"{_STATE} AND task IN ({places(page)})"
        for found in self._database.rows(sql, (sweep.id, sweep.generation, *(attempt.key.task for attempt in page))):
            row = rows.task_row(found)
            self._tasks[TaskKey(sweep.name, row.task)] = row

    def _stored(self, sweep: Sweep, key: AttemptKey) -> Attempt | None:
        found = self._database.row(_ATTEMPT, (sweep.id, key.task, key.number))
        return None if found is None else rows.attempt(sweep.name, found)

    def _learned(self, row: TaskRow, attempt: Attempt, task: Task) -> TaskRow:
        return row._replace(
            phase=task.phase,
            digest=attempt.digest,
            cancelling=task.phase.active and attempt.cancel != "",
            reason=task.reason,
            attempts=attempt.key.number,
            failures=task.failures,
            uncounted=task.uncounted,
            not_before=task.not_before,
            source=attempt.source,
            scale=rows.dump(task.scale),
        )

    def _judged(self, sweep: Sweep, row: TaskRow) -> TaskRow:
        """A task that is no longer active goes on as the spec in force says, which may be younger than its attempt."""
        if sweep.policy is None or row.phase.active or row.standing is not Standing.DESIRED:
            return row
        verb, reason = decide(True, row.known, sweep.policy)
        return transition(row, verb, reason, sweep.policy) if verb in (Verb.RERUN, Verb.ADOPT) else row

    def _save(self, key: TaskKey, before: TaskRow, after: TaskRow) -> None:
        sweep = self._sweep(key.sweep)
        self._ledger.save(sweep.id, before, after)
        self._tasks[key] = after
        touch(self._database, sweep, after)

    def _sweep(self, name: SweepName) -> Sweep:
        if name not in self._sweeps:
            sweep = sweep_of(self._database, name)
            if sweep is None:
                raise StoreError("UnknownSweep", f"there is no sweep {name}", hint="this is a defect: please report it")
            self._sweeps[name] = sweep
        return self._sweeps[name]

    def _find(self, key: TaskKey) -> TaskRow | None:
        if key not in self._tasks:
            sweep = self._sweep(key.sweep)
            found = self._database.row(_TASK, (sweep.id, sweep.generation, key.task))
            if found is None:
                return None
            self._tasks[key] = rows.task_row(found)
        return self._tasks[key]

    def _task(self, key: TaskKey) -> TaskRow:
        row = self._find(key)
        if row is None:
            raise StoreError(
                "UnknownTask", f"there is no task {key.sweep}/{key.task}", hint="this is a defect: please report it"
            )
        return row

    def _count(self, sweep: Sweep, attempt: Attempt, stored: Attempt | None) -> None:
        """An attempt has ended. What it used counts once, also if it is found to have ended otherwise later."""
        self._endings[sweep.id, attempt.source, attempt.phase] += 1
        if attempt.source in self._collecting:
            self._to_collect.append((attempt.eid, attempt.source))
        used = usage(attempt)
        if used is not None and (stored is None or usage(stored) is None):
            key = (sweep.id, attempt.source)
            self._used[key] = self._used.get(key, Usage()) + used

    def _note(self, attempt: Attempt, reason: str, message: str, at: Instant) -> None:
        sweep, task, number = attempt.key
        self._events.append((at, Event(reason=reason, message=message, sweep=sweep, task=task, attempt=number)))


def _final(stored: Attempt, learned: Attempt) -> bool:
    """A success is never changed, an end never taken back, and a replay changes nothing."""
    if not stored.phase.ended:
        return False
    return stored.phase is Phase.SUCCEEDED or not learned.phase.ended or stored == learned
