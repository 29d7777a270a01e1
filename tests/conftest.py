"""What all tests share: where the programs of real components are, and what becomes of a test whose program is missing.

A test of a real component says so, `@pytest.mark.real("prometheus")`, with the name of a Debian package that stands in
tests/debian-packages.txt. Without that package the test is skipped; with CI=true it fails, as does every other skip,
because a suite that skips proves less than it says.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
CAPABILITIES = {"CHOWN": 0, "NET_ADMIN": 12, "SYS_ADMIN": 21}  # capabilities(7)
TWO_ENDS = "ip link add end0 type veth peer name end1"  # tried in a network of its own, which ends with the trial
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """$RECONCILER_TEST_TIMEOUT_S is the limit of every test, in place of its own."""
    if (limit := os.environ.get("RECONCILER_TEST_TIMEOUT_S")) is not None:
        for item in items:
            item.add_marker(pytest.mark.timeout(float(limit)), append=False)


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """The root of this repository."""
    return ROOT


def may(capability: str) -> bool:
    """Whether this account has a capability."""
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    return bool(int(effective, 16) >> CAPABILITIES[capability] & 1)


@functools.cache
def why_no_networks() -> str:
    """What keeps this machine from giving a process a network of its own; "" when nothing does."""
    missing = [f"CAP_{name}" for name in ("SYS_ADMIN", "NET_ADMIN") if not may(name)]
    if missing:
        return f"needs {' and '.join(missing)}, as root has them"
    if shutil.which("ip") is None:
        return "needs ip: apt-get install iproute2"
    trial = subprocess.run(["unshare", "--net", *TWO_ENDS.split()], capture_output=True, text=True, check=False)
    return f"this kernel, or its container, gives none: {trial.stderr.strip()}" if trial.returncode else ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("mounts") is not None and not may("SYS_ADMIN"):
        pytest.skip("mounts a file system of its own: needs CAP_SYS_ADMIN, as root has it")
    for marker in item.iter_markers("privileged"):
        (capability,) = marker.args
        if not may(capability):
            pytest.skip(f"needs CAP_{capability}, as root has it")
    if item.get_closest_marker("networks") is not None and (why := why_no_networks()):
        pytest.skip(f"puts a machine into a network of its own: {why}")
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
