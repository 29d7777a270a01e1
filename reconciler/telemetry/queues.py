"""The metrics of schedulers' queues: what of ours is there, and how much we ask of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from reconciler.core.jobs import JobState, Site
from reconciler.telemetry.snapshot import SourceSnapshot


def of_queues(sources: Sequence[SourceSnapshot]) -> Sequence[Metric]:
    """Of sources with a scheduler; none while there are none."""
    families = (*_of_jobs(sources), *_counted(sources), _declared(sources), _told(sources), _barred(sources))
    return [family for family in families if family.samples]


def _of_jobs(sources: Sequence[SourceSnapshot]) -> Iterator[Metric]:
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
    for source in sources:
        if source.queue is not None:
            for state in JobState:
                jobs.add_metric([source.name, state.value], source.queue.states.get(state, 0))
            stuck.add_metric([source.name], sum(each.jobs for each in source.queue.waits if each.wait.stuck))
    yield jobs
    yield stuck


def _counted(sources: Sequence[SourceSnapshot]) -> Iterator[Metric]:
    submissions = CounterMetricFamily(
        "reconciler_source_submissions", "Job arrays that the scheduler was told of.", labels=["source"]
    )
    listings = CounterMetricFamily(
        "reconciler_source_listings", "Listings of its queue that the scheduler has answered.", labels=["source"]
    )
    for source in sources:
        if source.queue is not None:
            submissions.add_metric([source.name], source.submissions)
            listings.add_metric([source.name], source.listings)
    yield submissions
    yield listings


def _declared(sources: Sequence[SourceSnapshot]) -> Metric:
    text = (
        "What the configuration allows there: jobs at once, tasks of one array, and how many seconds lie between two"
        " listings of the queue and between two submissions."
    )
    return _table("declared_limit", text, "limit", ((each.name, each.declared) for each in sources))


def _told(sources: Sequence[SourceSnapshot]) -> Metric:
    text = (
        "What the source's scheduler said it bears: tasks of one array, jobs of the account, jobs of everybody, and"
        " seconds for which it remembers ended jobs."
    )
    return _table("scheduler_limit", text, "limit", ((each.name, dict(_limits(each.site))) for each in sources))


def _barred(sources: Sequence[SourceSnapshot]) -> Metric:
    text = "Sweeps of which nothing is submitted there now, or one task that tries: refused, or no job begins its task."
    return _table("barred_sweeps", text, "reason", ((each.name, each.barred) for each in sources))


def _table(name: str, text: str, label: str, rows: Iterable[tuple[str, Mapping[str, float]]]) -> Metric:
    """rows: of each source, by the values of the label."""
    gauge = GaugeMetricFamily(f"reconciler_source_{name}", text, labels=["source", label])
    for source, values in rows:
        for value, number in values.items():
            gauge.add_metric([source, value], number)
    return gauge


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
