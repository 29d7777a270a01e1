"""Ways in which a state is lost, and what was in it before."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from reconciler.store.schema import MIGRATIONS

Row: TypeAlias = Mapping[str, Any]
PAGE = 4096

_ATTEMPTS = "SELECT s.name, a.* FROM attempts a JOIN sweeps s ON s.id = a.sweep"
_TASKS = "SELECT s.name, t.* FROM tasks t JOIN sweeps s ON s.id = t.sweep WHERE t.added <= s.generation"


def rows(state: Path) -> tuple[dict[tuple[str, str, int], Row], dict[tuple[str, str], Row]]:
    """Attempts by sweep, task and number, and tasks by sweep and id, of a state that nobody has open."""
    with tempfile.TemporaryDirectory(prefix="rc-") as folder:
        for path in (state / "state.db", state / "state.db-wal"):
            if path.exists():
                shutil.copy(path, folder)
        database = sqlite3.connect(f"{folder}/state.db")
        database.row_factory = sqlite3.Row
        attempts = {(row["name"], row["task"], row["number"]): dict(row) for row in database.execute(_ATTEMPTS)}
        tasks = {(row["name"], row["task"]): dict(row) for row in database.execute(_TASKS)}
        database.close()
    return attempts, tasks


def delete(state: Path, dice: random.Random) -> None:
    for path in state.glob("state.db*"):
        path.unlink()


def garble(state: Path, dice: random.Random) -> None:
    """Random bytes over random pages."""
    data = bytearray((state / "state.db").read_bytes())
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(max(1, len(data) - PAGE))
        data[at : at + PAGE] = dice.randbytes(PAGE)
    (state / "state.db").write_bytes(data)


def cut(state: Path, dice: random.Random) -> None:
    data = (state / "state.db").read_bytes()
    (state / "state.db").write_bytes(data[: dice.randrange(len(data))])


def zero(state: Path, dice: random.Random) -> None:
    """Whole pages of zeros, as from a disk that lost them."""
    data = bytearray((state / "state.db").read_bytes())
    for _ in range(dice.randint(1, 8)):
        at = PAGE * dice.randrange(max(1, len(data) // PAGE))
        data[at : at + PAGE] = bytes(len(data[at : at + PAGE]))
    (state / "state.db").write_bytes(data)


def swap_log(state: Path, dice: random.Random) -> None:
    """The log of another file, and noise."""
    log = state / "state.db-wal"
    data = bytearray(log.read_bytes() if log.exists() else b"")
    for _ in range(8):
        at = dice.randrange(max(1, len(data)))
        data[at : at + 64] = dice.randbytes(64)
    log.write_bytes(data)
    garble(state, dice)


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (delete, garble, cut, zero, swap_log)


def make_older(state: Path, version: int, instance: str) -> None:
    """A state as the release wrote it whose format had this number (1 is the first)."""
    state.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(state / "state.db")
    for each in MIGRATIONS[:version]:
        database.executescript(each)
    database.execute("INSERT INTO meta (instance, created) VALUES (?, 1.0)", (instance,))
    database.execute(f"PRAGMA user_version = {version}")
    database.commit()
    database.close()


def make_newer(state: Path) -> None:
    """As if a later release had written it."""
    database = sqlite3.connect(state / "state.db")
    database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    database.close()


def keep(state: Path) -> Path:
    """A copy of the state's files, to be put back later."""
    folder = Path(tempfile.mkdtemp(prefix="kept-", dir=state.parent))
    for path in (state / "state.db", state / "state.db-wal"):
        if path.exists():
            shutil.copy(path, folder)
    return folder


def put_back(kept: Path, state: Path) -> None:
    """The state is an old one again."""
    for path in state.glob("state.db*"):
        if "damaged" not in path.name:
            path.unlink()
    for path in kept.iterdir():
        shutil.copy(path, state)
