"""The two-dimensional Ising model: a square lattice of spins ±1 at a temperature, with the Metropolis rule.

    python ising.py --temperature 2.0 --size 32 --seed 1 --sweeps 4000
    python ising.py temperature=2.0 size=32 seed=1

Units: the coupling J and Boltzmann's constant are 1, no field, periodic borders. The infinite lattice orders below
Tc = 2 / ln(1 + √2) = 2.269…: |m| goes to 1 with falling temperature, and to 0 above Tc as the lattice grows.

The lattice starts cold (all spins up). Below Tc that is near equilibrium already, where a random start would often
freeze into stripes; above Tc the start is forgotten within a few sweeps. The first fifth of the sweeps is not measured.

Whoever starts it says where things go (all three are optional): metrics.json and progress.jsonl go to the folder
$RECONCILER_OUTPUT, else to the current one; the folder $RECONCILER_CHECKPOINT keeps the state of a run that is
interrupted, and the next run with the same arguments goes on from there. Equal arguments give equal bytes, interrupted
or not. Needs the standard library of Python 3.8 or newer.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
from pathlib import Path

REPORTS = 20  # a run reports its progress, and saves its state, so many times


def neighbours(size: int) -> list[tuple[int, int, int, int]]:
    """For each site of the size x size torus, row by row: the sites left, right, above and below."""
    return [
        (row * size + (column - 1) % size, row * size + (column + 1) % size,
         (row - 1) % size * size + column, (row + 1) % size * size + column)
        for row in range(size)
        for column in range(size)
    ]  # fmt: skip


def acceptance(temperature: float) -> list[float]:
    """The probability to flip a spin, by its alignment s·(sum of its neighbours), one of -4, -2, 0, 2, 4.

    A flip costs the energy 2·alignment; Metropolis accepts it with min(1, exp(-cost / temperature)). One that costs
    nothing is accepted half of the time, which is in detailed balance as well: always, together with the fixed
    order of the sites, would leave some states of a small lattice out of reach. The list has nine places, so that a
    negative alignment counts from its end.
    """
    table = [1.0] * 9
    table[0] = 0.5
    for alignment in (2, 4):
        table[alignment] = math.exp(-2 * alignment / temperature)
    return table


class Lattice:
    """The spins and the random numbers: everything that the next sweep depends on."""

    def __init__(self, size: int, temperature: float, seed: int) -> None:
        self.size = size
        self.spins = [1] * (size * size)
        self.random = random.Random(seed)
        self._neighbours = neighbours(size)
        self._acceptance = acceptance(temperature)

    def sweep(self) -> None:
        """Offer each spin one flip, in the order of the sites."""
        spins, accept, draw = (
            self.spins,
            self._acceptance,
            self.random.random,
        )  # local names: the loop below is all the cost
        for site, (left, right, above, below) in enumerate(self._neighbours):
            alignment = spins[site] * (spins[left] + spins[right] + spins[above] + spins[below])
            if alignment < 0 or draw() < accept[alignment]:
                spins[site] = -spins[site]

    def energy(self) -> float:
        """Per spin: -2 when all are aligned, 0 when they are random. Each bond counts once (right and below)."""
        spins = self.spins
        bonds = sum(
            spins[site] * (spins[right] + spins[below])
            for site, (_, right, _, below) in enumerate(self._neighbours)
        )  # fmt: skip
        return -bonds / len(spins)

    def magnetisation(self) -> float:
        """Per spin, from -1 to 1."""
        return sum(self.spins) / len(self.spins)


class Run:
    """A lattice on its way through its sweeps, with the sums that the averages are made of."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = vars(arguments)
        self.temperature: float = arguments.temperature
        self.sweeps: int = arguments.sweeps
        self.lattice = Lattice(arguments.size, arguments.temperature, arguments.seed)
        self.step = 0
        self.sums = {"m": 0.0, "m2": 0.0, "e": 0.0, "e2": 0.0}

    def advance(self, sweeps: int) -> None:
        """Sweep, and measure once the start is forgotten."""
        for _ in range(min(sweeps, self.sweeps - self.step)):
            self.lattice.sweep()
            self.step += 1
            if self.step > self.sweeps // 5:
                m, e = abs(self.lattice.magnetisation()), self.lattice.energy()
                for name, value in (("m", m), ("m2", m * m), ("e", e), ("e2", e * e)):
                    self.sums[name] += value

    def metrics(self) -> dict[str, float]:
        """Averages per spin; susceptibility and specific heat are the variances that peak at the transition."""
        measured = self.step - self.sweeps // 5
        m, m2, e, e2 = (self.sums[name] / measured for name in ("m", "m2", "e", "e2"))
        spins = len(self.lattice.spins)
        return {
            "temperature": self.temperature,
            "energy": e,
            "magnetisation": m,  # the mean of |m|: a finite lattice turns over now and then
            "susceptibility": spins * (m2 - m * m) / self.temperature,
            "specific_heat": spins * (e2 - e * e) / self.temperature**2,
        }

    def state(self) -> dict[str, object]:
        """All that the rest of the run depends on, for `resume`."""
        return {
            "arguments": self.arguments,
            "step": self.step,
            "sums": self.sums,
            "spins": self.lattice.spins,
            "random": self.lattice.random.getstate(),
        }

    def resume(self, checkpoint: Path) -> None:
        """Go on from a saved state, if there is one and it belongs to these arguments."""
        try:
            saved = json.loads(checkpoint.read_text())
        except (FileNotFoundError, ValueError):
            return
        if saved["arguments"] != self.arguments:
            return
        self.step, self.sums, self.lattice.spins = saved["step"], saved["sums"], saved["spins"]
        version, words, gauss = saved["random"]
        self.lattice.random.setstate((version, tuple(words), gauss))


def write_whole(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value) + "\n")
    partial.replace(path)


def parse(words: list[str]) -> argparse.Namespace:
    """Arguments as `--name value`, `--name=value` or `name=value`."""
    parser = argparse.ArgumentParser(description="The two-dimensional Ising model with the Metropolis rule.")
    parser.add_argument("--temperature", type=float, required=True, help="in units of the coupling; Tc is 2.269")
    parser.add_argument("--size", type=int, default=32, help="spins along one side")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers")
    parser.add_argument("--sweeps", type=int, default=4000, help="flips offered to each spin")
    arguments = parser.parse_args([f"--{word}" if "=" in word and word[0] != "-" else word for word in words])
    if not (arguments.temperature > 0 and arguments.size >= 2 and arguments.sweeps >= 1):
        parser.error("temperature must be above 0, size at least 2, sweeps at least 1")
    return arguments


def main(words: list[str]) -> None:
    run = Run(parse(words))
    output = Path(os.environ.get("RECONCILER_OUTPUT") or ".")
    checkpoints = os.environ.get("RECONCILER_CHECKPOINT")
    output.mkdir(parents=True, exist_ok=True)
    if checkpoints:
        Path(checkpoints).mkdir(parents=True, exist_ok=True)
        run.resume(Path(checkpoints) / "ising.json")
    while run.step < run.sweeps:
        run.advance(max(1, run.sweeps // REPORTS))
        with open(output / "progress.jsonl", "a", encoding="ascii") as progress:
            line = {"step": run.step, "of": run.sweeps, "magnetisation": run.lattice.magnetisation()}
            progress.write(json.dumps(line) + "\n")
        if checkpoints:
            write_whole(Path(checkpoints) / "ising.json", run.state())
    write_whole(output / "metrics.json", run.metrics())
    print(json.dumps(run.metrics()))


if __name__ == "__main__":
    main(sys.argv[1:])
