"""The disk of a daemon: a real SQLite file in memory, and what a kill, a power loss or a full disk does to it.

Every connection that a simulated daemon opens passes through a `Gate`: it refuses the dead, tells the oracle what was
committed, and fails where the world says so.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.sim.git import Mirror
from tests.sim.loop import Killed, Process
from tests.sim.oracle import Ledger, Oracle, Recorded

_CONNECT = sqlite3.connect
SHM = Path("/dev/shm")
_ROW = """
    SELECT sim_attempt(NEW.eid, (SELECT name FROM main.sweeps WHERE id = NEW.sweep), NEW.task, NEW.number, NEW.phase,
        NEW.digest, NEW.cancel, NEW.open, NEW.message);
"""
_TRIGGERS = f"""
    CREATE TEMP TRIGGER sim_inserted AFTER INSERT ON main.attempts BEGIN {_ROW} END;
    CREATE TEMP TRIGGER sim_updated AFTER UPDATE OF phase, digest, cancel, open ON main.attempts BEGIN {_ROW} END;
"""


class Trouble:
    """What the disk does now; `at_begin` and `at_commit` may raise sqlite3.OperationalError."""

    def at_begin(self) -> None:
        """A transaction begins."""

    def at_commit(self) -> None:
        """A transaction is to be committed."""


class State:
    """One state directory, and what the oracle knows of it."""

    def __init__(self, folder: Path, oracle: Oracle, ledger: Ledger | None = None) -> None:
        self.folder = folder
        self.oracle = oracle
        self.ledger = ledger or Ledger()
        self.mirror = Mirror()
        self.trouble = Trouble()
        self.transactions = 0

    def copy(self, folder: Path) -> State:
        """The whole of it as it is at this moment, as a backup would be: the file and its log together."""
        shutil.copytree(self.folder, folder)
        other = State(folder, self.oracle, self.ledger.copy())
        other.mirror.commits = set(self.mirror.commits)
        return other


class Gate:
    """A daemon's connection."""

    def __init__(self, connection: sqlite3.Connection, state: State, process: Process) -> None:
        self._connection = connection
        self._state = state
        self._process = process
        self._news: list[Recorded] = []
        self._ready = False
        process.resources.append(self._drop)
        connection.create_function("sim_attempt", 9, self._attempt)

    def _drop(self) -> None:
        """kill -9: what was not committed is gone."""
        self._connection.close()

    @property
    def in_transaction(self) -> bool:
        return self._process.alive and self._connection.in_transaction

    def execute(self, sql: str, args: Sequence[Any] = ()) -> sqlite3.Cursor:
        if not self._process.alive:
            raise Killed
        if not args:
            if sql == "BEGIN IMMEDIATE":
                self._begin()
            elif sql == "COMMIT":
                return self._commit()
            elif sql == "ROLLBACK":
                self._news.clear()
        return self._connection.execute(sql, args)

    def executemany(self, sql: str, args: Iterable[Sequence[Any]]) -> sqlite3.Cursor:
        if not self._process.alive:
            raise Killed
        return self._connection.executemany(sql, args)

    def executescript(self, sql: str) -> sqlite3.Cursor:
        if not self._process.alive:
            raise Killed
        return self._connection.executescript(sql)

    def close(self) -> None:
        self._connection.close()

    def _begin(self) -> None:
        if not self._ready:
            self._ready = True
            self._connection.executescript(_TRIGGERS)
        self._news.clear()
        self._state.trouble.at_begin()

    def _commit(self) -> sqlite3.Cursor:
        self._state.trouble.at_commit()
        done = self._connection.execute("COMMIT")
        self._state.transactions += 1
        if self._news:
            news, self._news = self._news, []
            self._state.oracle.committed(self._state.ledger, news)
        return done

    def _attempt(
        self,
        eid: str,
        sweep: str,
        task: str,
        number: int,
        phase: str,
        digest: str,
        cancel: str,
        open_: int,
        message: str,
    ) -> None:
        assumed = message == "a person said that it is dead"
        self._news.append(Recorded(eid, sweep, task, number, phase, digest, cancel, open_, assumed))


@contextlib.contextmanager
def gated(states: Callable[[], tuple[State, Process] | None]) -> Iterator[None]:
    """While a simulated daemon is running, `sqlite3.connect` leads to its own disk through its gate."""

    def connect(*args: Any, **options: Any) -> Any:
        found = states()
        connection = _CONNECT(*args, **options)
        return connection if found is None else Gate(connection, *found)

    sqlite3.connect = connect  # type: ignore[assignment]
    try:
        yield
    finally:
        sqlite3.connect = _CONNECT


def folder() -> Path:
    """A new folder in memory."""
    return Path(tempfile.mkdtemp(prefix="sim-", dir=SHM if SHM.is_dir() else None))
