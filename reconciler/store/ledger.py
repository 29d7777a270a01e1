"""What follows from a task's transition: the counters and the queue of heads, moved by the difference.

One ledger serves one transaction. Nobody else writes `counters` or `heads` of a row that is in force.
"""

from __future__ import annotations

from collections import Counter

from reconciler.core.diff import Standing
from reconciler.core.model import Phase
from reconciler.store.database import Cell, Database
from reconciler.store.rows import STATE_COLUMNS, TaskRow

_FIXED = ("task", "added", "place")
_MUTABLE = [column for column in STATE_COLUMNS.split(",") if column not in _FIXED]
_SAVE = f"UPDATE tasks SET {','.join(f'{column}=?' for column in _MUTABLE)} WHERE sweep=? AND task=?"
_COUNT = (
    "INSERT INTO counters (sweep,source,phase,standing,n) VALUES (?,?,?,?,?)"
    " ON CONFLICT (sweep,source,phase,standing) DO UPDATE SET n = n + excluded.n"
)


class Ledger:
    """Collects the moves of one transaction; `flush` writes them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: Counter[tuple[int, str, str, str]] = Counter()
        self._saved: list[tuple[Cell, ...]] = []
        self._deleted: list[tuple[Cell, ...]] = []
        self._points: list[tuple[Cell, ...]] = []
        self._heads: dict[tuple[int, float, int, str], int | None] = {}  # the last word on each: its `added`, or gone

    def save(self, sweep: int, before: TaskRow, after: TaskRow) -> None:
        """A task changes."""
        if before == after:
            return
        self._saved.append((*after[len(_FIXED) :], sweep, after.task))
        self._counts[_counter(sweep, before)] -= 1
        self._counts[_counter(sweep, after)] += 1
        if (head := _head(sweep, before)) is not None:
            self._heads[head] = None
        if (head := _head(sweep, after)) is not None:
            self._heads[head] = after.added

    def delete(self, sweep: int, row: TaskRow) -> None:
        """A task without attempts is forgotten."""
        self._deleted.append((sweep, row.task))
        self._points.append((sweep, row.added, row.place))
        self._counts[_counter(sweep, row)] -= 1
        if (head := _head(sweep, row)) is not None:
            self._heads[head] = None

    def count_new(self, sweep: int, n: int) -> None:
        """n tasks, saved and queued before, come in force."""
        self._counts[(sweep, "", Phase.WAITING, Standing.DESIRED)] += n

    def flush(self) -> None:
        """To be called once, inside the transaction."""
        database = self._database
        database.many(_SAVE, self._saved)
        database.many("DELETE FROM tasks WHERE sweep=? AND task=?", self._deleted)
        database.many("DELETE FROM points WHERE sweep=? AND added=? AND place=?", self._points)
        gone = [head for head, added in self._heads.items() if added is None]
        database.many("DELETE FROM heads WHERE sweep=? AND wake=? AND ordinal=? AND task=?", gone)
        come = [(*head, added) for head, added in self._heads.items() if added is not None]
        database.many("INSERT OR REPLACE INTO heads (sweep,wake,ordinal,task,added) VALUES (?,?,?,?,?)", come)
        database.many(_COUNT, [(*key, n) for key, n in self._counts.items() if n])
        database.execute("DELETE FROM counters WHERE n = 0")


def _counter(sweep: int, row: TaskRow) -> tuple[int, str, str, str]:
    return sweep, row.source or "", row.phase, row.standing


def _head(sweep: int, row: TaskRow) -> tuple[int, float, int, str] | None:
    """Its place in the queue of tasks that may start, if it has one."""
    if row.phase is Phase.WAITING and row.standing is Standing.DESIRED:
        return sweep, row.not_before or 0.0, row.ordinal, row.task
    return None
