"""The disk of a daemon: a real SQLite file in memory, and what a kill, a power loss or a full disk does to it.

Every connection that a simulated daemon opens passes through a `Gate`: it refuses the dead, tells the oracle what was
committed, and fails where the world says so.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from reconciler.controller.actions import ASSUMED
from reconciler.store.database import FILE
from tests.sim.git import Mirror
from tests.sim.loop import Killed, Process
from tests.sim.oracle import Ledger, Oracle, Recorded

CONNECT, FSYNC = sqlite3.connect, os.fsync
SHM = Path("/dev/shm")
_ROW = """
    SELECT sim_attempt(NEW.eid, (SELECT name FROM main.sweeps WHERE id = NEW.sweep), NEW.task, NEW.number, NEW.phase,
        NEW.digest, NEW.cancel, NEW.open, NEW.source, NEW.message);
"""
_TRIGGERS = f"""
    CREATE TEMP TRIGGER sim_inserted AFTER INSERT ON main.attempts BEGIN {_ROW} END;
    CREATE TEMP TRIGGER sim_flipped AFTER UPDATE OF generation ON main.sweeps BEGIN
        SELECT sim_sweep(NEW.name, NEW.head, NEW.deleted); END;
    CREATE TEMP TRIGGER sim_accepted AFTER INSERT ON main.repository BEGIN SELECT sim_repository(NEW.accepted); END;
    CREATE TEMP TRIGGER sim_updated AFTER UPDATE OF phase, digest, cancel, open ON main.attempts BEGIN {_ROW} END;
