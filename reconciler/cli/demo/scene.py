"""What the store says about the demo's sweep at one instant, and what its tasks have measured."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from reconciler.cli.demo.manifest import SWEEP
from reconciler.core.model import Commit, Json, Phase, Task, TaskId
from reconciler.store import Reader

TASKS = 1000


@dataclass(slots=True)
class Temperature:
    """The tasks at one temperature: their phases, and the magnetisations measured so far."""

    phases: Counter[Phase] = field(default_factory=Counter)
    magnetisations: list[float] = field(default_factory=list)

    @property
    def magnetisation(self) -> float | None:
        return mean(self.magnetisations) if self.magnetisations else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The sweep as its newest accepted commit wants it. leaving: active attempts that it does not want any more."""

    accepted: Commit | None
    temperatures: Mapping[float, Temperature]
    leaving: int

    @property
    def phases(self) -> Counter[Phase]:
        return sum((each.phases for each in self.temperatures.values()), Counter())

    @property
    def over(self) -> bool:
        """Nothing waits or runs."""
        phases = self.phases
        return bool(phases) and not (phases[Phase.WAITING] or phases[Phase.QUEUED] or phases[Phase.RUNNING])

    def running(self) -> list[float]:
        """The temperatures at which something runs, in order."""
        return sorted(value for value, each in self.temperatures.items() if each.phases[Phase.RUNNING])


class Watcher:
    """Reads scenes; what a task has measured is read once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._measured: dict[TaskId, float] = {}

    def scene(self) -> Scene:
        """How it stands now."""
        row = self._reader.sweep(SWEEP)
        tasks = self._reader.tasks(SWEEP, limit=TASKS) if row is not None else []
        temperatures: dict[float, Temperature] = {}
        for task in sorted(tasks, key=_temperature):
            at = temperatures.setdefault(_temperature(task), Temperature())
            at.phases[task.phase] += 1
            measured = self._magnetisation(task)
            if measured is not None:
                at.magnetisations.append(measured)
        active = sum(count for (sweep, _), count in self._reader.active_counts().items() if sweep == SWEEP)
        desired = sum(task.phase.active for task in tasks)
        return Scene(
            accepted=self._reader.repository().accepted if row is not None and not row.settling else None,
            temperatures=temperatures,
            leaving=max(0, active - desired),
        )

    def _magnetisation(self, task: Task) -> float | None:
        if task.phase is not Phase.SUCCEEDED:
            return None
        if task.key.task not in self._measured:
            directory = self._reader.attempts(task.key)[-1].directory
            metrics: Mapping[str, Json] = json.loads((Path(directory) / "output" / "metrics.json").read_text())
            value = metrics["magnetisation"]
            assert isinstance(value, float)
            self._measured[task.key.task] = value
        return self._measured[task.key.task]


def _temperature(task: Task) -> float:
    value = task.parameters["temperature"]
    assert isinstance(value, int | float)
    return float(value)
