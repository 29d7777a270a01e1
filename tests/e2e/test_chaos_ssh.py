"""Chaos over SSH: one sweep on this machine and on two others, while the daemon, the connections, the agents and the
machines' sshd are killed at random moments, and the manifest shrinks and grows.

The oracle is the tasks' own log: each has run exactly once, but for those that were taken out while they ran. What the
others have written lies in the results tree, byte by byte. `make soak ARGS="--ssh"` is the long one;
RECONCILER_CHAOS_SEEDS=1,2,3 tries more of these.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SEEDS = [int(seed) for seed in os.environ.get("RECONCILER_CHAOS_SEEDS", "11").split(",")]
TASKS = 300
KILLS = 6
PLAN = ("--ssh", "--tasks", TASKS, "--kills", KILLS, "--seconds", 18, "--pause", "1:6", "--slots", 4)


@pytest.mark.real("openssh-server")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_sweep_over_three_machines_comes_to_its_end_exactly_once_and_its_results_come_here(
    seed: int, tmp_path: Path
) -> None:
    path = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", *map(str, PLAN), "--seed", str(seed), "--json", path],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert path.exists(), done.stderr
    figures = json.loads(path.read_text())

    assert [] == figures.get("violations", []), done.stderr
    assert TASKS == figures["tasks"] == figures["runs"] - figures["cut_short"]
    assert KILLS <= figures["kills"] <= figures["restarts"]
    assert figures["cuts"] > 0 < figures["collected"]
