"""The status of sweeps and sources as the store knows it, whether a daemon runs or not.

Counts are read fresh. Conditions and holds are what the daemon wrote last, because only it knows what it tried in vain,
unless the counts have overtaken them: it may have been killed in between.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.core.dispatch import Hold
from reconciler.core.model import Condition, ConditionStatus, Instant, Json, Phase, ProjectName, SourceName, SweepName
from reconciler.core.settings import SELF
from reconciler.core.spec import SweepState
from reconciler.core.status import (
    POLARITY,
    CodeFacts,
    Polarity,
    Problem,
    SweepFacts,
    SweepStatus,
    sweep_status,
)
from reconciler.core.status_json import sweep_json
from reconciler.fields import Fields
from reconciler.store import InvalidRow, Reader, RepositoryRow, SourceRow, SweepRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything that `status` and `watch` show."""

    repository: RepositoryRow
    sweeps: tuple[SweepStatus, ...]
    frozen: Mapping[SweepName, str]  # plans that wait for an approval
    sources: tuple[SourceRow, ...]
    invalid: tuple[InvalidRow, ...]

    @property
    def newest(self) -> Instant | None:
        """When the daemon last wrote down how things stand."""
        told = [source.at for source in self.sources]
        return max([*told, self.repository.checked_at or 0.0], default=0.0) or None


def read_status(reader: Reader, only: SweepRow | None = None) -> Status:
    """How all sweeps stand, or the one."""
    rows = reader.sweeps() if only is None else [only]
    return Status(
        repository=reader.repository(),
        sweeps=tuple(sweep_told(reader, row) for row in rows),
        frozen={row.name: row.frozen for row in rows if row.frozen},
        sources=_sources(reader),
        invalid=tuple(row for row in reader.invalid() if only is None or row.sweep == only.name),
    )


def status_json(status: Status) -> Json:
    """The document of `status -o json`."""
    return {
        "revision": status.repository.accepted,
        "sweeps": [sweep_json(sweep) for sweep in status.sweeps],
        "sources": [source.state for source in status.sources],
    }


def sweep_told(reader: Reader, row: SweepRow) -> SweepStatus:
    """One sweep: fresh counts, and the conditions that the daemon wrote."""
    tasks: Counter[Phase] = Counter()
    for (_, phase), count in reader.counts(row.name).items():
        tasks[phase] += count
    active = {source: count for (sweep, source), count in reader.active_counts().items() if sweep == row.name}
    leaving = sum(active.values()) - tasks[Phase.QUEUED] - tasks[Phase.RUNNING]
    status = sweep_status(
        SweepFacts(
            name=row.name,
            state=row.policy.state if row.policy else SweepState.ACTIVE,
            generation=row.generation,
            observed_generation=row.generation - 1 if row.settling else row.generation,
            tasks=tasks,
            leaving=max(0, leaving),
            sources=active,
            holds=holds_of(row.holds),
            invalid=_problem(row, "Invalid"),
            prune_blocked=_problem(row, "PruneBlocked"),
            history_rewritten=_problem(row, "HistoryRewritten"),
            unresolved=int(_problem(row, "Unresolved") is not None),
            error=_error(row),
            code=_code(row),
        )
    )
    outdated = _ready(row.conditions) != _ready(status.conditions)
    return replace(status, conditions=_freshened(row, status) if outdated else row.conditions)


def _freshened(row: SweepRow, status: SweepStatus) -> tuple[Condition, ...]:
    """What the counts say; of the code only the daemon can tell."""
    told = [each for each in row.conditions if each.type == "ProjectInSync"]
    return (*(each for each in status.conditions if not told or each.type != "ProjectInSync"), *told)


def _code(row: SweepRow) -> CodeFacts | None:
    """What its tasks run; where it lies only the daemon can tell."""
    if row.pin is None:
        return None
    spec = Fields.of(json.loads(row.document)).part("spec")
    return CodeFacts(project=ProjectName(spec.text("project", SELF)), pin=row.pin)


def _ready(conditions: Iterable[Condition]) -> ConditionStatus | None:
    return next((condition.status for condition in conditions if condition.type == "Ready"), None)


def _sources(reader: Reader) -> tuple[SourceRow, ...]:
    """The sources as the daemon told them, with fresh counts."""
    active: Counter[SourceName] = Counter()
    for (_, source), count in reader.active_counts().items():
        active[source] += count
    return tuple(
        replace(row, state={**row.state, "active": active[row.name]}) if isinstance(row.state, dict) else row
        for row in sorted(reader.sources(), key=lambda row: row.name)
    )


def holds_of(document: Json) -> list[Hold]:
    """The holds as the daemon wrote them; what is not one is passed over."""
    found = []
    for each in document if isinstance(document, list) else []:
        match each:
            case {"reason": str(reason), "message": str(message), "until": until, "tasks": int(tasks)}:
                when = float(until) if isinstance(until, int | float) else None
                found.append(Hold(reason=reason, message=message, until=when, tasks=tasks))
            case _:
                continue
    return found


def bad_news(sweep: SweepStatus) -> list[str]:
    """The conditions that somebody should look at, each as a sentence."""
    return [
        f"{condition.type}: {condition.message or condition.reason}"
        for condition in sweep.conditions
        if (POLARITY.get(condition.type) is Polarity.BAD and condition.status is ConditionStatus.TRUE)
        or (condition.type == "ProjectInSync" and condition.status is ConditionStatus.FALSE)
    ]


def _error(row: SweepRow) -> Problem | None:
    """Why the daemon's last pass over the sweep failed: nothing else makes a settled sweep's readiness unknown."""
    for condition in row.conditions:
        if condition.type == "Ready" and condition.status is ConditionStatus.UNKNOWN and not row.settling:
            return Problem(reason=condition.reason, message=condition.message)
    return None


def _problem(row: SweepRow, kind: str) -> Problem | None:
    for condition in row.conditions:
        if condition.type == kind and condition.status is ConditionStatus.TRUE:
            return Problem(reason=condition.reason, message=condition.message)
    return None
