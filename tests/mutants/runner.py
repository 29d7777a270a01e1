"""Runs a catching command in a copy of the tree, and judges whether it failed for the right reason."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.processes import Processes
from tests.mutants.model import ROOT, Catcher, Mutant, Simulator, Suite, apply

COPIED = ("reconciler", "schemas", "tests", "examples", "sweeps.d", "benchmarks", "pyproject.toml")
MARK = "RECONCILER_MUTANT"
TEST_S = 45  # one test, at most
COMMAND_S = 600.0
RULE = re.compile(r"(I[1-7]|liveness)\b")  # how the simulator names what was broken
ASSERTED = (
    "assert ",
    "AssertionError",
    "Failed: ",
    'failed on teardown with "AssertionError',
    'failed on teardown with "assert',
)
WAITED = ("Timeout", "TimeoutError")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one command. `why` is what it said; caught: it failed, and for a reason that counts."""

    name: str
    caught: bool
    why: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run of a command: its exit code, what failed and what could not even begin, in its own words."""

    code: int
    failures: tuple[str, ...]
    errors: tuple[str, ...]
    last_words: str


@contextlib.contextmanager
def a_copy(folder: Path) -> Iterator[Path]:
    """The tree, in a folder of its own; afterwards it is gone, and whatever was started from it."""
    tree = folder / "tree"
    tree.mkdir(parents=True)
    (folder / "t").mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, symlinks=True)
        else:
            shutil.copy2(ROOT / name, tree / name)
    try:
        yield tree
    finally:
        Processes(folder, mark=MARK).close()
        shutil.rmtree(folder, ignore_errors=True)


def hunt(mutant: Mutant, folder: Path) -> Result:
    """Make the mutant in a copy, and see whether it is caught."""
    began = time.monotonic()
    with a_copy(folder) as tree:
        apply(mutant, tree)
        outcome = run(mutant.caught_by, tree)
    caught, why = judged(mutant, outcome)
    return Result(name=mutant.name, caught=caught, why=why, seconds=time.monotonic() - began)


def run(catcher: Catcher, tree: Path) -> Outcome:
    """The command in this tree, and nothing of any other."""
    report = tree.parent / "report.xml"
    report.unlink(missing_ok=True)
    try:
        done = subprocess.run(
            command(catcher, report),
            cwd=tree,
            env=environment(tree),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome(code=-1, failures=(), errors=(f"Timeout: more than {COMMAND_S:.0f} s",), last_words="")
    words = (done.stdout + done.stderr).strip()
    if isinstance(catcher, Simulator):
        broken = tuple(line.strip() for line in words.splitlines() if RULE.match(line))
        return Outcome(code=done.returncode, failures=broken, errors=(), last_words=words[-2000:])
    failures, errors = read_report(report)
    return Outcome(code=done.returncode, failures=failures, errors=errors, last_words=words[-2000:])


def command(catcher: Catcher, report: Path) -> Sequence[str]:
    match catcher:
        case Suite(nodes):
            options = (
                "-q",
                "-x",
                "-p",
                "no:cacheprovider",
                "--hypothesis-seed=0",
                f"--timeout={TEST_S}",
                f"--junitxml={report}",
            )
            return [sys.executable, "-m", "pytest", *options, *nodes]
        case Simulator(seeds):
            return [sys.executable, "-m", "tests.mutants.simulate", seeds]


def environment(tree: Path) -> dict[str, str]:
    """The copy goes before the installed package; what is started bears a mark, and puts its files beside the copy."""
    own = {"PYTHONPATH": str(tree), "TMPDIR": str(tree.parent / "t"), MARK: str(tree.parent), "CI": ""}
    return {**os.environ, **own, "PYTHONDONTWRITEBYTECODE": "1"}


def read_report(report: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(failures, errors) of a run of pytest, each with the name of its test."""
    if not report.exists():
        return (), ("there is no report",)
    failures, errors = [], []
    for case in ElementTree.parse(report).iter("testcase"):
        for kind, words in (("failure", failures), ("error", errors), ("skipped", errors)):
            words += [f"{each.get('message', '')} [{case.get('name')}]" for each in case.iter(kind)]
    return tuple(failures), tuple(errors)


def judged(mutant: Mutant, outcome: Outcome) -> tuple[bool, str]:
    """Whether this is a catch, and in which words. A test that cannot begin catches nothing."""
    if outcome.code == 0:
        return False, "nothing has noticed it"
    for failure in (*outcome.failures, *outcome.errors):
        if counts(mutant, failure):
            return True, " ".join(failure.split())
    words = (*outcome.failures, *outcome.errors, outcome.last_words or f"exit code {outcome.code}, without a word")
    return False, "for the wrong reason: " + " ".join(words[0].split())


def counts(mutant: Mutant, failure: str) -> bool:
    """Whether a failure speaks of a broken rule."""
    if isinstance(mutant.caught_by, Simulator):
        return True
    waited = any(word in failure for word in WAITED)
    if mutant.hangs and waited:
        return True
    if mutant.shows:
        return mutant.shows in failure
    return failure.startswith(ASSERTED) and not waited


def imported_from(tree: Path) -> Path:
    """Where `import reconciler` leads when a command runs in this tree."""
    done = subprocess.run(
        [sys.executable, "-c", "import reconciler; print(reconciler.__file__)"],
        cwd=tree,
        env=environment(tree),
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())
