"""What was collected from each source, and what is still to come, as metrics."""

from __future__ import annotations

from prometheus_client import generate_latest

from reconciler.core.model import SourceName
from reconciler.telemetry import Snapshot, SourceSnapshot, Telemetry


def test_each_source_tells_what_has_come_and_what_is_to_come() -> None:
    telemetry = Telemetry(version="1")
    far = SourceSnapshot(
        name=SourceName("far"),
        scheduler="process",
        up=True,
        slots=1,
        used=0,
        uncollected=7,
        collected=3,
        collected_bytes=4096,
        collect_failures=2,
    )

    telemetry.publish(Snapshot(sources=(far,)))

    page = generate_latest(telemetry.registry).decode()
    told = [line for line in page.splitlines() if "collect" in line and line.startswith("reconciler_source_")]
    assert [
        'reconciler_source_uncollected_attempts{source="far"} 7.0',
        'reconciler_source_collected_attempts_total{source="far"} 3.0',
        'reconciler_source_collected_bytes_total{source="far"} 4096.0',
        'reconciler_source_collect_failures_total{source="far"} 2.0',
    ] == told
