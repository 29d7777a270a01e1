"""Status for a program: the objects of `status -o json`. Keys are stable."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.model import Commit, Condition, Json, Phase
from reconciler.core.status import SourceStatus, SweepStatus


def status_json(
    revision: Commit | None, sweeps: Sequence[SweepStatus], sources: Sequence[SourceStatus]
) -> dict[str, Json]:
    """The whole of `status -o json`, sweeps and sources by name."""
    return {
        "revision": revision,
        "sweeps": [sweep_json(sweep) for sweep in sorted(sweeps, key=lambda sweep: sweep.name)],
        "sources": [source_json(source) for source in sorted(sources, key=lambda source: source.name)],
    }


def sweep_json(status: SweepStatus) -> dict[str, Json]:
    """One element of `sweeps` in `status -o json`."""
    return {
        "name": status.name,
        "state": status.state.value,
        "generation": status.generation,
        "observedGeneration": status.observed_generation,
        "project": None if status.code is None else status.code.project,
        "commit": None if status.code is None else status.code.pin,
        "summary": status.summary,
        "conditions": [_condition_json(condition) for condition in status.conditions],
        "tasks": {
            "desired": sum(status.tasks.values()),
            **{phase.value: status.tasks[phase] for phase in Phase},
        },
        "sources": {str(name): active for name, active in status.sources.items()},
        "holds": [
            {"reason": hold.reason, "message": hold.message, "until": hold.until, "tasks": hold.tasks}
            for hold in status.holds
        ],
    }


def source_json(status: SourceStatus) -> dict[str, Json]:
    """One element of `sources` in `status -o json`."""
    return {
        "name": status.name,
        "up": status.up,
        "enabled": status.enabled,
        "slots": status.slots,
        "active": status.active,
        "gpus": status.gpus,
        "gpusFree": status.gpus_free,
        "uncollected": status.uncollected,
        "conditions": [_condition_json(condition) for condition in status.conditions],
        **status.details,
    }


def _condition_json(condition: Condition) -> dict[str, Json]:
    return {
        "type": condition.type,
        "status": condition.status.value,
        "reason": condition.reason,
        "message": condition.message,
    }
