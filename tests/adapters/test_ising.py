"""The example's physics is right, and it behaves as a task should: whole files, progress, equal bytes, resumable."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def ising(repository_root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("ising", repository_root / "examples/ising/ising.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_to_the_end(ising: ModuleType, *words: str) -> dict[str, float]:
    run = ising.Run(ising.parse(list(words)))
    run.advance(run.sweeps)
    metrics: dict[str, float] = run.metrics()
    return metrics


def test_the_ordered_state_has_two_bonds_per_spin(ising: ModuleType) -> None:
    lattice = ising.Lattice(8, 1.0, seed=0)

    assert (lattice.energy(), lattice.magnetisation()) == (-2.0, 1.0)


def test_turning_one_spin_of_the_ordered_state_costs_four_bonds(ising: ModuleType) -> None:
    lattice = ising.Lattice(8, 1.0, seed=0)
    lattice.spins[0] = -1

    assert lattice.energy() * 64 == -2.0 * 64 + 8


def test_each_site_of_the_torus_is_a_neighbour_four_times(ising: ModuleType) -> None:
    named = [site for four in ising.neighbours(5) for site in four]

    assert sorted(list(range(25)) * 4) == sorted(named)


@pytest.mark.parametrize("alignment", [-4, -2, 0, 2, 4])
def test_acceptance_is_in_detailed_balance(ising: ModuleType, alignment: int) -> None:
    temperature = 1.7
    table = ising.acceptance(temperature)

    assert math.isclose(math.exp(-2 * alignment / temperature), table[alignment] / table[-alignment])


def test_a_tiny_lattice_has_the_energy_that_counting_its_states_gives(ising: ModuleType) -> None:
    temperature, size = 3.0, 3
    lattice = ising.Lattice(size, temperature, seed=0)
    energies = []
    for spins in itertools.product((1, -1), repeat=size * size):
        lattice.spins = list(spins)
        energies.append(lattice.energy())
    weights = [math.exp(-energy * size * size / temperature) for energy in energies]
    exact = sum(energy * weight for energy, weight in zip(energies, weights, strict=True)) / sum(weights)

    measured = run_to_the_end(ising, f"temperature={temperature}", f"size={size}", "sweeps=50000", "seed=5")["energy"]

    assert math.isclose(exact, measured, abs_tol=0.005)


def test_the_magnetisation_shows_the_phase_transition(ising: ModuleType) -> None:
    cold, warm = (
        run_to_the_end(ising, f"temperature={temperature}", "size=16", "sweeps=600")["magnetisation"]
        for temperature in (1.5, 4.0)
    )

    assert cold > 0.95
    assert warm < 0.2


def test_the_susceptibility_peaks_at_the_transition(ising: ModuleType) -> None:
    cold, critical, warm = (
        run_to_the_end(ising, f"temperature={temperature}", "size=16", "sweeps=1500")["susceptibility"]
        for temperature in (1.5, 2.35, 4.0)
    )

    assert critical == max(cold, critical, warm)


def test_the_energy_of_the_infinite_lattice_is_met(ising: ModuleType) -> None:
    exact = -1.74556  # at T = 2.0: the closed form for the infinite lattice

    assert math.isclose(
        exact, run_to_the_end(ising, "temperature=2.0", "size=24", "sweeps=1500")["energy"], abs_tol=0.02
    )


def test_a_resumed_run_equals_an_undisturbed_one(ising: ModuleType, tmp_path: Path) -> None:
    words = ["temperature=2.3", "size=8", "sweeps=100", "seed=3"]
    interrupted = ising.Run(ising.parse(words))
    interrupted.advance(37)
    ising.write_whole(tmp_path / "ising.json", interrupted.state())

    resumed = ising.Run(ising.parse(words))
    resumed.resume(tmp_path / "ising.json")
    resumed.advance(100)

    assert (100, run_to_the_end(ising, *words)) == (resumed.step, resumed.metrics())


def test_the_checkpoint_of_other_arguments_is_not_used(ising: ModuleType, tmp_path: Path) -> None:
    other = ising.Run(ising.parse(["temperature=2.3", "size=8"]))
    other.advance(5)
    ising.write_whole(tmp_path / "ising.json", other.state())

    run = ising.Run(ising.parse(["temperature=2.4", "size=8"]))
    run.resume(tmp_path / "ising.json")

    assert run.step == 0


def test_arguments_may_be_written_in_three_ways(ising: ModuleType) -> None:
    ways = [["--temperature", "2.0"], ["--temperature=2.0"], ["temperature=2.0"]]

    assert [ising.parse(way).temperature for way in ways] == [2.0, 2.0, 2.0]


def start(root: Path, output: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "RECONCILER_OUTPUT": str(output),
        "RECONCILER_CHECKPOINT": f"{output}/kept",
    }
    command = [sys.executable, str(root / "examples/ising/ising.py"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_equal_arguments_give_equal_bytes(repository_root: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        start(repository_root, tmp_path / name, "temperature=2.2", "size=8", "sweeps=200", "seed=7")

    assert (tmp_path / "one/metrics.json").read_bytes() == (tmp_path / "two/metrics.json").read_bytes()


def test_progress_counts_up_to_the_end(repository_root: Path, tmp_path: Path) -> None:
    start(repository_root, tmp_path, "temperature=2.2", "size=8", "sweeps=40")
    lines = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]

    assert list(range(2, 41, 2)) == [line["step"] for line in lines]
    assert {40} == {line["of"] for line in lines}


def test_a_temperature_that_makes_no_sense_is_refused_with_a_sentence(repository_root: Path, tmp_path: Path) -> None:
    done = start(repository_root, tmp_path, "temperature=0")

    assert done.returncode == 2
    assert "temperature must be above 0" in done.stderr
