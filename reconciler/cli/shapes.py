"""Tasks, attempts and events as the readers' JSON tells them (docs/cli.md). Instants are RFC 3339 in UTC, or null."""

from __future__ import annotations

from reconciler.cli.output import instant_json
from reconciler.core.efficiency import efficiency
from reconciler.core.model import Attempt, Json, Resources, Task
from reconciler.store import EventRow


def task_json(task: Task) -> dict[str, Json]:
    """A task, and the state of its newest attempt."""
    return {
        "sweep": task.key.sweep,
        "task": task.key.task,
        "replicate": task.replicate,
        "parameters": task.parameters,
        "phase": task.phase.value,
        "reason": task.reason,
        "desired": task.desired,
        "attempt": task.attempts,
        "source": task.source,
        "failures": task.failures,
        "uncountedFailures": task.uncounted,
        "notBefore": instant_json(task.not_before),
    }


def attempt_json(attempt: Attempt) -> dict[str, Json]:
    """One submission of a task."""
    return {
        "attempt": attempt.key.number,
        "eid": attempt.eid,
        "source": attempt.source,
        "phase": attempt.phase.value,
        "reason": attempt.reason,
        "message": attempt.message,
        "failureClass": attempt.failure.value if attempt.failure else None,
        "exitCode": attempt.exit_code,
        "signal": attempt.signal,
        "intendedAt": instant_json(attempt.intended_at),
        "acceptedAt": instant_json(attempt.accepted_at),
        "unlistedAt": instant_json(attempt.unlisted_at),
        "startedAt": instant_json(attempt.started_at),
        "endedAt": instant_json(attempt.ended_at),
        "cancelReason": attempt.cancel,
        "cpuSeconds": attempt.cpu_s,
        "maxRssMib": attempt.max_rss_mib,
        "efficiency": efficiency_json(attempt),
        "gpus": list(attempt.gpus),
        "resources": resources_json(attempt.resources),
        "directory": attempt.directory,
    }


def efficiency_json(attempt: Attempt) -> Json:
    """The shares of what was asked for that an attempt used; null when nothing is known of that."""
    found = efficiency(attempt)
    return None if found is None else {"cpu": found.cpu, "memory": found.memory, "walltime": found.walltime}


def resources_json(resources: Resources) -> dict[str, Json]:
    """What an attempt asked for."""
    return {
        "cpus": resources.cpus,
        "memoryMib": resources.memory_mib,
        "gpus": resources.gpus,
        "gpuType": resources.gpu_type,
        "walltimeSeconds": resources.walltime_s,
        "nodes": resources.nodes,
        "tasksPerNode": resources.tasks_per_node,
    }


def event_json(event: EventRow) -> dict[str, Json]:
    """Something that happened."""
    return {
        "at": instant_json(event.at),
        "sweep": event.sweep,
        "task": event.task,
        "attempt": event.attempt,
        "reason": event.reason,
        "message": event.message,
    }
