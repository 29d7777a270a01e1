"""What keeps the daemon from starting or reading is told in one message with a hint; what only looks odd works."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ADDRESS = "127.0.0.1:0"


def told(world: Any, *words: str) -> tuple[int, str, str]:
    """The exit code of a command, its message and its hint: the last two lines, and no traceback before them."""
    done = world.run(*(words or ("run", "--once")))
    assert "Traceback" not in done.stdout + done.stderr
    message, hint = done.stderr.splitlines()[-2:]
    return done.returncode, message.replace(f"{world.root}/", ""), hint


def reconfigure(world: Any, old: str, new: str) -> None:
    text = world.config.read_text()
    assert old in text
    world.config.write_text(text.replace(old, new))


def test_a_missing_repository(world: Any) -> None:
    reconfigure(world, str(world.repository), f"{world.root}/nowhere")

    code, message, hint = told(world)

    assert 1 == code
    assert "there is no git repository at nowhere" in message
    assert "[NotFound]" in message
    assert "hint: check repository.url, and that the daemon's account may read it" == hint


def test_a_wrong_branch_names_those_that_there_are(world: Any) -> None:
    world.commit()
    world.git("branch", "stable")
    reconfigure(world, "branch: main", "branch: mian")

    expected = (1, "reconciler: sweeps has no branch 'mian'; there are: main, stable [BranchNotFound]")
    assert (*expected, "hint: did you mean main?") == told(world)


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("http:", "htpp:", "reconciler.yaml:5:1: unknown field `htpp` [UnknownField]", "hint: did you mean `http`?"),
        (
            "slots: 4",
            "slots: four",
            'reconciler.yaml:2:46: must be a whole number, not the text "four" [InvalidType]',
            (
                "hint: Of plain processes: how many tasks run at once. "
                "Default: one for each CPU of this machine; 1 on another."
            ),
        ),
        (
            f'"{ADDRESS}"}}',
            f'"{ADDRESS}"]',
            "reconciler.yaml:5:29: did not find expected ',' or '}' while parsing a flow mapping [Syntax]",
            "hint: a bracket, a quote or some indentation is missing here or before",
        ),
    ],
)
def test_a_broken_configuration_has_a_place(world: Any, old: str, new: str, message: str, hint: str) -> None:
    reconfigure(world, old, new)

    code, first, second = told(world)

    assert (1, message, hint) == (code, first, second)


def test_a_port_in_use(world: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        reconfigure(world, ADDRESS, address)
        told_it = told(world, "run")

    message = f"reconciler: {address} is in use by another program [PortInUse]"
    assert (1, message, "hint: set http.listen to another port, or to port 0 for any free one") == told_it


@pytest.mark.mounts
def test_a_full_disk(world: Any) -> None:
    world.mount(world.state, "size=64k")
    world.commit(s=world.manifest("s", "{x: [1]}"))

    message = "reconciler: state/state.db: database or disk is full [DiskFull]"
    assert (1, message, "hint: free space where state.dir lies; nothing new starts until then") == told(world)


@pytest.mark.mounts
def test_a_read_only_state_directory(world: Any) -> None:
    world.mount(world.state, "size=1m,ro")

    message = "reconciler: the state directory state cannot be written: Read-only file system [StateNotWritable]"
    hint = "hint: choose another one with `state: {dir: …}` in the configuration, on a local disk"
    assert (1, message, hint) == told(world)


def test_a_file_in_place_of_the_state_directory(world: Any) -> None:
    world.state.write_text("not a directory")

    code, message, _ = told(world)

    assert (1, "[StateNotWritable]") == (code, message[-18:])
    assert "not a directory" == world.state.read_text()


def test_a_second_daemon(world: Any) -> None:
    first = world.start()
    world.wait((world.state / "http").exists)

    message = f"reconciler: another daemon serves state (pid {first.pid}) [AlreadyRunning]"
    assert (75, message, "hint: stop it first, or give this one another state directory") == told(world)
    assert first.poll() is None


def newer(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()


def no_database(file: Path) -> None:
    file.write_bytes(b"no database" * 1000)


def damaged_pages(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * (size - 4096))


RESTORE = "`reconciler rebuild` makes it anew from git and the sources; what has run does not run again"


def test_a_store_that_cannot_be_used_is_left_as_it_is(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1]}"))
    assert 0 == world.run("run", "--once").returncode
    store = world.state / "state.db"
    good = store.read_bytes()

    for damage, reason, hint in (
        (newer, "[NewerState]", "install the release that wrote it, or a newer one"),
        (no_database, "[CorruptState]", RESTORE),
        (damaged_pages, "[CorruptState]", RESTORE),
    ):
        store.write_bytes(good)
        damage(store)
        damaged = store.read_bytes()
        for words in (("run", "--once"), ("status",)):
            code, message, last = told(world, *words)
            assert (1, reason, f"hint: {hint}") == (code, message[-len(reason) :], last)
        assert damaged == store.read_bytes()


def test_an_empty_repository(world: Any) -> None:
    expected = (
        1,
        "reconciler: sweeps has no commits yet [EmptyRepository]",
        "hint: commit something to 'main' and push it",
    )
    assert expected == told(world)


def test_a_repository_without_the_manifest_path_has_no_sweeps(world: Any) -> None:
    world.git("commit", "--quiet", "--allow-empty", "--message", "nothing")

    assert 0 == world.run("run", "--once").returncode


def bare(world: Any) -> Path:
    world.git("clone", "--quiet", "--bare", ".", str(world.root / "bare.git"))
    return Path(world.root / "bare.git")


def worktree(world: Any) -> Path:
    world.git("checkout", "--quiet", "--detach")
    world.git("worktree", "add", "--quiet", str(world.root / "worktree"), "main")
    return Path(world.root / "worktree")


def detached(world: Any) -> Path:
    world.git("checkout", "--quiet", "--detach")
    return Path(world.repository)


@pytest.mark.parametrize("place", [bare, worktree, detached])
def test_any_kind_of_local_repository_is_served(world: Any, place: Callable[[Any], Path]) -> None:
    world.commit(s=world.manifest("s", "{x: [1]}"))
    reconfigure(world, f"url: {world.repository},", f"url: {place(world)},")

    assert 0 == world.run("run", "--once").returncode

    assert 1 == world.counts("s")["succeeded"]


@pytest.mark.mounts
def test_a_disk_that_runs_full_and_is_freed_again(world: Any) -> None:
    world.mount(world.state, "size=4m")
    world.commit(s=world.manifest("s", "{x: [1]}"))
    world.start()
    world.succeeded("s", 1)
    ballast = world.state / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as stream:
        while stream.write(b"\0" * 4096):
            pass

    world.commit(t=world.manifest("t", "{x: [1, 2]}"))
    world.wait(lambda: "[DiskFull]" in (world.root / "daemon.log").read_text() or "CannotStage" in str(world.status()))
    ballast.unlink()

    world.succeeded("t", 2)
    assert [1, 1, 1] == sorted(world.runs().values())


def test_a_state_that_was_moved_away_as_a_whole_begins_anew(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1]}"))
    assert 0 == world.run("run", "--once").returncode

    shutil.move(world.state, world.root / "aside")

    assert 0 == world.run("run", "--once").returncode
    assert 1 == world.counts("s")["succeeded"]
