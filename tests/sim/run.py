"""Many worlds, one after the other and side by side: what each came to, and what all came to together."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import signal
import subprocess
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import FrameType

from tests.sim import calls
from tests.sim.judge import Judge
from tests.sim.world import World

ROOT = Path(__file__).parent.parent.parent
SAFETY_STEPS = (2000, 8000)  # of a world, before its faults end
SAFETY_S = 4 * 3600.0
HUNG_S = 300  # of real time, which no world needs: a step does not end
WORLDS_A_WORKER = 100


@dataclass(frozen=True)
class Result:
    """What one seed came to. `sentences`: the violations; none when all was well."""

    seed: int
    sentences: tuple[str, ...]
    hash: str
    steps: int
    daemon_steps: int
    virtual_s: float
    cpu_s: float
    happened: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        return not self.sentences


class Hung(BaseException):
    """A step does not end."""


def run_seed(seed: int, *, verbose: bool = False) -> Result:
    """One world from its beginning to its judgement."""
    began = time.process_time()
    gc.disable()  # nothing that is collected late may do anything, but it would do it at another moment each time
    gc.freeze()  # what was there before is not looked through again: only what is left of the world
    try:
        result = _one(seed, verbose=verbose)
    finally:
        calls.Cell.loop = None
        gc.collect()
        gc.unfreeze()
        gc.enable()
    return replace(result, cpu_s=time.process_time() - began)


def _one(seed: int, *, verbose: bool) -> Result:
    world = World(seed, verbose=verbose)
    try:
        with world.entered():
            sentences = _lived(world)
        return Result(
            seed=seed,
            sentences=sentences,
            hash=world.oracle.hash,
            steps=world.loop.steps,
            daemon_steps=world.daemon_steps,
            virtual_s=world.loop.now,
            cpu_s=0.0,
            happened=world.happened
            + Counter(starts=world.oracle.counts["start"], intents=world.oracle.counts["intent"]),
        )
    finally:
        world.close()


def _lived(world: World) -> tuple[str, ...]:
    try:
        world.run(steps=world.dice.randint(*SAFETY_STEPS) * (3 if world.scheduled else 1), until_s=SAFETY_S)
        if not world.oracle.violations and not world.defects:
            Judge(world).converge()
    except Exception:  # noqa: BLE001 - a fault of the simulator itself is a failure, too
        return (*world.oracle.violations, *world.defects, f"the simulator: {traceback.format_exc()}")
    return (*world.oracle.violations, *(f"defect: {each}" for each in world.defects))


def run_many(seeds: Iterable[int], *, jobs: int) -> Iterator[Result]:
    """Results as they come."""
    if jobs == 1:
        yield from map(_guarded, seeds)
        return
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=WORLDS_A_WORKER) as pool:
        yield from pool.imap_unordered(_guarded, _paced(seeds), chunksize=1)


def _paced(seeds: Iterable[int]) -> Iterator[int]:
    return iter(seeds)


def _guarded(seed: int) -> Result:
    """With an end to a step that has none."""
    began = time.process_time()

    def hung(_number: int, frame: FrameType | None) -> None:
        raise Hung("".join(traceback.format_stack(frame, limit=12)))

    signal.signal(signal.SIGALRM, hung)
    signal.alarm(HUNG_S)
    try:
        return run_seed(seed)
    except Hung as where:
        told = f"a step did not end within {HUNG_S} s: {where}"
        return Result(seed, (told,), "", 0, 0, 0.0, time.process_time() - began)
    finally:
        signal.alarm(0)


def seeds_of(text: str) -> range | Iterator[int]:
    """`7`, `0:2000`, or `100:` for as many as are needed."""
    first, colon, last = text.partition(":")
    if not colon:
        return range(int(first), int(first) + 1)
    return range(int(first), int(last)) if last else itertools.count(int(first))


@lru_cache(maxsize=1)
def commit() -> str:
    """Which code this is; asked when the run begins, because the tree may move on meanwhile."""
    words = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def figures(results: Iterable[Result], seconds: float) -> dict[str, int | float]:
    """What all of it came to."""
    results = list(results)
    happened: Counter[str] = Counter()
    for result in results:
        happened += result.happened
    steps = sum(result.steps for result in results)
    busy = sum(result.cpu_s for result in results)

    def total(*words: str) -> int:
        return sum(count for name, count in happened.items() if any(name.startswith(word) for word in words))

    return {
        "seeds": len(results),
        "steps": steps,
        "violations": sum(not result.ok for result in results),
        "kills": total("daemon-killed", "agent-killed", "shim-killed", "task-killed"),
        "of daemons": total("daemon-killed"),
        "of agents": total("agent-killed"),
        "of shims": total("shim-killed"),
        "power losses and reboots": total("daemon-host", "source-power-lost", "reboot"),
        "lost or late messages": total("reply-lost", "request-lost", "request-late"),
        "commits of people": total("git-") - total("git-down", "git-slow"),
        "attempts started": happened["starts"],
        "virtual days": round(sum(result.virtual_s for result in results) / 86400, 1),
        "steps per second of a core": round(steps / busy) if busy else 0,
        "seconds": round(seconds),
    }


def happened_in(results: Iterable[Result]) -> Counter[str]:
    """Everything that happened, by name."""
    total: Counter[str] = Counter()
    for result in results:
        total += result.happened
    return total


def hash_seed_is_fixed() -> bool:
    return os.environ.get("PYTHONHASHSEED") == "0"
