"""What a source over SSH costs, near and farther away, beside this machine: rates, requests, and how old news are.

    this machine   the agent is a child of the daemon
    SSH            over a real sshd on a loopback port
    farther        the same, with every byte delivered 25 ms later in each direction: a round trip takes 50 ms more

Rates: tasks that do nothing, two at a time, from before the commit to the last recorded success. The three take turns
in each round, each with a daemon and a state of its own, and are compared within the round. What far tasks have written
is fetched meanwhile, which nobody does on this machine: so a fourth one is this machine with its results fetched, too.

First: before that, a commit with a few tasks brings the code to the source, and is measured by itself.

News: tasks that end one after the other on an idle source, from the last act of each until its success is recorded.

Requests: `ssh_requests`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import far, product, ssh_requests
from benchmarks.contender import SLOTS
from benchmarks.figures import Measured
from benchmarks.rounds import Figure, interleaved
from reconciler.core.model import Phase
from reconciler.store import Reader

TASKS = 2000
FIRST_TASKS = 2
QUICK_TASKS = 100
ENDS = 20
QUICK_ENDS = 5
ROUND_TRIP_S = 0.05
SHARE_GOAL = 0.7
NEWS_GOAL_S = 0.1  # and a round trip
LOCAL, FETCHED, NEAR, FAR = "this machine", "this machine, results fetched", "SSH", "SSH, 50 ms farther"

# The whole file appears at once, and is the task's last act.
_SCRIPT = 'sleep 0.15; echo "$EPOCHREALTIME" > $1.part; mv $1.part $1'


def measure(folder: Path, *, rounds: int, quick: bool, say: Callable[[str], None]) -> Sequence[Measured]:
    """Shares of this machine's rate in the same round, requests for each pass, seconds until an end is known."""
    with ExitStack() as stack:
        machine = folder / "far"
        port = stack.enter_context(far.a_machine(machine))
        late = stack.enter_context(far.farther(machine, port, ROUND_TRIP_S))
        sources: dict[str, Callable[[Path], str]] = {
            LOCAL: lambda own: "",
            FETCHED: lambda own: "",
            NEAR: lambda own: far.source(machine, port, root=own / "root", slots=SLOTS),
            FAR: lambda own: far.source(machine, late, root=own / "root", slots=SLOTS),
        }
        first: dict[str, list[float]] = {name: [] for name in sources}
        figures = interleaved(
            {name: partial(_dispatch, source, name == FETCHED, first[name]) for name, source in sources.items()},
            tasks=QUICK_TASKS if quick else TASKS,
            rounds=rounds,
            folder=folder,
            say=say,
        )
        news = [
            _news(folder / f"news{number}", sources[name], name, QUICK_ENDS if quick else ENDS)
            for number, name in enumerate((NEAR, FAR))
        ]
        say("ends known after " + ", ".join(f"{each.median:.3f} s" for each in news))
        own = folder / "requests"
        requests = ssh_requests.measure(own, sources[FAR](own), QUICK_TASKS if quick else TASKS)
    return [*_rates(figures), *_first(first), *requests, *news]


def _dispatch(source: Callable[[Path], str], collect: bool, first: list[float], tasks: int, folder: Path) -> float:
    """Seconds for so many tasks; in `first` go those of the very first ones."""
    repository = product.make_repository(folder)
    with product.running(folder, repository, slots=SLOTS, source=source(folder), collect=collect) as daemon:
        started = product.commit(repository, product.manifest(product.whole_numbers(FIRST_TASKS)))
        daemon.wait_for_tasks(Phase.SUCCEEDED, FIRST_TASKS)
        first.append(time.time() - started)
        tasks += FIRST_TASKS
        started = product.commit(repository, product.manifest(product.whole_numbers(tasks)))
        daemon.wait_for_tasks(Phase.SUCCEEDED, tasks)
        return time.time() - started


def _first(seconds: Mapping[str, Sequence[float]]) -> list[Measured]:
    """How long the first commit takes until its tasks have succeeded."""
    note = f"{FIRST_TASKS} tasks; their code is brought there"
    return [
        Measured(what=f"first commit → results, {name}", unit="s", values=tuple(seconds[name]), note=note)
        for name in (LOCAL, NEAR, FAR)
    ]


def _rates(figures: Sequence[Figure]) -> list[Measured]:
    """The rate on this machine, and all others as shares of it, round by round."""
    first, *others = figures
    note = f"{first.tasks} tasks that do nothing, {SLOTS} at a time"
    rate = tuple(first.tasks / seconds for seconds in first.seconds)
    shares = [
        Measured(
            what=f"… {each.name}, beside that",
            unit="",
            values=tuple(base / seconds for base, seconds in zip(first.seconds, each.seconds, strict=True)),
            goal=SHARE_GOAL if each.name in (NEAR, FAR) else None,
            more_is_better=True,
        )
        for each in others
    ]
    return [Measured(what=f"dispatch, {first.name}", unit="tasks/s", values=rate, note=note), *shares]


def _news(folder: Path, source: Callable[[Path], str], name: str, ends: int) -> Measured:
    """How long after its end each of these tasks is known to have ended."""
    folder.mkdir()
    marks = folder / "marks"
    marks.mkdir()
    repository = product.make_repository(folder)
    text = product.manifest(
        product.whole_numbers(ends),
        f"[bash, -c, '{_SCRIPT}', task, {marks}/$(x)]",
        "  environment: {LC_ALL: C}\n  parallelism: 1\n",
    )
    known: list[float] = []
    with product.running(folder, repository, slots=SLOTS, source=source(folder)) as daemon, daemon.reader() as reader:
        product.commit(repository, text)
        while len(known) < ends:
            daemon.wait(lambda: _succeeded(reader) > len(known), f"the end of task {len(known) + 1}", every_s=0.002)
            known.append(time.time())
    ended = sorted(float(mark.read_text()) for mark in marks.iterdir())
    farther_s = ROUND_TRIP_S if name == FAR else 0.0
    return Measured(
        what=f"end of a task → recorded, {name}",
        unit="s",
        values=tuple(told - end for told, end in zip(known, ended, strict=True)),
        goal=NEWS_GOAL_S + farther_s,
        note=f"{ends} tasks, one after the other",
    )


def _succeeded(reader: Reader) -> int:
    return product.count(reader, product.SWEEP, Phase.SUCCEEDED)
