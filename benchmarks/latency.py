"""From a commit to the first task that runs: a value is added to a sweep of a warm daemon, again and again.

The clock starts just before `git commit`, so that the time of git itself is in the figure. It is read at two ends:

    running     the task's own first act: a shell writes the time to a file
    visible     the first page of /metrics that counts a running task; the page is asked for every 10 ms

Then the task is let go, and the next commit waits until nothing runs any more, and a little longer each time, so that
the commits fall at all places between the daemon's own ticks.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import product
from benchmarks.figures import Measured
from reconciler.core.model import Phase

COMMITS = 30
QUICK_COMMITS = 5
RUNNING_GOAL_S = 0.5
VISIBLE_GOAL_S = 1.0
PAUSE_S = 0.3
STEP_S = 0.037  # added to the pause, times the number of the commit

# The whole file appears at once.
_SCRIPT = 'echo "$EPOCHREALTIME" > $1.part; mv $1.part $1; until [ -e $2 ]; do sleep 0.05; done'
_RUNNING = re.compile(r'^reconciler_sweep_tasks\{[^}]*state="running"[^}]*\} ([0-9.e+]+)$', re.MULTILINE)


def measure(folder: Path, *, rounds: int, quick: bool, say: Callable[[str], None]) -> Sequence[Measured]:
    """One value a commit; more rounds are more commits."""
    commits = QUICK_COMMITS if quick else COMMITS * rounds
    began, seen = folder / "began", folder / "seen"
    began.mkdir()
    repository = product.make_repository(folder)
    command = f"[bash, -c, '{_SCRIPT}', task, {began}/$(x), {seen}]"
    running, visible = [], []
    with product.running(folder, repository, slots=2) as daemon:
        for number in range(commits + 1):
            seen.unlink(missing_ok=True)
            values = f"[{', '.join(map(str, range(number + 1)))}]"
            committed = product.commit(repository, product.manifest(values, command, "  environment: {LC_ALL: C}\n"))
            mark = began / str(number)
            daemon.wait(mark.exists, "the task's first act", every_s=0.005)
            daemon.wait(lambda: _tasks_running(daemon.metrics()) > 0, "a running task in /metrics", every_s=0.01)
            visible.append(time.time() - committed)
            running.append(float(mark.read_text()) - committed)
            seen.touch()
            daemon.wait_for_tasks(Phase.SUCCEEDED, number + 1)
            daemon.wait(lambda: _tasks_running(daemon.metrics()) == 0, "an idle daemon")
            time.sleep(PAUSE_S + STEP_S * (number % 10))
            say(f"commit {number} of {commits}: running {running[-1]:.3f} s, visible {visible[-1]:.3f} s")
    note = f"{commits} commits, after one that is not counted"
    return [
        Measured(
            what="commit → a local task runs", unit="s", values=tuple(running[1:]), goal=RUNNING_GOAL_S, note=note
        ),
        Measured(
            what="commit → running in /metrics", unit="s", values=tuple(visible[1:]), goal=VISIBLE_GOAL_S, note=note
        ),
    ]


def _tasks_running(page: str) -> float:
    return sum(float(count) for count in _RUNNING.findall(page))
