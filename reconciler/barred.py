"""Sweeps of which one source's scheduler will certainly take nothing before somebody changes something.

What it has refused is not asked for in a loop, but now and then all the same: accounts and partitions are mended
without anybody telling us. A new generation of the sweep is another question.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.clock import Clock
from reconciler.core.errors import ReconcilerError
from reconciler.core.fit import Hold
from reconciler.core.model import SourceName, SweepName

AGAIN_S = 600.0


@dataclass(frozen=True, slots=True)
class _Bar:
    generation: int
    hold: Hold
    again_at: float  # elapsed: the wall clock may be set back meanwhile


class Barred:
    """Those of one source; forgotten with the daemon, whose successor asks again."""

    def __init__(self, source: SourceName, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._bars: dict[SweepName, _Bar] = {}

    def bar(self, sweep: SweepName, generation: int, error: ReconcilerError) -> None:
        """Nothing of this generation starts there for a while: its submission was refused."""
        hint = f" ({error.hint})" if error.hint else ""
        hold = Hold(
            reason="SubmissionRefused",
            message=f"{self._source} refuses it: {error.message}{hint}",
            until=self._clock.now() + AGAIN_S,
        )
        self._bars[sweep] = _Bar(generation, hold, self._clock.elapsed() + AGAIN_S)

    def told(self) -> list[tuple[SweepName, int, Hold]]:
        """All that is barred at this moment: the sweep, its generation, and why."""
        held = [(sweep, bar.generation, self.hold(sweep, bar.generation)) for sweep, bar in list(self._bars.items())]
        return [(sweep, generation, hold) for sweep, generation, hold in held if hold is not None]

    def hold(self, sweep: SweepName, generation: int) -> Hold | None:
        """Why nothing of this generation starts there, if so."""
        bar = self._bars.get(sweep)
        if bar is None:
            return None
        if bar.generation != generation or self._clock.elapsed() >= bar.again_at:
            del self._bars[sweep]
            return None
        return bar.hold
