"""What all tests share: where the programs of real components are, and what becomes of a test whose program is missing.

A test of a real component says so, `@pytest.mark.real("prometheus")`, with the name of a Debian package that stands in
tests/debian-packages.txt. Without that package the test is skipped; with CI=true it fails, as does every other skip,
because a suite that skips proves less than it says.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
CAP_SYS_ADMIN = 21  # capabilities(7)
IN_CI = os.environ.get("CI", "").lower() in {"true", "1"}

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# The machine may be busy: slowness is never a failure. In CI the examples are the same on every run.
settings.register_profile("house", deadline=None, derandomize=IN_CI, print_blob=True)
settings.load_profile("house")


def real_programs() -> dict[str, str]:
    """The program that proves that a Debian package is there, by package."""
    rows = [line.split() for line in (ROOT / "tests/debian-packages.txt").read_text().splitlines()]
    return {row[0]: row[2] for row in rows if row and not row[0].startswith("#")}


def pytest_configure() -> None:
    unpacked = ROOT / ".cache/debian/usr"
    os.environ["PATH"] += f":{unpacked}/bin:{unpacked}/sbin:/usr/sbin:/sbin"


FIGURES = pytest.StashKey[Counter[str]]()


class Process(Protocol):
    """One of several that share the tests, as pytest-xdist tells of it."""

    config: pytest.Config


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Counter[str]:
    """What was really run, by name: tests add to it, the run prints it, and $RECONCILER_FIGURES names a file for it."""
    return pytestconfig.stash.setdefault(FIGURES, Counter())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several processes hands its figures to the one that prints them."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        mine = session.config.stash.get(FIGURES, Counter())
        told["figures"] = dict(mine)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Process) -> None:
    told: Mapping[str, Mapping[str, int]] = getattr(node, "workeroutput", {})  # none, if it was killed
    all_told = node.config.stash.setdefault(FIGURES, Counter())
    all_told.update(told.get("figures", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = dict(sorted(config.stash.get(FIGURES, Counter()).items()))
    for name, value in figures.items():
        terminalreporter.write_line(f"figures: {name}: {value:,}")
    if (file := os.environ.get("RECONCILER_FIGURES")) is not None:
        Path(file).write_text(json.dumps(figures, indent=2) + "\n")


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """The root of this repository."""
    return ROOT


def may_mount() -> bool:
    """Whether this account has CAP_SYS_ADMIN."""
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    return bool(int(effective, 16) >> CAP_SYS_ADMIN & 1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("mounts") is not None and not may_mount():
        pytest.skip("mounts a file system of its own: needs CAP_SYS_ADMIN, as root has it")
    programs = real_programs()
    for marker in item.iter_markers("real"):
        (package,) = marker.args
        if package not in programs:
            pytest.fail(f"{package} is not in tests/debian-packages.txt", pytrace=False)
        if shutil.which(programs[package]) is None:
            pytest.skip(f"needs {programs[package]}: apt-get install {package}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _no_skip_in_ci(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _no_skip_in_ci(report)


def _no_skip_in_ci(report: Report) -> Report:
    expected_failure = hasattr(report, "wasxfail")
    if IN_CI and report.skipped and not expected_failure:
        report.outcome = "failed"
        report.longrepr = f"skipped, and in CI a skip is a failure: {report.longrepr}"
    return report
