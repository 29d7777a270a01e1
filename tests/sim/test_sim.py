"""Simulated worlds: nothing is violated in some of them, the same seed is the same world, and a missing guard shows."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Generator

import pytest

from tests.sim.__main__ import tell
from tests.sim.agents import box
from tests.sim.run import ROOT, Result, commit, run_seed

WORLDS = "1000:1020"
PATIENCE_S = 900  # on a machine with other work


def simulate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.sim", *words], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S
    )


@pytest.mark.timeout(PATIENCE_S)
def test_in_some_worlds_nothing_is_lost_and_nothing_runs_twice(figures: Counter[str], tmp_path):
    done = simulate("--seeds", WORLDS, "--jobs", "2", "--json", str(tmp_path / "figures.json"))

    assert (0, "") == (done.returncode, done.stderr), done.stdout
    figures["simulated worlds"] += 20


@pytest.mark.timeout(PATIENCE_S)
def test_the_same_seed_is_the_same_world_in_every_process():
    told = [simulate("--seed", "7").stdout.splitlines()[-1] for _ in range(3)]

    assert told[:1] * 3 == told


def always(path: str, content: str, label: str, durable: bool = False) -> Generator[float, None, bool]:
    """A claim that everybody wins."""
    yield 0.0
    return True


@pytest.mark.timeout(PATIENCE_S)
def test_without_the_claim_an_attempt_starts_twice(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(box().shim, "win", always)

    results = (run_seed(seed) for seed in range(30))
    assert any("I1: " in sentence for result in results for sentence in result.sentences)


def test_a_failure_tells_its_seed_its_commit_and_how_to_see_it_again(capsys: pytest.CaptureFixture[str]):
    tell(Result(7, ("I1: it ran twice",), "", 1, 1, 1.0, 1.0))

    told = capsys.readouterr().out
    assert f"seed 7 at commit {commit()}" in told
    assert "replay: python -m tests.sim --seed 7 --verbose" in told
