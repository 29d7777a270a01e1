"""What tasks used, as metrics: bounded, per sweep and source."""

from __future__ import annotations

from prometheus_client import generate_latest

from reconciler.core.efficiency import Usage
from reconciler.core.model import SourceName, SweepName
from reconciler.core.spec import SweepState
from reconciler.telemetry import Snapshot, SweepSnapshot, Telemetry
from reconciler.telemetry.families import SWEEPS_MAX

HERE = SourceName("here")
USED = Usage(elapsed_s=100.0, cpu_s=50.0, reserved_cpu_s=400.0, largest_mib=2.0, memory=0.25, walltime=0.5)


def _sweep(name: str, at: float = 0.0) -> SweepSnapshot:
    return SweepSnapshot(
        name=SweepName(name), state=SweepState.ACTIVE, generation=1, desired=1, usage={HERE: USED}, changed_at=at
    )


def _told(*sweeps: SweepSnapshot) -> list[str]:
    telemetry = Telemetry(version="1")
    telemetry.publish(Snapshot(sweeps=sweeps))
    prefixes = tuple(f"reconciler_attempt_{name}" for name in ("seconds", "cpu", "reserved", "largest"))
    return [line for line in generate_latest(telemetry.registry).decode().splitlines() if line.startswith(prefixes)]


def test_time_and_processors_are_counted_and_of_memory_and_walltime_the_most_is_told() -> None:
    assert [
        'reconciler_attempt_seconds_total{source="here",sweep="s"} 100.0',
        'reconciler_attempt_cpu_seconds_total{source="here",sweep="s"} 50.0',
        'reconciler_attempt_reserved_cpu_seconds_total{source="here",sweep="s"} 400.0',
        'reconciler_attempt_largest_memory_bytes{source="here",sweep="s"} 2.097152e+06',
        'reconciler_attempt_largest_memory_ratio{source="here",sweep="s"} 0.25',
        'reconciler_attempt_largest_walltime_ratio{source="here",sweep="s"} 0.5',
    ] == _told(_sweep("s"))


def test_sweeps_beyond_the_limit_are_one_series_and_not_one_each() -> None:
    told = _told(*(_sweep(f"s{number}", at=number) for number in range(SWEEPS_MAX + 3)))
    assert 6 * (SWEEPS_MAX + 1) == len(told)
    assert 'reconciler_attempt_cpu_seconds_total{source="here",sweep="_other"} 150.0' in told
    assert 'reconciler_attempt_largest_memory_ratio{source="here",sweep="_other"} 0.25' in told
