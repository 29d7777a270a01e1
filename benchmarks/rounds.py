"""Fair measuring: every contender once a round, round after round, so that a machine that slows down slows all of them.

The figure of a contender is the median over the rounds; the spread beside it says how much to believe.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Dispatch: TypeAlias = Callable[[int, Path], float]  # (tasks, an empty folder) → seconds until all have ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one contender did: tasks, and the seconds of each round in the order of the rounds."""

    name: str
    tasks: int
    seconds: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Tasks per second, by the median round."""
        return self.tasks / statistics.median(self.seconds)

    @property
    def slowest(self) -> float:
        return self.tasks / max(self.seconds)

    @property
    def fastest(self) -> float:
        return self.tasks / min(self.seconds)


def interleaved(
    contenders: Mapping[str, Dispatch], *, tasks: int, rounds: int, folder: Path, say: Callable[[str], None]
) -> Sequence[Figure]:
    """Run A B C, A B C, …; each run gets an empty folder under `folder`, which is removed afterwards."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(1, rounds + 1):
        for name, dispatch in contenders.items():
            own = Path(tempfile.mkdtemp(prefix="b", dir=folder))
            try:
                took = dispatch(tasks, own)
            finally:
                shutil.rmtree(own, ignore_errors=True)
            seconds[name].append(took)
            say(f"round {number} of {rounds}: {name}: {took:.2f} s, {tasks / took:.0f} tasks/s")
    return [Figure(name=name, tasks=tasks, seconds=tuple(values)) for name, values in seconds.items()]
