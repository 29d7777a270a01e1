"""What of ours is in a scheduler's queue, as metrics."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import generate_latest

from reconciler.core.jobs import Job, JobState, Site, Wait
from reconciler.core.model import Eid, SourceName
from reconciler.core.waiting import QueueView, view
from reconciler.telemetry import Snapshot, SourceSnapshot, Telemetry

HELD = Job(id="7_0", state=JobState.WAITING, wait=Wait("JobHeldUser", "somebody holds it", stuck=True))
RUNS = Job(id="7_1", state=JobState.RUNNING)


def _told(queue: QueueView | None) -> list[str]:
    telemetry = Telemetry(version="1")
    source = SourceSnapshot(
        name=SourceName("c"), scheduler="slurm", up=True, slots=9, used=2, queue=queue, submissions=3, listings=5
    )
    telemetry.publish(Snapshot(sources=(source,)))
    lines = generate_latest(telemetry.registry).decode().splitlines()
    counted = ("reconciler_source_jobs", "reconciler_source_submissions_total", "reconciler_source_listings_total")
    return [line for line in lines if line.startswith(counted)]


def test_jobs_are_told_by_state_with_those_that_are_stuck() -> None:
    assert [
        'reconciler_source_jobs{source="c",state="waiting"} 1.0',
        'reconciler_source_jobs{source="c",state="running"} 1.0',
        'reconciler_source_jobs{source="c",state="ending"} 0.0',
        'reconciler_source_jobs{source="c",state="unknown"} 0.0',
        'reconciler_source_jobs_stuck{source="c"} 1.0',
        'reconciler_source_submissions_total{source="c"} 3.0',
        'reconciler_source_listings_total{source="c"} 5.0',
    ] == _told(view({Eid("a"): HELD, Eid("b"): RUNS}))


def test_of_a_queue_that_was_never_listed_nothing_is_told() -> None:
    assert [] == _told(None)


TABLES = {
    "what a scheduler said it bears, as far as it said it": (
        {"site": Site(version="Slurm 22.05.8", batch_max=1000, jobs_max=40)},
        "scheduler_limit",
        ['{limit="array_size",source="c"} 1000.0', '{limit="account_jobs",source="c"} 40.0'],
    ),
    "sweeps of which it takes nothing, by reason": (
        {"barred": {"JobsNotStarting": 2, "SubmissionRefused": 1}},
        "barred_sweeps",
        ['{reason="JobsNotStarting",source="c"} 2.0', '{reason="SubmissionRefused",source="c"} 1.0'],
    ),
    "what the operator allows": (
        {"declared": {"jobs": 200, "poll_seconds": 30.0}},
        "declared_limit",
        ['{limit="jobs",source="c"} 200.0', '{limit="poll_seconds",source="c"} 30.0'],
    ),
}


@pytest.mark.parametrize(("fields", "name", "expected"), TABLES.values(), ids=TABLES)
def test_of_a_source_is_told(fields: dict[str, Any], name: str, expected: list[str]) -> None:
    telemetry = Telemetry(version="1")
    source = SourceSnapshot(name=SourceName("c"), scheduler="slurm", up=True, slots=9, used=2, **fields)

    telemetry.publish(Snapshot(sources=(source,)))

    told, metric = generate_latest(telemetry.registry).decode().splitlines(), f"reconciler_source_{name}"
    assert [metric + each for each in expected] == [line for line in told if line.startswith(metric)]
