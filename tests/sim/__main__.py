"""`python -m tests.sim`: simulated worlds, each from a seed, judged by what really happened in them.

    --seeds 0:2000        these worlds (default: 0 and following, until --steps are done)
    --steps 2000000       stop when so many steps were run
    --seed 7 --verbose    one world, with its story: how a failure is replayed
    --json FILE           write the figures there

Exit code 1 when anything was violated.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.sim import run
from tests.sim.run import Result

FAILURES_MAX = 10
say = print  # a program for people: its words are its product


def main() -> int:
    arguments = _parsed()
    if not run.hash_seed_is_fixed():  # sets of texts are walked in the same order in every run
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"}
        )
    run.commit()
    if arguments.seed is not None:
        return _one(arguments.seed, verbose=arguments.verbose)
    return _many(arguments)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.sim", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default=None)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--first", action="store_true", help="stop at the first violation")
    parser.add_argument("--all", action="store_true", help="tell everything that happened, by name")
    return parser.parse_args()


def _one(seed: int, *, verbose: bool) -> int:
    result = run.run_seed(seed, verbose=verbose)
    tell(result)
    verdict = "ok" if result.ok else "VIOLATED"
    say(f"seed {seed}: {verdict}, {result.steps} steps, {result.virtual_s:.0f} s, trace {result.hash}")
    return 0 if result.ok else 1


def _many(arguments: argparse.Namespace) -> int:
    seeds = run.seeds_of(arguments.seeds or ("0:" if arguments.steps else "0:200"))
    limit = arguments.steps or float("inf")
    began, results, steps = time.monotonic(), list[Result](), 0
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        total = arguments.steps or (len(seeds) if isinstance(seeds, range) else None)
        bar = progress.add_task("worlds" if arguments.steps is None else "steps", total=total)
        for result in run.run_many(seeds, jobs=arguments.jobs):
            results.append(result)
            steps += result.steps
            progress.update(bar, advance=1 if arguments.steps is None else result.steps)
            if not result.ok:
                tell(result)
            failures = sum(not each.ok for each in results)
            if steps >= limit or failures >= (1 if arguments.first else FAILURES_MAX):
                break
    figures = run.figures(results, time.monotonic() - began)
    _show(figures, results, everything=arguments.all)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if all(result.ok for result in results) else 1


def tell(result: Result) -> None:
    """Each failure with its seed, its commit, and one command that replays it."""
    if result.ok:
        return
    say(f"seed {result.seed} at commit {run.commit()}, after {result.steps} steps:")
    for sentence in result.sentences:
        say(f"    {sentence}")
    say(f"    replay: python -m tests.sim --seed {result.seed} --verbose", flush=True)


def _show(figures: dict[str, int | float], results: list[Result], *, everything: bool) -> None:
    table = Table("", "", title="simulated worlds", show_header=False)
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    if everything:
        table.add_section()
        for name, count in sorted(run.happened_in(results).items()):
            table.add_row(name, f"{count:,}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
