"""The store's file: who may read it, where it may lie, and what is said when it cannot be used."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from state_damage import make_older
from store_lab import SWEEP, Lab

from reconciler.core.errors import StoreError
from reconciler.core.model import InstanceId
from reconciler.store import Reader, Store
from reconciler.store.database import filesystem, is_network
from reconciler.store.schema import MIGRATIONS
from reconciler.store.whole import Soundness, examine, instance_of, is_begun, look_over

FULL = 2  # of PRAGMA synchronous
HOME = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 / /home rw - nfs4 server:/home rw
31 30 8:2 / /home/me/local\\040disk rw - xfs /dev/sdb1 rw
"""


@pytest.fixture
def opened():
    """Closes what a test opens."""
    with ExitStack() as stack:
        yield lambda store: stack.enter_context(closing(store))


@pytest.fixture
def create(opened):
    return lambda directory, instance="abcd": opened(Store.create(directory, instance=InstanceId(instance), at=1.0))


@pytest.fixture
def lab(tmp_path):
    with closing(Lab(tmp_path)) as lab:
        yield lab


def reason(problem: pytest.ExceptionInfo[StoreError]) -> tuple[str, bool]:
    return problem.value.reason, problem.value.hint != ""


def test_only_its_owner_may_read_it(create, tmp_path):
    create(tmp_path / "state").close()
    modes = [oct(path.stat().st_mode & 0o777) for path in (tmp_path / "state", tmp_path / "state/state.db")]
    assert ["0o700", "0o600"] == modes


def test_the_instance_is_drawn_once(create, tmp_path):
    create(tmp_path).close()
    assert "abcd" == create(tmp_path, "zzzz").instance()


def test_what_is_committed_survives_a_power_loss(create, tmp_path):
    store = create(tmp_path)
    assert [("wal",)] == store._database.rows("PRAGMA journal_mode")
    assert [(FULL,)] == store._database.rows("PRAGMA synchronous")


def test_an_empty_older_file_is_migrated(create, tmp_path):
    (tmp_path / "state.db").touch()
    assert [] == create(tmp_path).sweeps()


def test_a_newer_file_is_refused(create, tmp_path):
    create(tmp_path).close()
    database = sqlite3.connect(tmp_path / "state.db")
    database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    database.close()
    with pytest.raises(StoreError) as problem:
        create(tmp_path)
    assert ("NewerState", True) == reason(problem)


def test_a_reader_does_not_migrate(tmp_path):
    (tmp_path / "state.db").touch()
    with pytest.raises(StoreError) as problem:
        Reader.open(tmp_path)
    assert ("OlderState", True) == reason(problem)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_whose_an_older_state_is_can_be_told_without_making_it_newer(tmp_path, version):
    make_older(tmp_path, version, "abcd")
    before = (tmp_path / "state.db").read_bytes()
    assert "abcd" == instance_of(tmp_path)
    assert before == (tmp_path / "state.db").read_bytes()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_an_older_state_is_whole_when_it_can_be_read_and_belongs_to_somebody(tmp_path, version):
    make_older(tmp_path, version, "abcd")
    found = examine(tmp_path)
    assert (Soundness.WHOLE, "abcd", 0) == (found.soundness, found.instance, found.attempts)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_state_that_was_never_given_to_anybody_holds_nothing(tmp_path, version):
    make_older(tmp_path, version, "abcd")
    with closing(sqlite3.connect(tmp_path / "state.db")) as database, database:
        database.execute("DELETE FROM meta")
    assert (Soundness.MISSING, None) == (examine(tmp_path).soundness, instance_of(tmp_path))


