"""The metrics of code on sources."""

from __future__ import annotations

from prometheus_client import generate_latest

from reconciler.core.model import ProjectName, SourceName
from reconciler.telemetry import ProjectSnapshot, Snapshot, Telemetry


def test_the_code_on_each_source_is_told_and_what_is_not_known_is_absent():
    def project(source: str, *, in_sync: bool | None) -> ProjectSnapshot:
        return ProjectSnapshot(
            source=SourceName(source),
            project=ProjectName("mnist"),
            in_sync=in_sync,
            brought=3,
            failures=1,
            sent_bytes=2048,
        )

    telemetry = Telemetry(version="1")
    telemetry.publish(Snapshot(projects=(project("a", in_sync=False), project("b", in_sync=None))))
    page = [line for line in generate_latest(telemetry.registry).decode().splitlines() if "_project_" in line]

    assert [
        'reconciler_project_in_sync{project="mnist",source="a"} 0.0',
        'reconciler_project_brought_total{project="mnist",source="a"} 3.0',
        'reconciler_project_brought_total{project="mnist",source="b"} 3.0',
        'reconciler_project_failures_total{project="mnist",source="a"} 1.0',
        'reconciler_project_failures_total{project="mnist",source="b"} 1.0',
        'reconciler_project_sent_bytes_total{project="mnist",source="a"} 2048.0',
        'reconciler_project_sent_bytes_total{project="mnist",source="b"} 2048.0',
    ] == [line for line in page if not line.startswith("#")]
