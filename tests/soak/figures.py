"""What a soak came to: figures as a table and as JSON, and how it is told while it lasts."""

from __future__ import annotations

import statistics
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.soak.ordeal import Ordeal

ROOT = Path(__file__).parent.parent.parent
LINE_EVERY_S = 10.0
SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The JSON of `--json`: one field a key.

    runs           how often a task has started; cut_short: of those, how many never came to their end, cancelled
                   because their value had left the manifest, or hurt
    doubled, overlapped, lost, faults    how many tasks, or other things: none when the promise was kept
    violations     a sentence for each of them
    cuts, outages  connections to other machines that were killed, machines that were stopped for a while; collected:
                   tasks whose files came from there, byte by byte
    reused         numbers of waiting jobs of ours that a scheduler forgot and gave to strangers; strangers: their jobs,
                   all of which must be there in the end
    steady         restarts whose daemon lived until it was steady; the seconds that took it, median and longest
    """

    tasks: int
    seed: int
    commit: str
    kills: int
    restarts: int
    agents_killed: int
    shims_killed: int
    cuts: int
    outages: int
    collected: int
    reused: int
    strangers: int
    edits: int
    removed: int
    runs: int
    cut_short: int
    seconds: float
    doubled: int
    overlapped: int
    lost: int
    faults: int
    steady: int
    steady_median_s: float | None
    steady_max_s: float | None
    violations: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether the promise was."""
        return not self.violations

    def json(self) -> dict[str, object]:
        """Without the sentences when there are none."""
        return {name: value for name, value in asdict(self).items() if value != ()}


def figures_of(ordeal: Ordeal) -> Figures:
    """To be asked when it is over."""
    verdict, faults, runs = ordeal.verdict(), ordeal.all_faults(), ordeal.log.runs.total()
    return Figures(
        tasks=ordeal.plan.tasks,
        seed=ordeal.plan.seed,
        commit=commit(),
        kills=ordeal.kills,
        restarts=ordeal.starts - 1,
        agents_killed=ordeal.ground.agents,
        shims_killed=ordeal.shims,
        cuts=ordeal.ground.cuts,
        outages=ordeal.ground.outages,
        collected=ordeal.ground.collected,
        reused=ordeal.ground.reused,
        strangers=ordeal.ground.strangers,
        edits=ordeal.edits,
        removed=ordeal.removed,
        runs=runs,
        cut_short=runs - ordeal.log.ends.total(),
        seconds=round(ordeal.elapsed_s, 1),
        doubled=len(verdict.doubled),
        overlapped=len(verdict.overlapped),
        lost=len(verdict.lost),
        faults=len(faults),
        steady=len(ordeal.steady_s),
        steady_median_s=round(statistics.median(ordeal.steady_s), 2) if ordeal.steady_s else None,
        steady_max_s=round(max(ordeal.steady_s), 2) if ordeal.steady_s else None,
        violations=(*verdict.doubled, *verdict.overlapped, *verdict.lost, *faults),
    )


def commit() -> str:
    """Of the code that was soaked, with a + when it was changed since; "" without git."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def show(console: Console, figures: Figures) -> None:
    """A table, then what went wrong."""
    table = Table(title="kill soak", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in figures.json().items():
        if name != "violations":
            table.add_row(name.replace("_", " "), "-" if value is None else str(value))
    console.print(table)
    for sentence in figures.violations[:SHOWN]:
        console.print(sentence, markup=False, soft_wrap=True)


class Telling:
    """A bar in a terminal, else a line now and then."""

    def __init__(self, console: Console, tasks: int) -> None:
        self._console = console
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._bar = self._progress.add_task("no kills", total=tasks)
        self._line_at = time.monotonic() + LINE_EVERY_S

    def __enter__(self) -> Telling:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tell(self, ordeal: Ordeal) -> None:
        """How far it is."""
        told = f"{ordeal.kills} kills, {ordeal.edits} edits"
        self._progress.update(self._bar, completed=ordeal.done, description=told)
        if not self._console.is_terminal and time.monotonic() >= self._line_at:
            self._line_at = time.monotonic() + LINE_EVERY_S
            self._console.print(f"{ordeal.done} of {ordeal.plan.tasks} tasks, {told}, {ordeal.elapsed_s:.0f} s")
