"""`python -m tests.soak`: a real daemon, killed every few moments until all tasks are done.

Exit code 1 if any was lost, ran twice, or anything was left behind."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.fakes.processes import MARK
from tests.soak.clusterside import ClusterGround
from tests.soak.farside import FarGround
from tests.soak.figures import Figures, Telling, figures_of, show
from tests.soak.ground import Ground
from tests.soak.ordeal import Ordeal, Plan


def main() -> int:
    arguments = parse()
    low, _, high = arguments.pause.partition(":")
    plan = Plan(
        tasks=arguments.tasks,
        kills=arguments.kills,
        seconds=arguments.seconds,
        seed=arguments.seed,
        pause_s=(float(low), float(high)),
        slots=arguments.slots,
        hurt=arguments.hurt,
    )
    folder = Path(tempfile.mkdtemp(prefix="rc-", dir=arguments.folder))
    console = Console(stderr=True)
    kind = ClusterGround if arguments.slurm else FarGround if arguments.ssh else Ground
    figures = soak(folder, plan, console, kind)
    show(console, figures)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures.json(), indent=2) + "\n")
    if figures.kept:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    console.print(
        f"everything is left in {folder}; again with: {' '.join(sys.orig_argv)}", markup=False, soft_wrap=True
    )
    return 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=0, help="at least so many")
    parser.add_argument("--seconds", type=float, help="after these, and those kills, the rest is left in peace")
    parser.add_argument("--seed", type=int, default=1, help="of kills, edits and lengths; the machine has a say, too")
    parser.add_argument("--pause", default="0.2:5", help="seconds that a daemon lives: least and most, log-uniform")
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--hurt", action="store_true", help="kill agents and shims, too")
    parser.add_argument("--ssh", action="store_true", help="two machines more, over SSH, that are cut off and stopped")
    parser.add_argument("--slurm", action="store_true", help="a real Slurm instead, whose controller is killed, too")
    parser.add_argument("--folder", type=Path, help="where all files go: a local disk")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


def soak(folder: Path, plan: Plan, console: Console, kind: type[Ground] = Ground) -> Figures:
    """Nothing of it runs when it returns."""
    os.environ[MARK] = str(folder)
    ground = kind(folder, slots=plan.slots, seed=plan.seed)
    try:
        with Telling(console, plan.tasks) as telling:
            ordeal = Ordeal(ground, plan, telling.tell)
            ordeal.run()
        return figures_of(ordeal)
    finally:
        ground.close()
        ground.processes.close()


if __name__ == "__main__":
    sys.exit(main())
