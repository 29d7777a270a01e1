"""A store with short words for what a daemon does to it, and a recount of everything that the store keeps up to date.

lab = Lab(tmp_path); lab.accept(range(3)); lab.start(); lab.end("succeeded"); assert [] == lab.faults()
"""

from __future__ import annotations

import hashlib
import sqlite3
from base64 import b32encode
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from reconciler.core.diff import DiffPolicy
from reconciler.core.model import (
    Attempt,
    AttemptKey,
    Commit,
    Digest,
    Eid,
    HostIdentity,
    InstanceId,
    Phase,
    Point,
    Resources,
    SourceName,
    SweepName,
    Task,
    TaskId,
    TaskKey,
)
from reconciler.store import Accepted, DiffSummary, Draft, Store

T = TypeVar("T")
SWEEP = SweepName("s")
LAPTOP = SourceName("laptop")
HOME = HostIdentity(host="h", machine="m", boot="b")
A, B = Digest("a" * 16), Digest("b" * 16)


def task_id(number: int) -> TaskId:
    """The id of the test's point with this number."""
    return TaskId(b32encode(hashlib.sha256(b"%d" % number).digest()).decode().lower()[:10])


def drain(steps: Generator[object, None, T]) -> T:
    """Run a bulk call to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


class Lab:
    """One sweep in one store; instants are counted by `now`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = 100.0
        self.store = Store.create(directory, instance=InstanceId("abcd"), at=self.now)

    def reopen(self) -> None:
        """As after a crash."""
        self.store.close()
        self.store = Store.create(self.directory, instance=InstanceId("zzzz"), at=self.now)
        drain(self.store.recover(self.now))

    def close(self) -> None:
        self.store.close()

    # -- what is desired

    def stage(self, numbers: Iterable[int]) -> None:
        points = [(n, Point(task_id(number), 0, {"number": number})) for n, number in enumerate(numbers)]
        drain(self.store.stage(SWEEP, points))

    def draft(self, digest: Digest = A, **policy: object) -> Draft:
        return Draft(
            name=SWEEP,
            path="s.yaml",
            commit=Commit("c" * 40),
            document="kind: Sweep",
            document_digest="d",
            pin=None,
            policy=DiffPolicy(digest=digest, **policy),
        )

    def prepare(self, numbers: Iterable[int], digest: Digest = A, **policy: object) -> DiffSummary:
        self.stage(numbers)
        return drain(self.store.prepare(self.draft(digest, **policy)))

    def commit(self, *, freeze: bool = False) -> Accepted:
        return drain(self.store.commit(SWEEP, freeze=freeze, at=self.now))

    def accept(self, numbers: Iterable[int], digest: Digest = A, *, freeze: bool = False, **policy: object) -> Accepted:
        self.prepare(numbers, digest, **policy)
        return self.commit(freeze=freeze)

    # -- what happens

    def heads(self, limit: int = 1000) -> list[Task]:
        return self.store.heads(SWEEP, limit=limit, now=self.now)

    def attempt(self, task: Task, source: SourceName = LAPTOP) -> Attempt:
        row = self.store.sweep(task.key.sweep)
        assert row is not None
        assert row.policy is not None
        return Attempt(
            key=AttemptKey(*task.key, task.attempts + 1),
            eid=Eid(f"g{task.key.task}{task.attempts + 1:04}"),
            source=source,
            digest=row.policy.digest,
            phase=Phase.QUEUED,
            home=HOME,
            resources=Resources(),
            intended_at=self.now,
        )

    def start(self, limit: int = 1, source: SourceName = LAPTOP) -> list[Attempt]:
        """The first heads are queued."""
        attempts = [self.attempt(task, source) for task in self.heads(limit)]
        self.store.intend(attempts)
        return attempts

    def open(self) -> list[Attempt]:
        """Open attempts, in declared order of their tasks."""
        return sorted(self.store.open_attempts(LAPTOP), key=lambda attempt: self.task(attempt.key.task_key).ordinal)

    def learn(self, attempt: Attempt, phase: Phase, task: Phase | None = None, **facts: object) -> None:
        """The attempt is now in this phase; its task in the same one, or in another."""
        known = self.task(attempt.key.task_key)
        ended_at = self.now if phase.ended else None
        now = replace(attempt, phase=phase, accepted_at=self.now, started_at=self.now, ended_at=ended_at)
        self.store.record([(now, replace(known, phase=task or phase, **facts))], self.now)

    def end(self, phase: Phase, task: Phase | None = None, **facts: object) -> None:
        """All open attempts end so."""
        for attempt in self.open():
            self.learn(attempt, phase, task, **facts)

    # -- what is

    def task(self, key: TaskKey) -> Task:
        found = self.store.task(key)
        assert found is not None
        return found

    def number(self, number: int) -> Task | None:
        """The task of the point with this number."""
        return self.store.task(TaskKey(SWEEP, task_id(number)))

    def phases(self) -> list[str]:
        """Of the desired tasks, in declared order."""
        return [task.phase.value for task in self.store.tasks(SWEEP, limit=100_000)]

    def picture(self) -> object:
        """What a reader can see of the sweep, without the history that led to it."""
        tasks = [replace(task, reason="") for task in self.store.tasks(SWEEP, limit=100_000)]
        return tasks, self.store.counts(SWEEP), self.heads(), self.store.active_counts()

    def faults(self) -> list[str]:
        """Whatever a recount finds to be different from what is kept; empty is right."""
        with sqlite3.connect(self.directory / "state.db") as database:
            found = [name for name, kept, counted in CHECKS if _rows(database, kept) != _rows(database, counted)]
        database.close()
        return found


def _rows(database: sqlite3.Connection, sql: str) -> list[tuple[object, ...]]:
    return sorted(database.execute(sql).fetchall())


_IN_FORCE = "tasks t JOIN sweeps s ON s.id = t.sweep AND t.added <= s.generation"
CHECKS = [
    (
        "counters",
        "SELECT sweep, source, phase, standing, n FROM counters",
        f"SELECT sweep, coalesce(source, ''), phase, standing, count(*) FROM {_IN_FORCE} GROUP BY 1, 2, 3, 4",
    ),
    (
        "heads",
        """SELECT h.sweep, wake, ordinal, task, added FROM heads h JOIN sweeps s ON s.id = h.sweep
            WHERE added <= generation""",
        f"""SELECT sweep, coalesce(not_before, 0.0), ordinal, task, added FROM {_IN_FORCE}
            WHERE phase = 'waiting' AND standing = 'desired'""",
    ),
    (
        "open attempts",
        "SELECT sweep, task, number, cancel <> '' FROM attempts WHERE open = 1",
        f"""SELECT sweep, task, attempts, cancelling FROM {_IN_FORCE}
            WHERE phase IN ('queued', 'running') AND standing <> 'orphaned'""",
    ),
    (
        "successes",
        "SELECT DISTINCT sweep, task FROM attempts WHERE phase = 'succeeded'",
        f"SELECT sweep, task FROM {_IN_FORCE} WHERE succeeded <> ''",
    ),
    (
        "left of what was only prepared",
        """SELECT s.id, t.task FROM tasks t JOIN sweeps s ON s.id = t.sweep
            WHERE t.added > s.generation AND s.preparing IS NULL""",
        "SELECT 1 WHERE 0",
    ),
    ("points", "SELECT sweep, added, place FROM points", "SELECT sweep, added, place FROM tasks"),
]
