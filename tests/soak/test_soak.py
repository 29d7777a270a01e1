"""A small soak with every run of the tests; `make soak` is the long one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
TASKS = 60
KILLS = 15


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The figures of one soak, and what it said."""
    path = tmp_path_factory.mktemp("soak") / "figures.json"
    words = ["--tasks", TASKS, "--kills", KILLS, "--seconds", 15, "--pause", "0.2:2.5", "--seed", 7, "--json", path]
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert path.exists(), done.stderr
    return json.loads(path.read_text()), done.stderr


@pytest.mark.timeout(300)
def test_a_daemon_that_is_killed_again_and_again_loses_no_task_and_runs_none_twice(
    soaked: tuple[dict[str, Any], str],
) -> None:
    figures, said = soaked

    assert [] == figures.get("violations", []), said
    assert TASKS == figures["tasks"]
    assert KILLS <= figures["kills"] <= figures["restarts"]
    assert TASKS == figures["runs"] - figures["cut_short"]
