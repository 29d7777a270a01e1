"""`python -m tests.trust`: the whole regime, one stage after the other, and what each has really run.

Without options it is what CI runs beside the tests, with `--long` the version for a quiet night, and `--write` puts the
figures into TRUST.md. Exit code 1 if any stage found a violation, or could not run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutants.catalogue import ALL

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / ".cache/trust"
AT_LENGTH = {"RECONCILER_TEST_TIMEOUT_S": "7200"}  # the tests' own limits are those of their short form
SHARED = ("-n", "2", "--dist", "worksteal")  # by two processes: what computes in one


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One part of the regime. `{json}` in the command is the file into which it writes its figures."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """What became of a stage."""

    stage: Stage
    passed: bool
    seconds: float
    figures: Mapping[str, object]


def module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments, "--json", "{json}"]


def tests(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", *arguments]


SHORT = (
    Stage(name="simulator", command=module("tests.sim", "--seeds", "0:180", "--jobs", "2"), timeout_s=1500),
    Stage(name="mutants", command=module("tests.mutants", "--share", "4", "--jobs", "2"), timeout_s=1500),
)
LONG = (
    Stage(name="simulator", command=module("tests.sim", "--steps", "10000000", "--jobs", "2"), timeout_s=4 * 3600),
    Stage(name="mutants", command=module("tests.mutants", "--jobs", "2"), timeout_s=3600),
    Stage(name="kills at random", command=module("tests.soak", "--tasks", "1000", "--kills", "100"), timeout_s=3600),
    Stage(
        name="kills on three machines, two of them over SSH",
        command=module("tests.soak", "--ssh", "--tasks", "1000", "--kills", "40", "--pause", "0.3:8"),
        timeout_s=3600,
    ),
    Stage(name="kills at crash points", command=tests("tests/e2e/test_crash_points.py"), timeout_s=3600),
    Stage(
        name="torn writes and I/O errors",
        command=tests("tests/torn", *SHARED),
        environment={"RECONCILER_TORN": "long", **AT_LENGTH},
        timeout_s=2 * 3600,
    ),
    Stage(
        name="state machines",
        command=tests("tests/machines", *SHARED),
        environment={"RECONCILER_HYPOTHESIS": "long", **AT_LENGTH},
        timeout_s=2 * 3600,
    ),
    Stage(
        name="rebuild",
        command=tests("tests/e2e/test_rebuild.py"),
        environment={"RECONCILER_REBUILD_MOMENTS": "50", **AT_LENGTH},
        timeout_s=2 * 3600,
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__)
    parser.add_argument("--long", action="store_true", help="the version for a quiet night")
    parser.add_argument("--only", action="append", default=[], metavar="STAGE")
    parser.add_argument("--write", action="store_true", help="put the figures into TRUST.md")
    arguments = parser.parse_args()
    stages = LONG if arguments.long else SHORT
    chosen = [stage for stage in stages if not arguments.only or stage.name in arguments.only]
    if not chosen:
        parser.error(f"the stages are {', '.join(stage.name for stage in stages)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    runs = [run(stage) for stage in chosen]
    show(runs)
    if arguments.write:
        write(runs)
    return 0 if all(each.passed for each in runs) else 1


def run(stage: Stage) -> Run:
    """What it prints is printed; it is ended when it takes too long."""
    file = FOLDER / f"{stage.name.replace(' ', '-').replace('/', '-')}.json"
    file.unlink(missing_ok=True)
    began = time.monotonic()
    print(f"== {stage.name}", flush=True)  # noqa: T201 - it tells people
    try:
        done = subprocess.run(
            [word.replace("{json}", str(file)) for word in stage.command],
            cwd=ROOT,
            env={**os.environ, **stage.environment, "RECONCILER_FIGURES": str(file)},
            timeout=stage.timeout_s,
            check=False,
        )
        passed = done.returncode == 0
    except subprocess.TimeoutExpired:
        print(f"{stage.name} took longer than {stage.timeout_s:g} s", flush=True)  # noqa: T201 - it tells people
        passed = False
    figures = json.loads(file.read_text()) if file.exists() else {}
    return Run(stage=stage, passed=passed and bool(figures), seconds=time.monotonic() - began, figures=figures)


def show(runs: Sequence[Run]) -> None:
    table = Table(title="what was run")
    for title in ("stage", "passed", "minutes", "figures"):
        table.add_column(title)
    for each in runs:
        words = "\n".join(f"{name}: {told(value)}" for name, value in each.figures.items())
        table.add_row(each.stage.name, "yes" if each.passed else "NO", f"{each.seconds / 60:.1f}", words)
    Console().print(table)


def told(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def write(runs: Sequence[Run]) -> None:
    """Between the marks in TRUST.md; what was not run now is not there."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    rows = [
        f"| {each.stage.name} | {'passed' if each.passed else '**failed**'} | {each.seconds / 60:.1f} min | "
        + " · ".join(f"{name} {told(value)}" for name, value in each.figures.items())
        + " |"
        for each in runs
    ]
    head = f"At commit `{commit}`, {datetime.now(UTC).date()}, on two cores:"
    put("figures", [head, "", "| | | | |", "|---|---|---|---|", *rows])
    put("track record", track_record())


def track_record() -> list[str]:
    """A row for each bug of our own that is kept as a mutant."""
    rows = [f"| {mutant.bug[0].upper()}{mutant.bug[1:]} | `make repro-{mutant.name}` |" for mutant in ALL if mutant.bug]
    return ["| found by: what it did | see it again |", "|---|---|", *rows]


def put(name: str, lines: Sequence[str]) -> None:
    """Between two marks of TRUST.md."""
    document = ROOT / "TRUST.md"
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = document.read_text().partition(begin)
    _, _, after = rest.partition(end)
    document.write_text("\n".join([before + begin, *lines, end]) + after)


if __name__ == "__main__":
    sys.exit(main())
