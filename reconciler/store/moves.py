"""Tasks that only move in declared order: a value added to an axis moves nearly all of them.

Order decides nothing about a task, so no move needs to be judged, and whole pages move at once, in SQL. A page is one
transaction: its heads leave the queue, the tasks take their new ordinals, the heads join again, in order.
"""

from __future__ import annotations

from collections.abc import Generator

from reconciler.store.database import Database

PAGE = 20_000  # each touches most pages of the queue: many small ones would write it many times over

LOG = "INSERT OR REPLACE INTO moves (sweep, task, ordinal) VALUES (?, ?, ?)"

_LAST = "SELECT task FROM moves WHERE sweep = ? ORDER BY task LIMIT 1 OFFSET ?"
_HEADS = """
    FROM moves m CROSS JOIN tasks t ON t.sweep = m.sweep AND t.task = m.task
    WHERE m.sweep = ?1 AND m.task <= ?2 AND t.phase = 'waiting' AND t.standing = 'desired'
"""
_LEAVE = f"""
    DELETE FROM heads WHERE (sweep, wake, ordinal, task) IN (
        SELECT t.sweep, coalesce(t.not_before, 0.0), t.ordinal, t.task {_HEADS})
"""
_MOVE = """
    UPDATE tasks SET ordinal = (SELECT m.ordinal FROM moves m WHERE m.sweep = ?1 AND m.task = tasks.task)
    WHERE sweep = ?1 AND task IN (SELECT task FROM moves WHERE sweep = ?1 AND task <= ?2)
"""
_JOIN = f"""
    INSERT OR REPLACE INTO heads (sweep, wake, ordinal, task, added)
    SELECT t.sweep, coalesce(t.not_before, 0.0), t.ordinal, t.task, t.added {_HEADS} ORDER BY 2, 3
"""
_DONE = "DELETE FROM moves WHERE sweep = ?1 AND task <= ?2"


def move(database: Database, sweep: int) -> Generator[int, None, None]:
    """Carry the logged moves out, one page per step; yields how many so far, at most."""
    moved = 0
    while (last := _page(database, sweep)) is not None:
        with database.transaction("move"):
            for sql in (_LEAVE, _MOVE, _JOIN, _DONE):
                database.execute(sql, (sweep, last))
        moved += PAGE
        yield moved


def _page(database: Database, sweep: int) -> str | None:
    """The last task of the next page, or None when nothing is left to move."""
    row = database.row(_LAST, (sweep, PAGE - 1)) or database.row(
        "SELECT max(task) FROM moves WHERE sweep = ?", (sweep,)
    )
    return None if row is None or row[0] is None else str(row[0])
