"""The state's file as a whole: is it sound? and how another takes its place: a crash leaves one or the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from reconciler.core.errors import Damaged, StoreError
from reconciler.core.model import InstanceId, SweepName
from reconciler.crashpoints import crashpoint
from reconciler.store import rows
from reconciler.store.database import FILE, Cell, Database, Row, damaged

LOG, INDEX = "-wal", "-shm"  # what SQLite keeps beside the file
_ALL = ("", LOG, INDEX)
PAGE = 5_000

_TASK_COLUMNS = ",".join(
    f"{'p' if column in ('replicate', 'parameters') else 't'}.{column}" for column in rows.TASK_COLUMNS.split(",")
)
_TASKS = f"""
    SELECT t.sweep, {_TASK_COLUMNS}
    FROM tasks t CROSS JOIN points p ON p.sweep = t.sweep AND p.added = t.added AND p.place = t.place
    WHERE (t.sweep, t.task) > (?, ?) ORDER BY t.sweep, t.task LIMIT {PAGE}
"""
_ATTEMPTS = f"""
    SELECT {rows.ATTEMPT_COLUMNS} FROM attempts
    WHERE (sweep, task, number) > (?, ?, ?) ORDER BY sweep, task, number LIMIT {PAGE}
"""
_ANY = SweepName("")  # which sweep does not matter
_SWEEPS = f"SELECT {rows.SWEEP_COLUMNS} FROM sweeps WHERE generation > 0"


class Soundness(StrEnum):
    """What can be made of a state."""

    MISSING = "missing"
    DAMAGED = "damaged"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A state as it was found.

    why       what is wrong with a damaged one
    instance  of a whole one
    attempts  how many a whole one knows
    """

    soundness: Soundness
    why: str = ""
    instance: InstanceId | None = None
    attempts: int = 0


def examine(directory: Path) -> Examined:
    """Read all that is in `<directory>/state.db`, and change nothing. Of an older one only whether SQLite can.

    Raises StoreError when that does not tell: NewerState, StateBusy, CannotOpenState, StateUnreadable.
    """
    file = directory / FILE
    if not file.is_file() or file.stat().st_size == 0:
        return Examined(soundness=Soundness.MISSING)
    older = False
    try:
        database = Database.read_only(directory)
    except Damaged as error:
        return Examined(soundness=Soundness.DAMAGED, why=error.message)
    except StoreError as error:
        if _is_empty(error):
            return Examined(soundness=Soundness.MISSING)
        if error.reason != "OlderState":
            raise
        older, database = True, Database.of_any_age(directory)
    try:
        return _examined(database, older=older)
    except Damaged as error:
        return Examined(soundness=Soundness.DAMAGED, why=error.message)
    finally:
        database.close()


def is_begun(directory: Path) -> bool:
    """Whether `<directory>/state.db` holds anything: a copy without its log may be a file, and hold nothing.

    Raises StoreError.
    """
    if not (directory / FILE).is_file() or (directory / FILE).stat().st_size == 0:
        return False
    try:
        Database.read_only(directory).close()
    except StoreError as error:
        if _is_empty(error):
            return False
        if error.reason == "OlderState":
            return True
        raise
    return True


def instance_of(directory: Path) -> InstanceId | None:
    """Whose state it is, of an older one, too; None when there is none yet. Raises StoreError."""
    file = directory / FILE
    if not file.is_file() or file.stat().st_size == 0:
        return None
    try:
        database = Database.of_any_age(directory)
    except StoreError as error:
        if _is_empty(error):
            return None
        raise
    try:
        made = database.rows("PRAGMA user_version")[0][0]
        return _owner(database) if made else None
    finally:
        database.close()


