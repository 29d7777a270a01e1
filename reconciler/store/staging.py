"""The desired points of one sweep, until they are merged with what is known.

A million points must be sorted by task id without holding them in memory, and no step may be long. So the points
themselves lie in a temporary table in declared order, and only (id, ordinal), packed in 14 bytes, is dealt into one bin
per first character of the id, each small enough to be sorted in one step. Temporary tables work on a read-only
connection, too: that is how a plan is made beside a running daemon.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator
from itertools import islice

from reconciler.core.diff import Change, DiffPolicy, Known, Verb, Wanted, diff
from reconciler.core.errors import StoreError
from reconciler.core.model import Point, SweepName, TaskId
from reconciler.store import rows
from reconciler.store.database import Cell, Database
from reconciler.store.settle import ENDING
from reconciler.store.values import DiffSummary

CHUNK = 5_000
_ID_BYTES = 10  # of a TaskId
_ORDINAL_BYTES = 4

_REMOVALS = frozenset({Verb.WITHDRAW, Verb.CANCEL, Verb.DRAIN, Verb.ORPHAN, Verb.FORGET, Verb.FREEZE, Verb.REPLACE})


class Staging:
    """What is staged on one connection: at most one sweep's points."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bins: defaultdict[str, bytearray] = defaultdict(bytearray)
        self.name: SweepName | None = None
        self.count = 0

    def stage(self, name: SweepName, points: Iterable[tuple[int, Point]]) -> Generator[int, None, int]:
        """See `Reader.stage`."""
        self._clear()
        stream = iter(points)
        while chunk := list(islice(stream, CHUNK)):
            with self._database.temporary_transaction():
                self._take(chunk)
            self.count += len(chunk)
            yield self.count
        self.name = name
        return self.count

    def changes(self, name: SweepName, policy: DiffPolicy) -> Iterator[Change]:
        """See `Reader.changes`. Reads page by page, so that the tasks may be written meanwhile."""
        if policy.deletion is not None:
            return diff((), self._inventory(name), policy)
        if self.name != name:
            raise StoreError(
                "NotStaged", f"the points of {name} are not staged", hint="this is a defect: please report it"
            )
        return diff(self._sorted(), self._inventory(name), policy)

    def summarise(self, name: SweepName, policy: DiffPolicy) -> Generator[int, None, DiffSummary]:
        """See `Reader.summarise`."""
        tally = Tally()
        changes = self.changes(name, policy)
        while chunk := list(islice(changes, CHUNK)):
            tally.take(chunk)
            yield tally.total
        return tally.summary(self.count if policy.deletion is None else 0)

    def _clear(self) -> None:
        self.name, self.count = None, 0
        self._bins.clear()
        with self._database.temporary_transaction():
            self._database.execute("DROP TABLE IF EXISTS temp.declared")
            self._database.execute(
                "CREATE TEMP TABLE declared (ordinal INTEGER PRIMARY KEY, task TEXT, replicate INT, parameters TEXT)"
            )

    def _take(self, chunk: list[tuple[int, Point]]) -> None:
        points: list[tuple[Cell, ...]] = []
        for ordinal, (task, replicate, parameters) in chunk:
            points.append((ordinal, task, replicate, rows.dump(parameters)))
            self._bins[task[0]] += task.encode() + ordinal.to_bytes(_ORDINAL_BYTES, "big")
        self._database.many("INSERT INTO temp.declared VALUES (?,?,?,?)", points)

    def _sorted(self) -> Iterator[Wanted]:
        """By task id, then by ordinal: big-endian bytes sort like the numbers."""
        size = _ID_BYTES + _ORDINAL_BYTES
        for letter in sorted(self._bins):
            packed = bytes(self._bins[letter])
            for each in sorted(packed[at : at + size] for at in range(0, len(packed), size)):
                yield Wanted(TaskId(each[:_ID_BYTES].decode()), int.from_bytes(each[_ID_BYTES:], "big"))

    def _inventory(self, name: SweepName) -> Iterator[Known]:
        sweep = self._database.row("SELECT id, generation FROM sweeps WHERE name = ?", (name,))
        if sweep is None:
            return
        sql = (
            f"SELECT {rows.KNOWN_COLUMNS} FROM tasks WHERE sweep = ? AND task > ? AND added <= ? ORDER BY task LIMIT ?"
        )
        last = ""
        while page := self._database.rows(sql, (sweep[0], last, sweep[1], CHUNK)):
            last = page[-1][0]
            yield from map(rows.known, page)


class Tally:
    """A diff in numbers, taken in chunk by chunk."""

    def __init__(self) -> None:
        self.total = 0
        self._verbs: Counter[Verb] = Counter()
        self._reasons: Counter[str] = Counter()
        self._points = 0
        self._removed = 0
        self._ending = 0
        self._hash = hashlib.sha256()

    def take(self, chunk: list[Change]) -> None:
        self.total += len(chunk)
        self._verbs.update(change.verb for change in chunk)
        self._reasons.update(change.reason for change in chunk)
        for verb, task, _, wanted, known in chunk:
            self._points += wanted is not None
            if known is not None and (verb in _REMOVALS or verb in ENDING):
                self._removed += 1
                self._ending += verb in ENDING
                self._hash.update(task.encode())

    def summary(self, staged: int) -> DiffSummary:
        return DiffSummary(
            counts=dict(self._verbs),
            reasons=dict(self._reasons),
            duplicates=staged - self._points,
            removed=self._removed,
            removed_active=self._ending,
            removal_hash=self._hash.hexdigest()[:16] if self._removed else "",
        )