"""


class Trouble:
    """What the disk does now. full: it takes no further page; `at_commit` may raise sqlite3.OperationalError."""

    full: bool = False

    def at_commit(self) -> None:
        """A transaction is to be committed."""


def _frames(log: bytes) -> tuple[int, list[int]]:
    """Of a write-ahead log: where its valid frames end, and where each of its transactions ends."""
    if len(log) < 32:
        return 0, []
    size = int.from_bytes(log[8:12], "big") + 24
    salts = log[16:24]
    ends, at = [], 32
    while at + size <= len(log) and log[at + 8 : at + 16] == salts:
        at += size
        if log[at - size + 4 : at - size + 8] != b"\0\0\0\0":
            ends.append(at)
    return at, ends


class State:
    """One state directory, and what the oracle knows of it."""

    def __init__(self, folder: Path, oracle: Oracle, ledger: Ledger | None = None) -> None:
        self.folder = folder
        self.oracle = oracle
        self.ledger = ledger or Ledger()
        self.mirror = Mirror()
        self.trouble = Trouble()
        self.transactions = 0
        self._written = 0
        self.soft = 0  # transactions since the last one that waited for the disk
        self.doubtful: list[list[Recorded]] = []  # what they changed, and how it was before

    def lose_power(self, daemon: Process, dice: random.Random) -> None:
        """What was not yet synced is cut off anywhere, even in the middle of a frame."""
        data, log = self.folder / FILE, self.folder / f"{FILE}-wal"
        if not log.exists():
            daemon.kill()
            return
        content, frames = data.read_bytes(), log.read_bytes()
        daemon.kill()
        end, ends = _frames(frames)
        durable = ends[-1 - self.soft] if len(ends) > self.soft else (32 if ends else 0)
        cut = dice.randint(durable, end) if end > durable else end
        kept = sum(each <= cut for each in ends) - (len(ends) - self.soft)
        self.undo(self.soft - max(0, kept))
        data.write_bytes(content)
        log.write_bytes(frames[:cut] + dice.choice((b"", bytes(dice.randrange(5000)), dice.randbytes(100))))
        (self.folder / f"{FILE}-shm").unlink(missing_ok=True)

    def committed(self, news: list[Recorded | Callable[[], None]], *, soft: bool, wrote: bool) -> None:
        """One more transaction. A soft one may be taken back until the next that is not.

        wrote: whether it changed anything.
        """
        self.transactions += 1
        if not wrote:  # nothing goes to the log, and nobody waits for the disk
            return
        known = self.ledger.attempts
        written = os.stat(self.folder / FILE).st_mtime_ns
        if written != self._written:  # a checkpoint: what it moved into the file was synced before
            self._written, soft = written, False
        if soft:
            self.soft += 1
            self.doubtful.append([known.get(new.eid, new) for new in news if isinstance(new, Recorded)])
        elif self.soft:
            self.soft = 0
            self.doubtful.clear()
        for new in news:
            if isinstance(new, Recorded):
                self.oracle.committed(self.ledger, new)
            else:
                new()

    def undo(self, count: int) -> None:
        """The last soft transactions have not happened: no harm, as long as the oracle forgets them too."""
        for _ in range(count):
            for old in self.doubtful.pop():
                self.ledger.attempts[old.eid] = old
        self.soft = 0
        self.doubtful.clear()

    def copy(self, folder: Path) -> State:
        """The whole of it as it is at this moment, as a backup would be: the file and its log together."""
        shutil.copytree(self.folder, folder)
        other = State(folder, self.oracle, self.ledger.copy())
        other.mirror.commits = set(self.mirror.commits)
        other.transactions = self.transactions
        return other


class Gate:
    """A daemon's connection."""

    def __init__(self, connection: sqlite3.Connection, state: State, process: Process) -> None:
        self._connection = connection
        self._state = state
        self._process = process
        self._news: list[Recorded | Callable[[], None]] = []
        self._ready = False
        self._soft = False
        self._full = False
        self._changes = 0  # of the connection, before this transaction
        state.soft = 0  # the file is whole again when its last connection has closed
        state.doubtful.clear()
        process.resources.append(self._drop)
        connection.create_function("sim_attempt", 10, self._attempt)
        connection.create_function("sim_sweep", 3, self._sweep)
        connection.create_function("sim_repository", 1, self._repository)

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
            elif sql.startswith("PRAGMA synchronous"):
                self._soft = sql.endswith("NORMAL")
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
        self._changes = self._connection.total_changes
        full = self._state.trouble.full
        if full is not self._full:
            self._full = full
            self._connection.execute(f"PRAGMA max_page_count = {1 if full else 1 << 30}")

    def _commit(self) -> sqlite3.Cursor:
        self._state.trouble.at_commit()
        done = self._connection.execute("COMMIT")
        news, self._news = self._news, []
        self._state.committed(news, soft=self._soft, wrote=self._connection.total_changes > self._changes)
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
        source: str,
        message: str,
    ) -> None:
        assumed = message == ASSUMED
        self._news.append(Recorded(eid, sweep, task, number, phase, digest, cancel, open_, source, assumed))

    def _sweep(self, name: str, head: str, deleted: int) -> None:
        state = self._state
        self._news.append(lambda: state.oracle.in_force(state.ledger, name, head, deleted=bool(deleted)))

    def _repository(self, accepted: str | None) -> None:
        state = self._state
        self._news.append(lambda: state.oracle.accepted(state.ledger, accepted))


@contextlib.contextmanager
def gated(states: Callable[[], tuple[State, Process] | None]) -> Iterator[None]:
    """While a simulated daemon is running, `sqlite3.connect` leads to its own disk through its gate."""

    def connect(*args: Any, **options: Any) -> Any:
        found = states()
        connection = CONNECT(*args, **options)
        return connection if found is None else Gate(connection, *found)

    sqlite3.connect, os.fsync = connect, _no_disk
    try:
        yield
    finally:
        sqlite3.connect, os.fsync = CONNECT, FSYNC


def _no_disk(_descriptor: int) -> None:
    """All of it is in memory, and what a power loss takes is decided elsewhere; nobody waits for the real disk."""


def folder() -> Path:
    """A new folder in memory."""
    return Path(tempfile.mkdtemp(prefix="sim-", dir=SHM if SHM.is_dir() else None))
