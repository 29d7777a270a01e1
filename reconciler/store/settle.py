"""Applying the diff to tasks that exist: each is decided again from its row as it is now, then saved whole.

Between the merge and its application attempts start and end. So the redo log says only which tasks to look at and
whether their point is there; `core.diff.decide` says what follows. That makes every step repeatable.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import NamedTuple

from reconciler.core.diff import DiffPolicy, Reason, Verb, decide, outcome
from reconciler.core.model import Instant, SweepName
from reconciler.store import rows
from reconciler.store.database import Cell, Database
from reconciler.store.events import write_events
from reconciler.store.ledger import Ledger
from reconciler.store.moves import move
from reconciler.store.rows import TaskRow
from reconciler.store.values import Event

CHUNK = 2_000
ENDING = frozenset({Verb.CANCEL, Verb.ORPHAN, Verb.REPLACE})  # what an active task does not live through

_STATE = ",".join("t." + column for column in rows.STATE_COLUMNS.split(","))
_LOGGED = f"""
    SELECT c.wanted, c.ordinal, {_STATE} FROM changes c JOIN tasks t ON t.sweep = c.sweep AND t.task = c.task
    WHERE c.sweep = ? AND c.task > ? ORDER BY c.task LIMIT ?
"""
_FROZEN = f"""
    SELECT 0, NULL, {_STATE} FROM tasks t WHERE t.standing = 'frozen' AND t.sweep = ? AND t.task > ?
    ORDER BY t.task LIMIT ?
"""
_ACTIVE = f"""
    SELECT t.standing = 'desired', NULL, {_STATE} FROM tasks t JOIN (
        SELECT sweep, task FROM attempts WHERE open = 1 AND sweep = ? AND task > ? ORDER BY task LIMIT ?
    ) a ON a.sweep = t.sweep AND a.task = t.task ORDER BY t.task
"""


class Sweep(NamedTuple):
    """What judging a sweep's tasks takes."""

    id: int
    name: SweepName
    generation: int
    preparing: int | None
    policy: DiffPolicy | None

    def touches(self, row: TaskRow) -> bool:
        """A generation is being prepared whose merge may have seen another state of this task."""
        return self.preparing is not None and row.standing.desired and row.added <= self.generation


def sweep_of(database: Database, name: SweepName) -> Sweep | None:
    row = database.row("SELECT id, name, generation, preparing, policy FROM sweeps WHERE name = ?", (name,))
    if row is None:
        return None
    identity, name, generation, preparing, policy = row
    return Sweep(identity, name, generation, preparing, None if policy is None else rows.policy(policy))


def touch(database: Database, sweep: Sweep, row: TaskRow) -> None:
    """A task changed while a generation is being prepared: look at it again once that is in force."""
    if sweep.touches(row):
        database.execute("INSERT OR IGNORE INTO changes (sweep, task, wanted) VALUES (?, ?, 1)", (sweep.id, row.task))


def transition(row: TaskRow, verb: Verb, reason: Reason, policy: DiffPolicy) -> TaskRow:
    """A task's row once a change to it is applied."""
    known = outcome(row.known, verb, reason, policy)
    after = row._replace(standing=known.standing, phase=known.phase, digest=known.digest, cancelling=known.cancelling)
    if verb is Verb.RERUN:
        return fresh(after, reason)
    if verb is Verb.ADOPT:
        return after._replace(reason=reason, not_before=None)
    return after


def fresh(row: TaskRow, reason: str) -> TaskRow:
    """Waiting, with an unused budget."""
    return row._replace(failures=0, uncounted=0, scale="{}", not_before=None, reason=reason)


def settle(database: Database, sweep: Sweep, at: Instant) -> Generator[int, None, int]:
    """Apply what is in force: the redo logs, released freezes, and what is active. One transaction per step.

    The logs belong to a generation that is being prepared, if there is one; then they are left alone.
    """
    policy = sweep.policy
    assert policy is not None, "a generation is in force"
    applied = 0
    passes = [_ACTIVE] if policy.freeze else [_FROZEN, _ACTIVE]
    if sweep.preparing is None:
        yield from move(database, sweep.id)
        passes.insert(0, _LOGGED)
    for sql in passes:
        last = ""
        while page := database.rows(sql, (sweep.id, last, CHUNK)):
            last = page[-1][2]
            with database.transaction("settle"):
                _apply(database, sweep, policy, page, at)
                if sql is _LOGGED:
                    database.execute("DELETE FROM changes WHERE sweep = ? AND task <= ?", (sweep.id, last))
            applied += len(page)
            yield applied
    with database.transaction("settled"):
        database.execute("UPDATE sweeps SET settling = 0 WHERE id = ?", (sweep.id,))
    return applied


def would_end(database: Database, sweep: Sweep) -> int:
    """How many active tasks the release of what is frozen would end."""
    if sweep.policy is None or not sweep.policy.freeze:
        return 0
    policy = replace(sweep.policy, freeze=False)
    active = database.rows(_ACTIVE, (sweep.id, "", -1))
    return sum(
        decide(bool(wanted), rows.task_row(tuple(state)).known, policy)[0] in ENDING for wanted, _, *state in active
    )


def _apply(database: Database, sweep: Sweep, policy: DiffPolicy, page: list[tuple[Cell, ...]], at: Instant) -> None:
    ledger = Ledger(database)
    events: list[Event] = []
    for wanted, ordinal, *state in page:
        row = rows.task_row(tuple(state))
        verb, reason = decide(bool(wanted), row.known, policy)
        if verb is Verb.WITHDRAW and row.attempts == 0:
            ledger.delete(sweep.id, row)
            continue
        after = transition(row, verb, reason, policy)
        if isinstance(ordinal, int):
            after = after._replace(ordinal=ordinal)
        ledger.save(sweep.id, row, after)
        follow(database, sweep.id, row, after, reason, at)
        if after.cancelling and not row.cancelling:
            events.append(
                Event(reason=reason, message="cancelling", sweep=sweep.name, task=row.task, attempt=row.attempts)
            )
    ledger.flush()
    write_events(database, events, at)


def follow(database: Database, sweep: int, before: TaskRow, after: TaskRow, reason: str, at: Instant) -> None:
    """The newest attempt follows its task: cancelled with it, tracked with it."""
    newest = (sweep, after.task, after.attempts)
    if after.cancelling and not before.cancelling:
        sql = (
            "UPDATE attempts SET cancel = ?, cancel_at = ? WHERE sweep = ? AND task = ? AND number = ? AND cancel = ''"
        )
        database.execute(sql, (reason, at, *newest))
    if before.phase.active and before.tracked != after.tracked:
        sql = "UPDATE attempts SET open = ? WHERE sweep = ? AND task = ? AND number = ?"
        database.execute(sql, (after.tracked, *newest))
