"""The metrics of schedulers' queues: what of ours is there, and how much we ask of them."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from reconciler.core.jobs import JobState
from reconciler.telemetry.snapshot import SourceSnapshot


def of_queues(sources: Sequence[SourceSnapshot]) -> Sequence[Metric]:
    """Of sources with a scheduler; none while there are none."""
    jobs = GaugeMetricFamily(
        "reconciler_source_jobs",
        "Jobs of ours in the queue of the source's scheduler, as it was last listed.",
        labels=["source", "state"],
    )
    stuck = GaugeMetricFamily(
        "reconciler_source_jobs_stuck",
        "Jobs of ours that will not start before somebody does something.",
        labels=["source"],
    )
    submissions = CounterMetricFamily(
        "reconciler_source_submissions", "Job arrays that the scheduler was told of.", labels=["source"]
    )
    for source in sources:
        queue = source.queue
        if queue is not None:
            for state in JobState:
                jobs.add_metric([source.name, state.value], queue.states.get(state, 0))
            stuck.add_metric([source.name], sum(each.jobs for each in queue.waits if each.wait.stuck))
            submissions.add_metric([source.name], source.submissions)
    return [jobs, stuck, submissions] if jobs.samples else []
