"""The desired points of one sweep in temporary tables, until they are merged with what is known.

A million points must be sorted by task id without holding them in memory, and no step may be long. So points are dealt
into one bin per first character of their id, each small enough to be sorted in one step; and `declared` keeps their
order. Temporary tables work on a read-only connection, too: that is how a plan is made beside a running daemon.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator
from itertools import islice

from reconciler.core.diff import Change, DiffPolicy, Known, Verb, Wanted, diff
from reconciler.core.errors import StoreError
from reconciler.core.model import Point, SweepName
from reconciler.store import rows
from reconciler.store.database import Cell, Database
from reconciler.store.values import DiffSummary

CHUNK = 5_000
ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"  # of task ids, in their order

_REMOVALS = frozenset({Verb.WITHDRAW, Verb.CANCEL, Verb.DRAIN, Verb.ORPHAN, Verb.FORGET, Verb.FREEZE, Verb.REPLACE})
_ENDING = frozenset({Verb.CANCEL, Verb.ORPHAN, Verb.REPLACE})


class Staging:
    """What is staged on one connection: at most one sweep's points."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bins: set[str] = set()
        self.name: SweepName | None = None
        self.count = 0

    def stage(self, name: SweepName, points: Iterable[tuple[int, Point]]) -> Generator[int, None, int]:
        """See `Reader.stage`."""
        self._clear()
        stream = iter(points)
        while chunk := list(islice(stream, CHUNK)):
            with self._database.transaction(temporary=True):
                self._take(chunk)
            self.count += len(chunk)
            yield self.count
        self.name = name
        return self.count

    def declared(self) -> Iterator[list[tuple[int, str]]]:
        """(ordinal, task) in declared order, page by page, equal points included."""
        last = -1
        while page := self._database.rows(
            "SELECT ordinal, task FROM temp.declared WHERE ordinal > ? ORDER BY ordinal LIMIT ?", (last, CHUNK)
        ):
            last = page[-1][0]
            yield page

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
        with self._database.transaction(temporary=True):
            for letter in self._bins:
                self._database.execute(f"DROP TABLE IF EXISTS temp.points_{letter}")
            self._database.execute("DROP TABLE IF EXISTS temp.declared")
            self._database.execute("CREATE TEMP TABLE declared (ordinal INTEGER PRIMARY KEY, task TEXT NOT NULL)")
        self._bins.clear()

    def _take(self, chunk: list[tuple[int, Point]]) -> None:
        dealt: defaultdict[str, list[tuple[Cell, ...]]] = defaultdict(list)
        for ordinal, (task, replicate, parameters) in chunk:
            dealt[task[0]].append((task, ordinal, replicate, rows.dump(parameters)))
        for letter, points in dealt.items():
            self._make_bin(letter)
            self._database.many(f"INSERT INTO temp.points_{letter} VALUES (?,?,?,?)", points)  # noqa: S608
        self._database.many(
            "INSERT INTO temp.declared VALUES (?,?)", [(ordinal, point.task) for ordinal, point in chunk]
        )

    def _make_bin(self, letter: str) -> None:
        if letter in self._bins:
            return
        if letter not in ALPHABET:
            raise StoreError(
                "BadTaskId", f"no task id begins with {letter!r}", hint="this is a defect: please report it"
            )
        self._database.execute(
            f"CREATE TEMP TABLE points_{letter} (task TEXT, ordinal INT, replicate INT, parameters TEXT)"
        )
        self._bins.add(letter)

    def _sorted(self) -> Iterator[Wanted]:
        for letter in sorted(self._bins):
            sql = f"SELECT task, ordinal, replicate, parameters FROM temp.points_{letter} ORDER BY task, ordinal"  # noqa: S608
            yield from map(Wanted._make, self._database.rows(sql))

    def _inventory(self, name: SweepName) -> Iterator[Known]:
        sweep = self._database.row("SELECT id, generation FROM sweeps WHERE name = ?", (name,))
        if sweep is None:
            return
        sql = (
            f"SELECT {rows.KNOWN_COLUMNS} FROM tasks"  # noqa: S608
            " WHERE sweep = ? AND task > ? AND added <= ? ORDER BY task LIMIT ?"
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
            if known is not None and (verb in _REMOVALS or verb in _ENDING):
                self._removed += 1
                self._ending += verb in _ENDING
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
