"""A test of a real component is skipped where that is missing, and in CI nothing is skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

SUITE = """
import pytest

@pytest.mark.real("{package}")
def test_of_a_real_component(): pass
"""


@pytest.fixture
def outcome(tmp_path):
    """Runs a suite of one test that needs a package, with the plumbing of this repository; its last line."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/conftest.py").write_bytes((ROOT / "tests/conftest.py").read_bytes())
    (tmp_path / "tests/debian-packages.txt").write_text(
        "# package how program\nabsent install no-such-program\ndash install sh\n"
    )

    def run(package, ci):
        (tmp_path / "tests/test_one.py").write_text(SUITE.format(package=package))
        environment = {**os.environ, "CI": ci, "PYTEST_ADDOPTS": "-p no:cacheprovider"}
        command = [sys.executable, "-m", "pytest", "-q", "-o", "markers=real(package)", str(tmp_path)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.stdout.splitlines()[-1].split(" in ")[0]

    return run


@pytest.mark.parametrize(
    ("package", "ci", "expected"),
    [
        ("dash", "", "1 passed"),
        ("dash", "true", "1 passed"),
        ("absent", "", "1 skipped"),
        ("absent", "true", "1 error"),
        ("unlisted", "", "1 error"),
    ],
)
def test_what_becomes_of_a_test_of_a_real_component(outcome, package, ci, expected):
    assert outcome(package, ci) == expected
