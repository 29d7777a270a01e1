"""A stretch of a daemon's life with its store, told mark by mark: run as a program, with the tap on its files.

After each commit the mark says what the whole state is now; after each method that must be durable when it returns, it
says so, and what was promised to the world by then. The marks lie among the changes, so that each crash falls between
two of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "fakes"))

from store_lab import LAPTOP, SWEEP, A, B, Lab, drain, task_id

from reconciler import crashpoints
from reconciler.core.model import Attempt, Condition, ConditionStatus, Eid, Phase, TaskKey
from reconciler.store import Event, RepositoryRow
from reconciler.store.database import Database

MARKS = "marks"
CHECKPOINT_PAGES = 40  # in force here, so that the log is written back, and begun anew, many times


OPENED = {"lives": "WHERE daemon <> ''", "sqlite_sequence": "WHERE name <> 'lives'"}  # without who merely opened it


def fingerprint(database: Database) -> str:
    """The whole state, as one word; whoever looks has opened it, and that leaves its trace."""
    tables = [name for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
    state = [(table, database.rows(f"SELECT * FROM {table} {OPENED.get(table, '')}")) for table in tables]
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


class Life:
    """A lab whose doings are marked."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "var" / "state"
        self._marks = os.open(folder / MARKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._intended: list[Eid] = []
        self._sent: list[Eid] = []
        self._ended: dict[Eid, str] = {}
        self._cancelled: list[Eid] = []
        self._state = ""
        self._changed = False
        self.lab: Lab | None = None
        self.open()

    def open(self) -> None:
        crashpoints.arm(None)
        self.lab = Lab(self.state)
        self.database.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self._committed("open")
        crashpoints.arm(self._committed)
        drain(self.lab.store.recover(self.lab.now))

    @property
    def database(self) -> Database:
        assert self.lab is not None
        database: Database = self.lab.store._database
        return database

    def close(self) -> None:
        assert self.lab is not None
        self.lab.close()

    def _committed(self, point: str) -> None:
        if point.endswith(".committed") or point == "open":
            state = fingerprint(self.database)
            self._changed, self._state = state != self._state, state
            self._mark({"committed": point, "state": state})

    def _mark(self, words: dict[str, object]) -> None:
        os.write(self._marks, json.dumps(words).encode() + b"\n")

    def promise(self) -> None:
        """What has returned so far is durable, and others may know of it. (What changed nothing waits for no disk.)"""
        assert self._changed
        told = {"intended": self._intended, "sent": self._sent, "ended": self._ended, "cancelled": self._cancelled}
        self._mark({"promised": told})

    # -- what a daemon does

    def start(self, count: int) -> None:
        assert self.lab is not None
        eids = [attempt.eid for attempt in self.lab.start(count)]
        self._intended += eids
        self.promise()
        self.lab.store.sent(eids[1:], self.lab.now)
        self._sent += eids[2:]
        self.promise()
        self.lab.store.unsent(eids[1:2])
        self.lab.store.accepted(eids[2:], self.lab.now)

    def run(self, attempts: list[Attempt]) -> None:
        """They are seen running: that may be forgotten, because it can be seen again."""
        assert self.lab is not None
        for attempt in attempts:
            self.lab.learn(attempt, Phase.RUNNING)

    def end(self, attempts: list[Attempt], phase: Phase, task: Phase | None = None, **facts: object) -> None:
        assert self.lab is not None
        for attempt in attempts:
            self.lab.learn(attempt, phase, task, **facts)
            self._ended[attempt.eid] = phase.value
            self.promise()

    def cancel(self, attempts: list[Attempt]) -> None:
        assert self.lab is not None
        self._cancelled += [attempt.eid for attempt in attempts]
        self.lab.store.intend_cancel([attempt.eid for attempt in attempts], "CancelledByUser", self.lab.now)
        self.promise()

    def chat(self) -> None:
        """What nobody would miss."""
        assert self.lab is not None
        self.lab.now += 1
        condition = Condition(
            type="Ready", status=ConditionStatus.FALSE, reason="Progressing", message=f"{self.lab.now}"
        )
        self.lab.store.set_status(SWEEP, [condition], {"at": self.lab.now})
        self.lab.store.set_source(LAPTOP, {"up": True, "at": self.lab.now}, self.lab.now)


def live(life: Life) -> None:
    """From the first acceptance to a restart and on, with an edit, a retry, a cancellation and a mass removal."""
    lab = life.lab
    assert lab is not None
    lab.store.set_repository(RepositoryRow(accepted=None, fetched=None, checked_at=lab.now))
    life.promise()
    lab.accept(range(60))
    life.promise()
    for _ in range(3):
        life.start(6)
        life.chat()
        life.run(lab.open())
        life.end(lab.open()[:3], Phase.SUCCEEDED)
        life.chat()
    life.end(lab.open()[:1], Phase.FAILED, Phase.WAITING, not_before=lab.now + 5, failures=1)
    life.end(lab.open()[:1], Phase.LOST)
    drain(lab.store.reset(SWEEP, None, phases=[Phase.LOST], reason="Retried", at=lab.now))
    life.promise()
    life.cancel(lab.open()[:2])
    lab.accept([*range(10, 50), *range(70, 80)], digest=B)  # an edit: some go, some come, all are outdated
    life.promise()
    life.end([attempt for attempt in lab.open() if attempt.cancel], Phase.CANCELLED)
    life.chat()
    lab.prepare(range(200), digest=A)  # a generation that never comes in force
    life.chat()


def go_on(life: Life) -> None:
    """After a restart: what was half-way is finished or discarded, and work goes on."""
    lab = life.lab
    assert lab is not None
    life.start(5)
    lab.accept(range(5), digest=B, freeze=True)
    life.promise()
    life.run(lab.open()[:2])
    drain(lab.store.release_frozen(SWEEP, lab.now))
    life.promise()
    lab.store.add_events([Event(reason="Accepted", message="by hand", sweep=SWEEP)], lab.now)
    life.promise()
    for attempt in lab.open():
        life.chat()
        life.end([attempt], Phase.CANCELLED if attempt.cancel else Phase.SUCCEEDED)
    assert lab.store.task(TaskKey(SWEEP, task_id(0))) is not None


def main(folder: Path) -> None:
    life = Life(folder)
    live(life)
    life.close()
    life.open()
    go_on(life)
    life.close()
    life.open()
    life.chat()
    life.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
