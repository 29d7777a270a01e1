"""A daemon that was killed with 10,000 open attempts: from its start until it and its source agree about all of them.

100 of the attempts run, each a real process that outlives the daemon; the others had been handed to the agent and
waited in its queue, which dies with it, so that nothing lies on the source about them. (The intents of these others are
written through the store, because dispatch by itself never hands so many over in advance.)

    killed      SIGKILL to the daemon; its agent goes, the tasks live on
    looked      from the start of the next daemon until its looking shows: queued attempts are to be submitted again
    steady      … until every attempt is running, or accepted by the agent again
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import passes, product
from benchmarks.figures import Measured
from reconciler.core.model import InstanceId, Phase
from reconciler.store import Reader, Store

TASKS = 10_000
QUICK_TASKS = 1_000
SLOTS = 100
GOAL_S = 5.0


def measure(folder: Path, *, rounds: int, quick: bool, say: Callable[[str], None]) -> Sequence[Measured]:
    """Seconds; each round is one more kill."""
    tasks = QUICK_TASKS if quick else TASKS
    looked, steady = [], []
    with _held(folder / "gate") as gate:
        repository = product.make_repository(folder)
        _prepare(folder, repository, gate, tasks)
        with product.running(folder, repository, slots=SLOTS) as daemon, daemon.reader() as reader:
            daemon.wait(lambda: not reader.unaccepted(passes.SOURCE, limit=1), "the first submission")
            daemon.process.kill()
            daemon.process.wait()
        for number in range(1, rounds + 1):
            began = time.monotonic()
            with product.running(folder, repository, slots=SLOTS) as daemon, daemon.reader() as reader:
                daemon.wait(lambda: bool(reader.unaccepted(passes.SOURCE, limit=1)), "a look", every_s=0.02)
                looked.append(time.monotonic() - began)
                daemon.wait(lambda: not reader.unaccepted(passes.SOURCE, limit=1), "the steady state", every_s=0.02)
                steady.append(time.monotonic() - began)
                _check(reader, tasks)
                daemon.process.kill()
                daemon.process.wait()
            say(f"round {number} of {rounds}: looked after {looked[-1]:.2f} s, steady after {steady[-1]:.2f} s")
    note = f"{tasks:,} open attempts: {SLOTS} running, the others queued at the agent, which died with the daemon"
    return [
        Measured(what="restart → first look recorded", unit="s", values=tuple(looked), note=note),
        Measured(what="restart → steady", unit="s", values=tuple(steady), goal=GOAL_S, note=note),
    ]


@contextmanager
def _held(path: Path) -> Iterator[Path]:
    """A file that is locked by us: tasks wait for the lock, and end when we let go of it, however we end."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield path


def _prepare(folder: Path, repository: Path, gate: Path, tasks: int) -> None:
    """A store with so many open attempts, of which SLOTS run."""
    with product.running(folder, repository, slots=SLOTS) as daemon:
        product.commit(repository, product.manifest(product.whole_numbers(tasks), f'[flock, -s, {gate}, "true"]'))
        daemon.wait_for_tasks(Phase.RUNNING, SLOTS)
    store = Store.create(folder / "state", instance=InstanceId("abcd"), at=0.0)
    try:
        row, example = store.sweep(product.SWEEP), store.open_attempts(passes.SOURCE)[0]
        assert row is not None
        assert row.policy is not None
        waiting = store.heads(product.SWEEP, limit=tasks, now=time.time())
        instance, digest = store.instance(), row.policy.digest
        store.intend([passes.intended(task, instance, digest, example.home) for task in waiting])
    finally:
        store.close()


def _check(reader: Reader, tasks: int) -> None:
    opened = reader.open_attempts(passes.SOURCE)
    running = sum(attempt.phase is Phase.RUNNING for attempt in opened)
    if (len(opened), running) != (tasks, SLOTS):
        raise RuntimeError(f"{len(opened)} attempts are open and {running} run, instead of {tasks} and {SLOTS}")
