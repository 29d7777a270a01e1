"""Sweeps of which one source takes nothing now: what its scheduler refuses for good, and what does not start there.

What it has refused is not asked for in a loop, but now and then all the same: accounts and partitions are mended
without anybody telling us. What it takes, and what then ends on its nodes before it has begun, is held longer each
time, and tried with one attempt in between: see `core.starts`. A new generation of the sweep is another question.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.clock import Clock
from reconciler.core.errors import ReconcilerError, Refused
from reconciler.core.fit import Hold
from reconciler.core.model import SourceName, SweepName
from reconciler.core.starts import Streak, unstarted

AGAIN_S = 600.0
NOT_STARTING = "JobsNotStarting"


@dataclass(frozen=True, slots=True)
class _Bar:
    generation: int
    hold: Hold
    again_at: float  # elapsed: the wall clock may be set back meanwhile


@dataclass(frozen=True, slots=True)
class _Run:
    """Submissions in a row that did not start."""

    generation: int
    streak: Streak
    said: str


class Barred:
    """Those of one source; forgotten with the daemon, whose successor asks again."""

    def __init__(self, source: SourceName, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._bars: dict[SweepName, _Bar] = {}
        self._runs: dict[SweepName, _Run] = {}

    def bar(self, sweep: SweepName, generation: int, error: ReconcilerError, path: str = "") -> None:
        """Nothing of this generation starts there for a while: its submission was refused. path: of its manifest."""
        told = "; ".join(filter(None, (self._place(error, path), error.hint)))
        hint = f" ({told})" if told else ""
        hold = Hold(
            reason="SubmissionRefused",
            message=f"{self._source} refuses it: {error.message}{hint}",
            until=self._clock.now() + AGAIN_S,
        )
        self._bars[sweep] = _Bar(generation, hold, self._clock.elapsed() + AGAIN_S)

    def _place(self, error: ReconcilerError, path: str) -> str:
        """Where the field stands that is at fault, if that is known."""
        at = error.at if isinstance(error, Refused) else ()
        if not at:
            return ""
        return (
            f"see {'.'.join(at)} in {path}" if at[0] == "spec" else f"see {'.'.join(at)} of the source {self._source}"
        )

    def unstarted(self, sweep: SweepName, generation: int, submissions: int, said: str) -> None:
        """So many more submissions were given up without a start; said: what is told of that."""
        run = self._run(sweep, generation)
        streak = unstarted(run.streak if run else Streak(), submissions=submissions, at=self._clock.elapsed())
        self._runs[sweep] = _Run(generation, streak, said)

    def started(self, sweeps: Iterable[SweepName]) -> None:
        """Something of these has started there."""
        for sweep in sweeps:
            self._runs.pop(sweep, None)

    def lift(self, sweep: SweepName) -> None:
        """A person wants it tried at once."""
        self._bars.pop(sweep, None)
        self._runs.pop(sweep, None)

    def told(self) -> list[tuple[SweepName, int, Hold]]:
        """All that is barred at this moment, or but for one attempt: the sweep, its generation, and why."""
        generations = {sweep: run.generation for sweep, run in self._runs.items()}
        generations.update((sweep, bar.generation) for sweep, bar in self._bars.items())
        held = [
            (sweep, generation, self.hold(sweep, generation) or self.trial(sweep, generation))
            for sweep, generation in generations.items()
        ]
        return [(sweep, generation, hold) for sweep, generation, hold in held if hold is not None]

    @property
    def not_starting(self) -> str:
        """What a person must know about sweeps whose jobs do not start there; "" when all do."""
        told = [f"{sweep}: {hold.message}" for sweep, _, hold in self.told() if hold.reason == NOT_STARTING]
        return "; ".join(told)

    def hold(self, sweep: SweepName, generation: int) -> Hold | None:
        """Why nothing of this generation starts there, if so."""
        elapsed = self._clock.elapsed()
        bar, run = self._bars.get(sweep), self._run(sweep, generation)
        if bar is not None:
            if bar.generation == generation and elapsed < bar.again_at:
                return bar.hold
            del self._bars[sweep]
        if run is None or not run.streak.held(elapsed):
            return None
        until = self._clock.now() + run.streak.until - elapsed
        return Hold(reason=NOT_STARTING, message=self._message(run), until=until)

    def trial(self, sweep: SweepName, generation: int) -> Hold | None:
        """Why all but one attempt of this generation wait: that one is to show whether it starts."""
        run = self._run(sweep, generation)
        if run is None or not run.streak.tried:
            return None
        return Hold(reason=NOT_STARTING, message=f"{self._message(run)}; one task tries whether it starts now")

    def _run(self, sweep: SweepName, generation: int) -> _Run | None:
        run = self._runs.get(sweep)
        if run is not None and run.generation != generation:
            del self._runs[sweep]
            return None
        return run

    def _message(self, run: _Run) -> str:
        said = f": {run.said}" if run.said else ""
        return f"the last {run.streak.submissions} submissions to {self._source} did not start{said}"