def test_a_state_that_holds_nothing_is_nobodys(tmp_path):
    assert instance_of(tmp_path) is None
    (tmp_path / "state.db").touch()
    assert instance_of(tmp_path) is None


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A state whose disk failed when it was made: SQLite has left its log of the very first step, and half of that."""
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        connection.execute("PRAGMA user_version = 0")
        connection.execute("CREATE TABLE t (a)")
    first_step = "d9d505f920a163d7 00000000 b278f88b 00000000 00000200 00001000"
    (tmp_path / "state.db-journal").write_bytes(bytes.fromhex(first_step).ljust(512, b"\0"))
    return tmp_path


def test_a_reader_does_not_finish_a_state_that_was_being_made(begun):
    with pytest.raises(StoreError) as problem:
        Reader.open(begun)
    assert ("UnfinishedState", True) == reason(problem)


def test_a_state_that_was_being_made_holds_nothing_and_is_no_damage(begun):
    look_over(begun)
    assert (False, Soundness.MISSING, None) == (is_begun(begun), examine(begun).soundness, instance_of(begun))


def test_a_state_that_was_being_made_is_made(begun, create):
    create(begun)
    assert (True, Soundness.WHOLE) == (is_begun(begun), examine(begun).soundness)


def test_without_a_state_a_reader_says_so(tmp_path):
    with pytest.raises(StoreError) as problem:
        Reader.open(tmp_path)
    assert ("NoState", True) == reason(problem)


def test_a_corrupt_file_is_named_with_advice(create, tmp_path):
    (tmp_path / "state.db").write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(StoreError) as problem:
        create(tmp_path)
    assert ("CorruptState", True) == reason(problem)


def test_a_torn_page_is_an_error_of_the_store(lab, opened, tmp_path):
    lab.accept(range(2000))
    lab.store.close()
    file = tmp_path / "state.db"
    size = file.stat().st_size
    with file.open("r+b") as damaged:
        damaged.seek(size // 3)
        damaged.write(b"\xff" * (size // 3))
    with pytest.raises(StoreError) as problem:
        opened(Reader.open(tmp_path)).tasks(SWEEP, limit=5000)
    assert ("CorruptState", True) == reason(problem)


def rewritten(file: Path, sql: str) -> None:
    """The file says something else than we had written."""
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.executescript(sql)


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param("UPDATE tasks SET phase = 'succfeded'", id="a word that is none"),
        pytest.param("UPDATE tasks SET reason = CAST(x'ff' AS TEXT)", id="bytes that are no text"),
        pytest.param("UPDATE tasks SET scale = '{'", id="JSON that is none"),
        pytest.param("DROP TABLE points", id="a table that is gone"),
        pytest.param(
            "UPDATE sqlite_schema SET name = CAST(x'ff' AS TEXT), sql = '' WHERE name = 'tasks'",
            id="an unreadable name",
        ),
    ],
)
def test_whatever_cannot_have_been_written_is_told_as_damage(lab, opened, tmp_path, sql):
    lab.accept(range(3))
    lab.store.close()
    rewritten(tmp_path / "state.db", sql)

    with pytest.raises(StoreError) as problem:
        opened(Reader.open(tmp_path)).tasks(SWEEP, limit=5)
    assert ("CorruptState", True) == reason(problem)
    assert "damaged" == examine(tmp_path).soundness.value


def test_a_full_disk_is_an_error_of_the_store_and_changes_nothing(lab, tmp_path):
    lab.accept(range(10))
    before = lab.picture()
    pages = lab.store._database.rows("PRAGMA page_count")[0][0]
    lab.store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError) as problem:
        lab.accept(range(20_000))
    assert ("DiskFull", True) == reason(problem)
    lab.store._database.execute("PRAGMA max_page_count = 1000000")
    lab.reopen()
    assert before == lab.picture()


def test_a_reader_cannot_write(create, opened, tmp_path):
    create(tmp_path)
    with pytest.raises(StoreError) as problem:
        opened(Reader.open(tmp_path))._database.execute("DELETE FROM meta")
    assert ("ReadOnlyState", True) == reason(problem)


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/var/lib/reconciler", "ext4"),
        ("/home/me/state", "nfs4"),
        ("/home/me/local disk/state", "xfs"),
        ("/homework", "ext4"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_mount(directory, kind):
    assert kind == filesystem(Path(directory), HOME)


def test_without_mounts_nothing_is_known_and_nothing_refused():
    assert "" == filesystem(Path("/home"), "nonsense\n")
    assert not is_network("")


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "lustre", "gpfs", "cifs", "9p", "fuse.sshfs"])
def test_a_network_file_system_is_told(kind):
    assert is_network(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay"])
def test_a_local_file_system_is_not(kind):
    assert not is_network(kind)


def test_the_daemons_that_served_a_state_are_known_to_the_next_one(tmp_path):
    for name, earlier in (("a", ()), ("b", ("a",)), ("c", ("b", "a"))):
        store = Store.create(tmp_path / "state", instance=InstanceId("aaaa"), at=0.0)
        assert earlier == store.begin_life(name, 1.0)
        store.close()
