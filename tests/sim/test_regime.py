"""The simulator itself: what it promises of processes, time, disks and machines, before anything is judged by it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.errors import StoreError
from reconciler.core.model import InstanceId, SourceName
from reconciler.store import Event, Store
from tests.sim import disk
from tests.sim.disk import State
from tests.sim.files import FOLDER, Files, Opened
from tests.sim.loop import Killed, Process, SimLoop, Stuck
from tests.sim.machine import Machine, Proc
from tests.sim.oracle import Oracle


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    made = SimLoop(random.Random(1))
    with made.entered():
        yield made


def exhaust(loop: SimLoop) -> None:
    """Until nothing is left to do."""
    with contextlib.suppress(Stuck):
        while True:
            loop.step()


# ---------------------------------------------------------------------------------------------- processes


async def noting(notes: list[str], name: str, count: int) -> None:
    for number in range(count):
        notes.append(f"{name}{number}")
        await asyncio.sleep(1)


def test_a_killed_process_never_runs_again(loop: SimLoop):
    notes: list[str] = []
    process = Process(loop, "p")
    process.spawn(noting(notes, "a", 9))
    process.call_later(3.5, process.kill)
    exhaust(loop)
    assert ["a0", "a1", "a2", "a3"] == notes


def test_what_the_dead_do_on_their_way_out_schedules_nothing(loop: SimLoop):
    notes: list[str] = []
    process = Process(loop, "p")

    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            process.call_soon(notes.append, "late")
            await asyncio.sleep(1)
            notes.append("later")

    process.spawn(stubborn())
    process.call_later(1, process.kill)
    exhaust(loop)
    assert [] == notes


def test_who_dies_in_the_middle_of_a_step_does_not_finish_it(loop: SimLoop):
    notes: list[str] = []
    process = Process(loop, "p")

    async def fatal() -> None:
        try:
            process.kill()
            raise Killed
        except Exception:  # noqa: BLE001 - as handlers of the code under test do
            notes.append("caught")
        notes.append("went on")

    process.spawn(fatal())
    exhaust(loop)
    assert ([], False) == (notes, process.alive)


def test_a_paused_process_keeps_aside_what_becomes_ready(loop: SimLoop):
    notes: list[str] = []
    process, other = Process(loop, "p"), Process(loop, "q")
    process.spawn(noting(notes, "a", 3))
    process.call_later(0.5, process.pause)
    other.call_later(10, notes.append, "woken")
    other.call_later(10, process.wake)
    exhaust(loop)
    assert ["a0", "woken", "a1", "a2"] == notes


def test_what_a_process_starts_belongs_to_it(loop: SimLoop):
    notes: list[str] = []
    process = Process(loop, "p")

    async def parent() -> None:
        task = asyncio.create_task(noting(notes, "child", 9))
        asyncio.get_running_loop().call_later(5, notes.append, "callback")
        await task

    process.spawn(parent())
    process.call_later(1.5, process.kill)
    exhaust(loop)
    assert ["child0", "child1"] == notes


def test_steps_of_one_process_keep_their_order(loop: SimLoop):
    notes: list[int] = []
    process = Process(loop, "p")
    for number in range(20):
        process.call_soon(notes.append, number)
    exhaust(loop)
    assert list(range(20)) == notes


def test_time_moves_only_forward_and_jumps_to_the_next_timer(loop: SimLoop):
    instants: list[float] = []
    process = Process(loop, "p")
    for delay in (1e6, 5, 0.1, 5):
        process.call_later(delay, lambda: instants.append(loop.time()))
    exhaust(loop)
    assert sorted(instants) == instants
    assert [0, 5, 5, 1_000_000] == [int(instant) for instant in instants]


# ---------------------------------------------------------------------------------------------- machines


class Witness:
    """Hears everything, and says nothing."""

    def began(self, *_: object) -> None: ...

    def signalled(self, *_: object) -> None: ...

    def removed(self, *_: object) -> None: ...

    def lost_power(self, *_: object) -> None: ...


@pytest.fixture
def machine(loop: SimLoop) -> Machine:
    return Machine(loop, "box", random.Random(1), Witness(), 1.7e9)


def test_a_link_has_one_winner(machine: Machine):
    files = machine.files
    files.text("/a", "mine")
    files.text("/b", "yours")
    files.link("/a", "/claim")
    with pytest.raises(FileExistsError):
        files.link("/b", "/claim")
    assert (2, 1) == (files.get("/a").links, files.get("/b").links)


def test_the_end_of_a_process_lets_go_of_its_locks(machine: Machine):
    proc = Proc(machine, "p", None)
    opened = Opened(inode=machine.files.get("/dev/null"), reads=True, writes=True)
    assert opened.inode is not None
    proc.open(opened)
    opened.inode.lock.add(opened)
    proc.end(0)
    assert set() == opened.inode.lock


def test_pids_are_given_again(machine: Machine):
    pids = []
    for _ in range(2000):
        proc = Proc(machine, "p", None)
        pids.append(proc.pid)
        proc.end(0)
    assert len(set(pids)) < len(pids)


def test_a_crash_ends_every_process_and_changes_the_boot(machine: Machine):
    proc, boot = Proc(machine, "p", None), machine.boot
    machine.crash(power=False)
    assert (False, {}, True) == (proc.alive, machine.processes, boot != machine.boot)


def test_a_power_loss_may_take_what_was_not_synced_and_nothing_else(loop: SimLoop):
    files = Files(lambda: 0.0, lambda: 100.0, loop.number)
    for name in range(200):
        files.text(f"/d/new{name}", "content")
        files.text(f"/d/synced{name}", "content")
        files.sync(files.get(f"/d/synced{name}"))
    folder = files.get("/d")
    assert FOLDER == folder.kind
    for name in range(200):
        files.get(f"/d/synced{name}").named = -1e9

    files.lose_power(random.Random(1).random)
    kept = {name: inode.data for name, inode in folder.entries.items()}
    assert 200 == sum(name.startswith("synced") and data == b"content" for name, data in kept.items())
    assert 0 < sum(name.startswith("new") and data == b"content" for name, data in kept.items()) < 200


# ---------------------------------------------------------------------------------------------- disks


class Daemon(Process):
    """Who opens a store."""


@pytest.fixture
def store(loop: SimLoop, tmp_path: Path) -> Iterator[tuple[Store, State, Daemon]]:
    state, daemon = State(tmp_path, Oracle(loop.time)), Daemon(loop, "d")
    with disk.gated(lambda: (state, daemon)):
        opened = Store.create(tmp_path, instance=InstanceId("aaaa"), at=0.0)
        yield opened, state, daemon
        daemon.kill()


def told(folder: Path) -> list[str]:
    again = Store.create(folder, instance=InstanceId("aaaa"), at=0.0)
    try:
        return [event.reason for event in again.events()]
    finally:
        again.close()


def test_what_the_dead_write_is_refused(store: tuple[Store, State, Daemon]):
    opened, _, daemon = store
    daemon.kill()
    with pytest.raises(Killed):
        opened.add_events([Event(reason="Late", message="")], 1.0)


def test_a_power_loss_keeps_what_was_durable_and_cuts_what_was_not(loop: SimLoop, tmp_path: Path):
    kept = set()
    for seed in range(20):
        state, daemon = State(tmp_path / str(seed), Oracle(loop.time)), Daemon(loop, "d")
        with disk.gated(lambda state=state, daemon=daemon: (state, daemon)):
            opened = Store.create(state.folder, instance=InstanceId("aaaa"), at=0.0)
            opened.add_events([Event(reason="Durable", message="")], 1.0)
            for number in range(5):
                opened.set_source(SourceName(f"s{number}"), {"n": 1}, 2.0)
            state.lose_power(daemon, random.Random(seed))
        assert ["Durable"] == told(state.folder)
        again = Store.create(state.folder, instance=InstanceId("aaaa"), at=0.0)
        kept.add(len(again.sources()))
        again.close()
    assert 0 in kept
    assert len(kept) > 2


def test_a_full_disk_refuses_what_needs_room(store: tuple[Store, State, Daemon]):
    opened, state, _ = store
    state.trouble.full = True
    big = [Event(reason="Big", message="x" * 5_000_000)]
    with pytest.raises(StoreError) as problem:
        opened.add_events(big, 1.0)
    assert "DiskFull" == problem.value.reason
