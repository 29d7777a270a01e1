"""The agent's parts, each alone: the queue, the one winner of a claim, the way to a program."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.agent import launch, look, place, reach, shapes, side, system
from reconciler.agent.pool import Pool
from reconciler.core import command, wire


def spec(name: str = "a", gpus: int = 0) -> shapes.Spec:
    eid = "g" + (name * 14)[:14]
    return shapes.Spec(eid, "s", "t", 1, ["true"], {}, [], {}, None, "c", None, gpus, "d", 1.0, {})


# ------------------------------------------------------------------------------------------------ the queue


def started(pool: Pool) -> list[str]:
    names = []
    while (taken := pool.take()) is not None:
        names.append(taken[0].eid[1])
    return names


def test_the_queue_fills_the_slots_in_order():
    pool = Pool(2, [])
    for name in "abc":
        pool.add(spec(name))

    assert started(pool) == ["a", "b"]
    pool.release(spec("a").eid)
    assert started(pool) == ["c"]


def test_those_who_run_already_take_slots():
    pool = Pool(1, [])
    pool.sit("gadopted", [])
    pool.add(spec("a"))

    assert started(pool) == []


def test_what_is_dropped_never_starts():
    pool = Pool(3, [0])
    for name, gpus in (("a", 0), ("b", 1), ("c", 0)):
        pool.add(spec(name, gpus))
    pool.drop(spec("a").eid)
    pool.drop(spec("b").eid)

    assert started(pool) == ["c"]
    assert not pool.waits(spec("b").eid)


def test_what_could_not_take_its_seat_is_the_next_again():
    pool = Pool(1, [])
    pool.add(spec("a"))
    pool.add(spec("b"))
    taken = pool.take()
    assert taken is not None

    pool.put_back(taken[0])

    assert started(pool) == ["a"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=30), st.integers(1, 4), st.integers(0, 3))
def test_slots_and_gpus_are_never_given_twice(wishes, slots, gpus):
    pool = Pool(slots, list(range(gpus)))
    running: list[tuple[str, list[int]]] = []
    for number, (wish, ends) in enumerate(wishes):
        eid = f"g{number}"
        pool.add(spec()._replace(eid=eid, gpus=wish))
        while (taken := pool.take()) is not None:
            running.append((taken[0].eid, taken[1]))
            assert len(taken[1]) == taken[0].gpus
        held = [index for _, indices in running for index in indices]
        assert len(running) <= slots
        assert len(held) == len(set(held)) <= gpus
        for name, _ in running[:ends]:
            pool.release(name)
        del running[:ends]


# ------------------------------------------------------------------------------------------------ one winner


def test_of_many_processes_one_wins(tmp_path):
    goal = tmp_path / "claim"
    children = []
    for number in range(32):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if place.win(str(goal), f"{number}", "claim") else 97)
        children.append(pid)

    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]

    assert (codes.count(0), codes.count(97)) == (1, 31)
    assert goal.read_text() == str(codes.index(0))
    assert os.listdir(tmp_path) == ["claim"]


def test_when_nobody_can_win_it_is_an_error_and_not_a_loss(tmp_path):
    with pytest.raises(OSError, match="No such file") as caught:
        place.win(str(tmp_path / "gone" / "claim"), "x", "claim")

    assert caught.value.errno == errno.ENOENT


def test_who_made_the_link_has_won_whatever_the_answer_was(tmp_path, monkeypatch):
    link = os.link

    def repeated(source, target):
        """As on NFS: the request was carried out, its answer was lost, and it was asked again."""
        link(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", repeated)

    assert place.win(str(tmp_path / "claim"), "x", "claim")


# ------------------------------------------------------------------------------------------------ locks and signals


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "lock"
    path.write_text("")
    found = path.stat()
    return shapes.LockId(str(path), found.st_dev, found.st_ino)


def test_a_lock_is_held_until_its_last_holder_is_gone(lock):
    child = subprocess.Popen(["flock", lock.path, "sh", "-c", "echo; read x"], stdin=-1, stdout=-1)
    child.stdout.readline()

    assert look.lock_state(lock) == "held"

    child.communicate(b"\n")
    assert look.lock_state(lock) == "free"


def test_a_missing_or_strange_lock_says_nothing_and_is_not_made(lock, tmp_path):
    assert look.lock_state(lock._replace(ino=lock.ino + 1)) == "unknown"
    assert look.lock_state(lock._replace(path=str(tmp_path / "none"))) == "unknown"
    assert os.listdir(tmp_path) == ["lock"]


def claim(pid: int, start: int, lock: shapes.LockId, name: str = "sleep") -> shapes.Claim:
    return shapes.Claim("started", name, "h", "m", "b", "n", pid, start, lock, [], {})


def test_an_end_between_two_glances_is_seen_by_the_second(tmp_path, lock, monkeypatch):
    root, eid = place.Root(str(tmp_path / "root"), "aaaa"), spec("a").eid
    folder = root.attempt(eid)
    os.makedirs(folder)
    started = {"eid": eid, "nonce": "n", "pid": 2, "start": 1, "gpus": [], "lock": dict(lock._asdict())}
    with open(folder + "/claim", "w") as file:
        json.dump({**root.claim_base("started"), **started}, file)

    def ends_just_now(_lock):
        with open(folder + "/exit.json", "w") as file:
            times = {"started_at": 1, "ended_at": 2, "cpu_s": 0, "max_rss_mib": 0}
            json.dump({"nonce": "n", "ended_by": "itself", "exit_code": 0, **times}, file)
        return "free"

    monkeypatch.setattr(look, "lock_state", ends_just_now)

    assert (True, "free") == (look.look(root, eid).ended, look.look(root, eid).lock)


def test_only_the_process_that_started_then_and_bears_the_name_is_signalled(lock):
    child = subprocess.Popen(["sleep", "60"])
    start = system.start_ticks(child.pid)
    assert start is not None

    assert not reach.signal_shim(claim(child.pid, start + 1, lock), 9)
    assert not reach.signal_shim(claim(child.pid, start, lock, name="another"), 9)
    assert child.poll() is None

    assert reach.signal_shim(claim(child.pid, start, lock), 9)
    assert child.wait() == -9


def test_without_pidfds_the_same_holds(lock, monkeypatch):
    monkeypatch.setattr(reach, "_PIDFD_OPEN", None)
    test_only_the_process_that_started_then_and_bears_the_name_is_signalled(lock)


def test_leftovers_are_those_who_hold_the_lock_and_not_those_who_look_at_it(lock):
    with open(lock.path) as looking, open(lock.path) as sharing:
        fcntl.flock(sharing, fcntl.LOCK_SH)
        bystander = subprocess.Popen(["sleep", "60"], pass_fds=(looking.fileno(), sharing.fileno()))
        fcntl.flock(sharing, fcntl.LOCK_UN)
    holder = subprocess.Popen(["flock", lock.path, "sleep", "60"], start_new_session=True)
    while look.lock_state(lock) == "free":
        assert holder.poll() is None

    assert reach.signal_leftovers(claim(1 << 22, 1, lock), 9) >= 1

    holder.wait()
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


# ------------------------------------------------------------------------------------------------ the way to a program


# 32 and 33 are the C library's own: make ignores them for what it starts, and nobody can change that back.
STANDARD_SIGNALS_FREE = b"Sig(Blk|Ign):.[0-9a-f]{8}[08]0000000$"


def test_without_posix_spawn_programs_start_the_same_way(monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "_POSIX_SPAWN", None)
    out = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    saved = os.dup(1)
    os.dup2(out, 1)
    try:
        pid = launch.spawn([b"grep", b"-cE", STANDARD_SIGNALS_FREE, b"/proc/self/status"], {b"PATH": b"/bin:/usr/bin"})
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(out)
    assert os.waitpid(pid, 0)[1] == 0
    assert (tmp_path / "out").read_text() == "2\n"

    (tmp_path / "data").write_text("no program")
    (tmp_path / "data").chmod(0o755)
    with pytest.raises(launch.LaunchError, match="Exec format error"):
        launch.spawn([bytes(tmp_path / "data")], {})


def test_the_tokens_are_those_of_the_command():
    assert (launch.OUTPUT_TOKEN, launch.CHECKPOINT_TOKEN) == (command.OUTPUT_TOKEN, command.CHECKPOINT_TOKEN)


def test_protocol_and_page_are_those_of_the_wire():
    assert (shapes.PROTOCOL, shapes.PAGE) == (wire.PROTOCOL, wire.PAGE)


@pytest.mark.parametrize(("path", "local"), [("/proc", True), ("/dev/shm", True), ("/", True)])
def test_a_file_system_of_this_machine_is_local(path, local):
    assert system.is_local(path) == local


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("36 35 98:0 / / rw - ext4 /dev/root rw", (0, "ext4")),
        ("36 35 98:0 / /home rw shared:1 - nfs4 server:/home rw", (5, "nfs4")),
        ("36 35 98:0 / /home/me/with\\040space rw - fuse.sshfs x rw", (-1, "")),
        ("36 35 98:0 / /ho rw - xfs /dev/sdb rw", (-1, "")),
    ],
)
def test_the_nearest_mount_point_decides_the_file_system(line, found):
    assert system._mount(line, "/home/me") == found


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "",
        "gaaaabcdefghij",
        "gaaaabcdefghijkl",
        "../../etc/passw",
        "gaaaabcdefghi/k",
        "gAAAabcdefghijk",
        "haaaabcdefghijk",
    ],
)
def test_nothing_but_the_name_of_an_attempt_becomes_a_path(value):
    with pytest.raises(shapes.Refusal):
        shapes.eid_of(value)


def test_this_interpreter_s_own_start_is_found():
    ticks = system.start_ticks(os.getpid())

    assert ticks is not None
    assert 0 <= system.age_s(ticks) < 86400
    assert sys.platform == "linux"


# ------------------------------------------------------------------------------------------------ what a task sees


def test_a_task_does_not_see_what_belongs_to_the_daemon_or_to_a_test_that_kills_it():
    base = {b"HOME": b"/h", b"NOTIFY_SOCKET": b"/n", b"RECONCILER_CRASH_AT": b"a.b", b"RECONCILER_CRASH_TOKEN": b"/t"}

    seen = launch.environment(base, spec(), launch.Folders("/a", "/a/output", "/c"), "/w")

    assert [b"HOME"] == [name for name in base if name in seen]


# ------------------------------------------------------------------------------------------------ worktrees


def test_a_worktree_that_nobody_makes_any_more_is_thrown_away_and_nothing_else(tmp_path):
    trash, project = tmp_path / "trash", tmp_path / "projects/p"
    for folder in (trash, project / "whole", project / "whole.making.1.old", project / "whole.making.2.young"):
        folder.mkdir(parents=True)
    now = (project / "whole.making.2.young").stat().st_mtime
    for name in ("whole", "whole.making.1.old"):
        os.utime(project / name, (now - 86400, now - 86400))

    side.abandon(str(tmp_path / "projects"), str(trash), now)

    assert ["whole.making.1.old"] == os.listdir(trash)
    assert ["whole", "whole.making.2.young"] == sorted(os.listdir(project))
