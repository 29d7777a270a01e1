"""What of ours is in a scheduler's queue, as metrics."""

from __future__ import annotations

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


def test_what_a_scheduler_said_it_bears_is_told_as_far_as_it_said_it() -> None:
    telemetry = Telemetry(version="1")
    site = Site(version="Slurm 22.05.8", batch_max=1000, jobs_max=40)
    source = SourceSnapshot(name=SourceName("c"), scheduler="slurm", up=True, slots=9, used=2, site=site)

    telemetry.publish(Snapshot(sources=(source,)))

    told = generate_latest(telemetry.registry).decode().splitlines()
    assert [
        'reconciler_source_scheduler_limit{limit="array_size",source="c"} 1000.0',
        'reconciler_source_scheduler_limit{limit="account_jobs",source="c"} 40.0',
    ] == [line for line in told if line.startswith("reconciler_source_scheduler_limit")]


def test_sweeps_of_which_a_source_takes_nothing_are_counted_by_their_reason() -> None:
    telemetry = Telemetry(version="1")
    barred = {"JobsNotStarting": 2, "SubmissionRefused": 1}
    source = SourceSnapshot(name=SourceName("c"), scheduler="slurm", up=True, slots=9, used=2, barred=barred)

    telemetry.publish(Snapshot(sources=(source,)))

    told = generate_latest(telemetry.registry).decode().splitlines()
    assert [
        'reconciler_source_barred_sweeps{reason="JobsNotStarting",source="c"} 2.0',
        'reconciler_source_barred_sweeps{reason="SubmissionRefused",source="c"} 1.0',
    ] == [line for line in told if line.startswith("reconciler_source_barred")]


def test_what_the_operator_allows_is_told_under_its_name() -> None:
    telemetry = Telemetry(version="1")
    declared = {"jobs": 200, "poll_seconds": 30.0}
    source = SourceSnapshot(name=SourceName("c"), scheduler="slurm", up=True, slots=9, used=2, declared=declared)

    telemetry.publish(Snapshot(sources=(source,)))

    told = generate_latest(telemetry.registry).decode().splitlines()
    assert [
        'reconciler_source_declared_limit{limit="jobs",source="c"} 200.0',
        'reconciler_source_declared_limit{limit="poll_seconds",source="c"} 30.0',
    ] == [line for line in told if line.startswith("reconciler_source_declared")]
