"""The border to SQLite: opening a file safely, transactions, and the one place where its errors become ours.

WAL needs shared memory, so a network file system is refused rather than trusted. The writer commits with
synchronous=FULL: an intent that a power loss takes back would be a lost task.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from reconciler.core.errors import Damaged, StoreError
from reconciler.crashpoints import crashpoint
from reconciler.store.schema import MIGRATIONS

FILE = "state.db"
BUSY_MS = 5_000
CHECKPOINT_PAGES = 4_000
CACHE_KIB = 32_768
PAGE = 500  # SQLite before 3.32 takes 999 variables

NETWORK_FILESYSTEMS = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "panfs",
        "pvfs2",
        "smb3",
        "smbfs",
    }
)

Cell: TypeAlias = int | float | str | None
Row: TypeAlias = tuple[Any, ...]  # as sqlite3 gives it; store/rows.py says what is in it

_RESTORE = "`reconciler rebuild` makes it anew from git and the sources; what has run does not run again"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SIGNS_OF_DAMAGE = ("no such table", "no such column", "Could not decode to UTF-8")  # of a file of our own version
T = TypeVar("T")

_HINTS = {
    sqlite3.SQLITE_FULL: ("DiskFull", "free space where state.dir lies; nothing new starts until then"),
    sqlite3.SQLITE_READONLY: ("ReadOnlyState", "state.dir and its files must be writable by this user"),
    sqlite3.SQLITE_PERM: ("ReadOnlyState", "state.dir and its files must be writable by this user"),
    sqlite3.SQLITE_CANTOPEN: ("CannotOpenState", "check that state.dir exists and belongs to this user"),
    sqlite3.SQLITE_BUSY: ("StateBusy", "another process holds the state; it is tried again"),
    sqlite3.SQLITE_LOCKED: ("StateBusy", "another process holds the state; it is tried again"),
    sqlite3.SQLITE_IOERR: ("StateUnreadable", "check the disk where state.dir lies"),
}


class Database:
    """One connection. Every method raises StoreError, and none lets an sqlite3 error out."""

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self._connection = connection
        self._file = file

    @classmethod
    def read_only(cls, directory: Path) -> Database:
        """Raises StoreError: NoState, NewerState, OlderState, UnfinishedState, CorruptState."""
        database = cls.of_any_age(directory)
        version = database._version()
        if version < len(MIGRATIONS):
            database.close()
            hint = "start the daemon of this release, or restart the one that runs: it brings the state up to date"
            raise StoreError("OlderState", f"{directory / FILE} has the older format {version}", hint=hint)
        return database

    @classmethod
    def of_any_age(cls, directory: Path) -> Database:
        """Read-only, for what every format has. Raises as `read_only`, but for OlderState."""
        file = directory / FILE
        if not file.is_file():
            raise StoreError(
                "NoState", f"there is no state in {directory}", hint="start the daemon once, or check --config"
            )
        return cls._connect(file, "ro")

    @classmethod
    def writable(cls, directory: Path) -> Database:
        """Made when missing, migrated when older. Raises StoreError: NetworkFileSystem, NewerState, CorruptState, …"""
        file = directory / FILE
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_network(directory, Path("/proc/self/mountinfo"))
            directory.chmod(0o700)
            if not file.exists():  # never open an existing one beside SQLite: closing it would drop SQLite's locks
                os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
            file.chmod(0o600)
        except OSError as error:
            raise StoreError("CannotOpenState", f"{directory}: {error.strerror}", hint="check state.dir") from error
        database = cls._connect(file, "rw")
        database._prepare_writer()
        _keep_names(directory)
        return database

    @classmethod
    def _connect(cls, file: Path, mode: str) -> Database:
        with _translated(file):
            uri = f"{file.absolute().as_uri()}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_MS / 1000)
        database = cls(connection, file)
        try:
            database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            database.execute("PRAGMA foreign_keys = ON")
            if database._version() > len(MIGRATIONS):
                hint = "install the release that wrote it, or a newer one"
                raise StoreError("NewerState", f"{file} was written by a newer release", hint=hint)
        except StoreError:
            database.close()
            raise
        return database

    def _prepare_writer(self) -> None:
        try:
            self.execute("PRAGMA journal_mode = WAL")
            self.execute("PRAGMA synchronous = FULL")
            self.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            self._migrate()
        except StoreError:
            self.close()
            raise

    def _version(self) -> int:
        version: int = self.rows("PRAGMA user_version")[0][0]
        return version

    def _migrate(self) -> None:
        for version in range(self._version(), len(MIGRATIONS)):
            with _translated(self._file):
                self._connection.executescript(
                    f"BEGIN EXCLUSIVE; {MIGRATIONS[version]}; PRAGMA user_version = {version + 1}; COMMIT;"
                )
            crashpoint("store.migrated")

    def close(self) -> None:
        with _translated(self._file):
            self._connection.close()

    def rows(self, sql: str, args: Sequence[Cell] = ()) -> list[Row]:
        with _translated(self._file):
            return self._connection.execute(sql, args).fetchall()

    def row(self, sql: str, args: Sequence[Cell] = ()) -> Row | None:
        found = self.rows(sql, args)
        return found[0] if found else None

    def execute(self, sql: str, args: Sequence[Cell] = ()) -> int:
        """Run one statement; returns how many rows it changed."""
        with _translated(self._file):
            return self._connection.execute(sql, args).rowcount

    def many(self, sql: str, args: Iterable[Sequence[Cell]]) -> None:
        with _translated(self._file):
            self._connection.executemany(sql, args)

    @contextmanager
    def transaction(self, label: str) -> Iterator[None]:
        """All or nothing, durable when it returns.

        A crash may come at `store.<label>.begun`, `store.<label>.written` and `store.<label>.committed`.
        """
        with self._atomic("BEGIN IMMEDIATE"):
            crashpoint(f"store.{label}.begun")
            yield
            crashpoint(f"store.{label}.written")
        crashpoint(f"store.{label}.committed")

    @contextmanager
    def soft_transaction(self, label: str) -> Iterator[None]:
        """All or nothing, and durable with the next durable one: for what can be learned again after a power loss.

        It spares the wait for the disk, which is most of what a small transaction costs.
        """
        self.execute("PRAGMA synchronous = NORMAL")
        try:
            with self.transaction(label):
                yield
        finally:
            self.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def temporary_transaction(self) -> Iterator[None]:
        """For temporary tables alone: a reader may, and nothing outlives the connection."""
        with self._atomic("BEGIN"):
            yield

    @contextmanager
    def _atomic(self, begin: str) -> Iterator[None]:
        self.execute(begin)
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self.execute("ROLLBACK")
            raise


def damaged(message: str) -> Damaged:
    """The file holds what was never written there."""
    return Damaged("CorruptState", message, hint=_RESTORE)


def pages(values: Iterable[T]) -> Iterator[list[T]]:
    """As many at a time as one statement takes."""
    stream = iter(values)
    while page := list(islice(stream, PAGE)):
        yield page


def places(values: Sequence[object]) -> str:
    """A question mark for each."""
    return ",".join("?" * len(values))


def filesystem(directory: Path, mountinfo: str) -> str:
    """The type of an absolute directory's file system, from the text of /proc/self/mountinfo; "" = unknown."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        fields, separator, tail = line.partition(" - ")
        if not separator or len(fields.split()) < 5:
            continue
        point = fields.split()[4].replace("\\040", " ")
        if directory.is_relative_to(point) and len(point) >= len(best):  # a later mount covers an earlier one
            best, kind = point, tail.split()[0]
    return kind


