"""The metrics of code on sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from reconciler.telemetry.snapshot import ProjectSnapshot

_LABELS = ("source", "project")


def of_projects(projects: Iterable[ProjectSnapshot]) -> Iterator[Metric]:
    """All that is told of them; what is not known is absent."""
    in_sync = GaugeMetricFamily(
        "reconciler_project_in_sync",
        "Whether the pinned code of sweeps is on the source as it should be.",
        labels=_LABELS,
    )
    brought = _counter("brought", "Looks at code that found it on the source as pinned.")
    failures = _counter("failures", "Times that code could not be brought to the source, or differed there.")
    sent = _counter("sent_bytes", "Bytes of code that were sent to the source.")
    for each in projects:
        labels = [each.source, each.project]
        if each.in_sync is not None:
            in_sync.add_metric(labels, float(each.in_sync))
        brought.add_metric(labels, each.brought)
        failures.add_metric(labels, each.failures)
        sent.add_metric(labels, each.sent_bytes)
    yield from (in_sync, brought, failures, sent)


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"reconciler_project_{name}", text, labels=_LABELS)
