"""Points expanded and hashed, in this process: what a task costs before anything is stored."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.figures import Measured
from reconciler.core.model import SweepName
from reconciler.core.parameters import count, expand
from reconciler.core.spec import Constant, Linspace, Range, SweepSpec, Values

GOAL_PER_S = 100_000


def measure(folder: Path, *, rounds: int, quick: bool, say: Callable[[str], None]) -> Sequence[Measured]:
    """Points a second, once a round."""
    del folder
    spec = _spec(10 if quick else 100)
    points = count(spec)
    rates = []
    for number in range(1, rounds + 1):
        began = time.perf_counter()
        deque(expand(spec), maxlen=0)
        rates.append(points / (time.perf_counter() - began))
        say(f"round {number} of {rounds}: {rates[-1]:,.0f} points/s")
    note = f"{points:,} points: a product of four axes and a constant"
    return [
        Measured(
            what="expand and hash",
            unit="points/s",
            values=tuple(rates),
            goal=GOAL_PER_S,
            more_is_better=True,
            note=note,
        )
    ]


def _spec(steps: int) -> SweepSpec:
    """10,000 · steps points of numbers and texts."""
    return SweepSpec(
        name=SweepName("bench"),
        command=("true",),
        parameters={
            "optimizer": Values(("adam", "sgd")),
            "lr": Linspace(start=0.001, stop=0.1, num=50),
            "seed": Range(start=0, stop=100, step=1),
            "width": Range(start=0, stop=steps, step=1),
            "batch_size": Constant(32),
        },
    )