def is_network(kind: str) -> bool:
    return kind in NETWORK_FILESYSTEMS or kind.startswith("fuse.")


def _keep_names(directory: Path) -> None:
    """Sync the folder and those above it: a power loss must not take away a folder that was made for what is promised.

    Where we may not write we have made nothing. What cannot sync a folder keeps its names by itself, or nobody can.
    """
    for folder in (directory, *directory.resolve().parents):
        if not os.access(folder, os.W_OK):
            return
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _refuse_network(directory: Path, mountinfo: Path) -> None:
    try:
        text = mountinfo.read_text(errors="replace")
    except OSError:  # no proc: nothing is known, and nothing is refused
        return
    kind = filesystem(directory.resolve(), text)
    if is_network(kind):
        raise StoreError(
            "NetworkFileSystem",
            f"{directory} lies on a network file system ({kind}), where SQLite corrupts",
            hint="set state.dir to a local disk of this machine, such as /var/tmp or /var/lib",
        )


@contextmanager
def _translated(file: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:  # SQLite names in its message what it has found in the file
        raise damaged(f"{file}: {error}") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGE or str(error).startswith(_SIGNS_OF_DAMAGE):
            raise damaged(f"{file}: {error}") from error
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_ROLLBACK:
            message = f"{file} was being made when its writer ended, and only a writer may finish that"
            raise StoreError("UnfinishedState", message, hint="start the daemon once") from error
        reason, hint = _HINTS.get(code, ("StateFailed", "this is a defect: please report it"))
        raise StoreError(reason, f"{file}: {error}", hint=hint) from error
