"""Snapshot → metric families: pure, made anew at each scrape: what left the snapshot leaves the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from reconciler.core.efficiency import Usage
from reconciler.core.model import Instant, Phase, SourceName
from reconciler.telemetry.links import of_links
from reconciler.telemetry.projects import of_projects
from reconciler.telemetry.queues import of_queues
from reconciler.telemetry.snapshot import Snapshot, SourceSnapshot, SweepSnapshot
from reconciler.telemetry.usage import of_usage

SWEEPS_MAX = 200
OTHER = "_other"
_ENDS: tuple[Phase, ...] = tuple(phase for phase in Phase if phase.ended)
_PLACED: tuple[Phase, ...] = tuple(phase for phase in Phase if phase is not Phase.WAITING)


@dataclass(frozen=True, slots=True)
class _Row:
    """The numbers of one sweep, or of all those beyond the limit."""

    sweep: str
    desired: int
    tasks: Mapping[tuple[SourceName, Phase], int]
    finished: Mapping[tuple[SourceName, Phase], int]
    usage: Mapping[SourceName, Usage]


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """All metrics that tell about state, in the order of the page."""
    shown = sorted(snapshot.sweeps, key=_importance, reverse=True)[:SWEEPS_MAX]
    folded = sorted(snapshot.sweeps, key=_importance, reverse=True)[SWEEPS_MAX:]
    rows = [_Row(sweep.name, sweep.desired, sweep.tasks, sweep.finished, sweep.usage) for sweep in shown]
    if folded:
        rows.append(_other(folded))
    yield _gauge("metrics_sweeps_limited", 'Sweeps folded into the sweep "_other": there are too many.', len(folded))
    yield from _of_process(snapshot)
    yield from _of_sweeps(shown)
    yield from _of_tasks(rows)
    yield from of_usage([(row.sweep, row.usage) for row in rows])
    yield from _of_sources(snapshot.sources)
    yield from of_projects(snapshot.projects)


def _importance(sweep: SweepSnapshot) -> tuple[bool, float, str]:
    """Sweeps with something active first, then those that changed last."""
    active = any(count for (_, phase), count in sweep.tasks.items() if phase.active)
    return active, sweep.changed_at or sweep.created_at or 0.0, sweep.name


def _other(sweeps: Iterable[SweepSnapshot]) -> _Row:
    desired = 0
    tasks: Counter[tuple[SourceName, Phase]] = Counter()
    finished: Counter[tuple[SourceName, Phase]] = Counter()
    usage: dict[SourceName, Usage] = {}
    for sweep in sweeps:
        desired += sweep.desired
        tasks.update(sweep.tasks)
        finished.update(sweep.finished)
        for source, used in sweep.usage.items():
            usage[source] = usage.get(source, Usage()) + used
    return _Row(OTHER, desired, tasks, finished, usage)


def _of_process(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge("store_size_bytes", "Size of the state store on disk.", snapshot.store_size_bytes)
    yield _gauge(
        "reconcile_last_success_timestamp_seconds",
        "Unix time at which the last pass without an error ended.",
        snapshot.last_reconcile_success_at,
    )
    yield _gauge(
        "git_last_fetch_success_timestamp_seconds",
        "Unix time of the last successful git fetch.",
        snapshot.last_fetch_success_at,
    )
    yield _gauge("workqueue_depth", "Keys that are ready to be reconciled.", snapshot.queue_depth)
    yield _counter("workqueue_adds", "Keys added to the work queue.", snapshot.queue_adds)
    yield _counter("workqueue_retries", "Keys put back after a failure.", snapshot.queue_retries)
    manifests = _labelled("manifests", "Sweep manifests at the fetched revision, by status.", "status")
    for status, count in (("valid", snapshot.manifests_valid), ("invalid", snapshot.manifests_invalid)):
        if count is not None:
            manifests.add_metric([status], count)
    yield manifests


def _of_sweeps(sweeps: Iterable[SweepSnapshot]) -> Iterator[Metric]:
    info = _labelled("sweep_info", "What a sweep is; the value is always 1.", "sweep", "state")
    generation = _labelled("sweep_generation", "How often the spec of a sweep has changed.", "sweep")
    created = _labelled("sweep_created_timestamp_seconds", "Unix time at which a sweep was first seen.", "sweep")
    changed = _labelled(
        "sweep_last_progress_timestamp_seconds", "Unix time at which a task of a sweep last changed its state.", "sweep"
    )
    for sweep in sweeps:
        info.add_metric([sweep.name, sweep.state.value], 1)
        generation.add_metric([sweep.name], sweep.generation)
        _add_instant(created, sweep.name, sweep.created_at)
        _add_instant(changed, sweep.name, sweep.changed_at)
    yield from (info, generation, created, changed)


def _of_tasks(rows: Iterable[_Row]) -> Iterator[Metric]:
    desired = _labelled("sweep_desired_tasks", "Tasks that the manifest asks for.", "sweep")
    tasks = _labelled("sweep_tasks", "Tasks observed, by source and state.", "sweep", "source", "state")
    finished = CounterMetricFamily(
        "reconciler_attempts_finished",
        "Attempts that have ended, by result.",
        labels=["sweep", "source", "result"],
    )
    for row in rows:
        desired.add_metric([row.sweep], row.desired)
        waiting = sum(count for (_, phase), count in row.tasks.items() if phase is Phase.WAITING)
        tasks.add_metric([row.sweep, "", Phase.WAITING.value], waiting)
        for source in _sources(row):
            for phase in _PLACED:
                tasks.add_metric([row.sweep, source, phase.value], row.tasks.get((source, phase), 0))
            for end in _ENDS:
                finished.add_metric([row.sweep, source, end.value], row.finished.get((source, end), 0))
    yield from (desired, tasks, finished)


def _sources(row: _Row) -> list[SourceName]:
    """The sources that a sweep uses or used; all their states are told, zeros too."""
    return sorted({source for source, _ in (*row.tasks, *row.finished) if source})


def _of_sources(sources: Iterable[SourceSnapshot]) -> Iterator[Metric]:
    info = _labelled("source_info", "What a source is; the value is always 1.", "source", "scheduler")
    up = _labelled("source_up", "Whether the source answered when it was last asked.", "source")
    limit = _labelled("source_slots_limit", "Tasks that the source may hold at once.", "source")
    used = _labelled("source_slots_used", "Tasks that the source holds now.", "source")
    success = _labelled(
        "source_last_success_timestamp_seconds", "Unix time of the source's last successful answer.", "source"
    )
    sources = list(sources)
    yield from _of_collections(sources)
    yield from of_links(sources)
    yield from of_queues(sources)
    for source in sources:
        info.add_metric([source.name, source.scheduler], 1)
        limit.add_metric([source.name], source.slots)
        used.add_metric([source.name], source.used)
        if source.up is not None:
            up.add_metric([source.name], float(source.up))
        _add_instant(success, source.name, source.last_success_at)
    yield from (info, up, limit, used, success)


def _of_collections(sources: Iterable[SourceSnapshot]) -> Iterator[Metric]:
    pending = _labelled("source_uncollected_attempts", "Ended attempts whose results are still to come.", "source")
    counted = [
        CounterMetricFamily(f"reconciler_source_{name}", text, labels=["source"])
        for name, text in (
            ("collected_attempts", "Attempts whose results were collected."),
            ("collected_bytes", "Bytes of results that were collected."),
            ("collect_failures", "Failures to collect results; each is tried again."),
        )
    ]
    for source in sources:
        pending.add_metric([source.name], source.uncollected)
        told = (source.collected, source.collected_bytes, source.collect_failures)
        for family, count in zip(counted, told, strict=True):
            family.add_metric([source.name], count)
    yield from (pending, *counted)


def _gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    family = _labelled(name, text)
    if value is not None:
        family.add_metric([], value)
    return family


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"reconciler_{name}", text, value=value)


def _labelled(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"reconciler_{name}", text, labels=labels)


def _add_instant(family: GaugeMetricFamily, name: str, instant: Instant | None) -> None:
    if instant is not None:
        family.add_metric([name], instant)
