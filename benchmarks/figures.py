"""A figure beside its goal: what was measured, every value of it, and whether the median is as good as was wanted."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One quantity, measured one or more times.

    unit        of the values and of the goal
    goal        the median should be at most this, or at least this where `more_is_better`; None: told for what it tells
    note        what exactly was measured, and with what sizes
    """

    what: str
    unit: str
    values: tuple[float, ...]
    goal: float | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p90(self) -> float:
        """The smallest value that at least nine tenths do not exceed."""
        return sorted(self.values)[math.ceil(0.9 * len(self.values)) - 1]

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the goal; None without a goal."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.more_is_better else self.median <= self.goal
