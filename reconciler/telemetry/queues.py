"""The metrics of schedulers' queues: what of ours is there, and how much we ask of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from reconciler.core.jobs import JobState, Site
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
    limits = GaugeMetricFamily(
        "reconciler_source_scheduler_limit",
        "What the source's scheduler said it bears: tasks of one array, jobs of the account, jobs of everybody, and"
        " seconds for which it remembers ended jobs.",
        labels=["source", "limit"],
    )
    barred = GaugeMetricFamily(
        "reconciler_source_barred_sweeps",
        "Sweeps of which nothing is submitted there now: refused, or none of its jobs begins its task.",
        labels=["source", "reason"],
    )
    for source in sources:
        for name, value in _limits(source.site):
            limits.add_metric([source.name, name], value)
        for reason, sweeps in source.barred.items():
            barred.add_metric([source.name, reason], sweeps)
        queue = source.queue
        if queue is not None:
            for state in JobState:
                jobs.add_metric([source.name, state.value], queue.states.get(state, 0))
            stuck.add_metric([source.name], sum(each.jobs for each in queue.waits if each.wait.stuck))
            submissions.add_metric([source.name], source.submissions)
    return [family for family in (jobs, stuck, submissions, limits, barred) if family.samples]


def _limits(site: Site | None) -> Iterator[tuple[str, int]]:
    """Those that were told."""
    if site is None:
        return
    told = {
        "array_size": site.batch_max,
        "account_jobs": site.jobs_max,
        "queue_jobs": site.queue_max,
        "memory_seconds": site.forgets_s,
    }
    for name, value in told.items():
        if value is not None:
            yield name, value