def look_over(directory: Path) -> None:
    """Read every page of `<directory>/state.db`, if there is one: after an end that nobody had planned.

    Raises StoreError: CorruptState, or what opening it raises. An older one is looked over by who has migrated it.
    """
    if not (directory / FILE).is_file() or (directory / FILE).stat().st_size == 0:
        return
    try:
        database = Database.read_only(directory)
    except StoreError as error:
        if error.reason == "OlderState" or _is_empty(error):
            return
        raise
    try:
        problems = [str(row[0]) for row in database.rows("PRAGMA quick_check(1)") if row != ("ok",)]
    finally:
        database.close()
    if problems:
        raise damaged(f"{directory / FILE}: {problems[0]}")


def put_in_place(new: Path, directory: Path, stamp: str) -> tuple[Path, ...]:
    """Let the closed `<new>/state.db` be the state of `directory`; what was there is kept under other names, returned.

    The log goes first: beside another file it would be taken for that one's own. Raises StoreError.
    """
    file, log = directory / FILE, directory / (FILE + LOG)
    aside = _unused(directory, f"{FILE}.damaged-{stamp}")
    kept = []
    try:
        written = log.exists() and log.stat().st_size > 0
        for side in (directory / (FILE + INDEX), log):
            if written and side.exists():
                kept.append(aside.with_name(side.name.replace(FILE, aside.name)))
                side.rename(kept[-1])
            side.unlink(missing_ok=True)  # readers make them, too, and leave them empty
        crashpoint("rebuild.unlogged")
        if file.exists():
            kept.append(aside)
            _link(file, aside)
        crashpoint("rebuild.kept")
        (new / FILE).replace(file)
        crashpoint("rebuild.placed")
        _sync(directory)
    except OSError as error:
        raise StoreError("StateNotWritable", f"{directory}: {error.strerror}", hint="check state.dir") from error
    return tuple(reversed(kept))


def _examined(database: Database, *, older: bool) -> Examined:
    problems = [str(row[0]) for row in database.rows("PRAGMA integrity_check(3)") if row != ("ok",)]
    if problems:
        return Examined(soundness=Soundness.DAMAGED, why="; ".join(problems))
    instance = _owner(database)
    if instance is None:
        return Examined(soundness=Soundness.MISSING)
    if older:
        attempts = int(str(database.rows("SELECT count(*) FROM attempts")[0][0]))
        return Examined(soundness=Soundness.WHOLE, instance=instance, attempts=attempts)
    for sweep in database.rows(_SWEEPS):
        rows.sweep(sweep)
    for task in _pages(database, _TASKS, 2):
        rows.task(_ANY, task[1:])
    attempts = 0
    for attempt in _pages(database, _ATTEMPTS, 3):
        rows.attempt(_ANY, attempt)
        attempts += 1
    return Examined(soundness=Soundness.WHOLE, instance=instance, attempts=attempts)


def _owner(database: Database) -> InstanceId | None:
    """None when its first writer was ended before the last step."""
    found = database.rows("SELECT instance FROM meta")
    return InstanceId(str(found[0][0])) if found else None


def _pages(database: Database, sql: str, keys: int) -> Iterator[Row]:
    """All rows, page by page; the first `keys` columns are the order."""
    last: tuple[Cell, ...] = (-1, "", -1)[:keys]
    while page := database.rows(sql, last):
        last = page[-1][:keys]
        yield from page


def _is_empty(error: StoreError) -> bool:
    """Its writer ended before the first table. Only the very first step of making a state needs SQLite's rollback."""
    return error.reason == "UnfinishedState" or (
        error.reason == "OlderState" and error.message.endswith("older format 0")
    )


def _link(file: Path, aside: Path) -> None:
    """Another name for it, so that there is always a state by its own name; the only one where links are not known."""
    try:
        aside.hardlink_to(file)
    except OSError:
        file.rename(aside)


def _unused(directory: Path, name: str) -> Path:
    """That name, or with a number behind it, so that nothing is ever written over."""
    candidates = (directory / (name if number == 1 else f"{name}-{number}") for number in range(1, 1_000_000))
    return next(path for path in candidates if not any(path.with_name(path.name + side).exists() for side in _ALL))


def _sync(directory: Path) -> None:
    with suppress(OSError):  # not every file system lets a folder be synced
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
