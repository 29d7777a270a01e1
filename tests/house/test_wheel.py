"""What is installed has everything that it needs: the wheel holds the schemas and the agent's files."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def names(folder, pattern, prefix):
    return {f"{prefix}/{path.relative_to(ROOT / folder)}" for path in (ROOT / folder).glob(pattern)}


def test_the_wheel_holds_all_modules_the_demo_and_nothing_else_of_python(wheel_files):
    expected = names("reconciler", "**/*.py", "reconciler") | names(
        "examples/ising", "*.py", "reconciler/examples/ising"
    )

    assert {name for name in wheel_files if name.endswith(".py")} == expected


def test_the_wheel_holds_the_schemas(wheel_files):
    assert names("schemas", "*.json", "reconciler/schemas") <= wheel_files


def test_the_wheel_says_that_it_is_typed(wheel_files):
    assert "reconciler/py.typed" in wheel_files
