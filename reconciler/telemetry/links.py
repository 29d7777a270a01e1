"""The metrics of the ways to sources, and of their machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from reconciler.telemetry.snapshot import SourceSnapshot

MIB = 1 << 20


def of_links(sources: Iterable[SourceSnapshot]) -> Iterator[Metric]:
    """All that is told of them; what is not known is absent."""
    problem = _gauge("problem", "Why the source does not answer; the value is always 1.", "reason")
    latency = _gauge("latency_seconds", "From the newest question for a sign of life to its answer.")
    skew = _gauge("clock_skew_seconds", "How far the clock of the source's machine is ahead of ours.")
    load = _gauge("load1", "Load average of the source's machine over a minute.")
    disk = _gauge("disk_free_bytes", "Room on the disk of the source's root.")
    sessions = _counter("sessions", "Sessions that were opened with the source.")
    failures = _counter("session_failures", "Sessions with the source that could not be opened; each is tried again.")
    for source in sources:
        link, name = source.link, source.name
        if link.problem:
            problem.add_metric([name, link.problem], 1)
        for family, value in (
            (latency, link.latency_s),
            (skew, link.clock_skew_s),
            (load, link.load1),
            (disk, None if link.disk_free_mib is None else link.disk_free_mib * MIB),
        ):
            if value is not None:
                family.add_metric([name], value)
        sessions.add_metric([name], link.sessions)
        failures.add_metric([name], link.failures)
    yield from (problem, latency, skew, load, disk, sessions, failures)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"reconciler_source_{name}", text, labels=["source", *labels])


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"reconciler_source_{name}", text, labels=["source"])
