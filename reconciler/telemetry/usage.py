"""The metrics of what tasks used of what they asked for: per sweep and source, never per task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from reconciler.core.efficiency import Usage
from reconciler.core.model import SourceName

MIB = 1024 * 1024

_COUNTED: Mapping[str, tuple[str, Callable[[Usage], float]]] = {
    "seconds": ("How long ended attempts ran, together.", lambda used: used.elapsed_s),
    "cpu_seconds": ("Processor time that ended attempts used.", lambda used: used.cpu_s),
    "reserved_cpu_seconds": (
        "Processor time that was reserved for ended attempts: processors asked for, times how long they ran.",
        lambda used: used.reserved_cpu_s,
    ),
}
_LARGEST: Mapping[str, tuple[str, Callable[[Usage], float]]] = {
    "memory_bytes": (
        "The most memory that one process of an ended attempt had.",
        lambda used: used.largest_mib * MIB,
    ),
    "memory_ratio": ("The largest share of the memory asked for that one process had.", lambda used: used.memory),
    "walltime_ratio": ("The largest share of its walltime that an ended attempt took.", lambda used: used.walltime),
}


def of_usage(sweeps: Sequence[tuple[str, Mapping[SourceName, Usage]]]) -> Sequence[Metric]:
    """Of sweeps by their label. The two of processors divided are the efficiency of any stretch of time."""
    families: list[Metric] = []
    for name, (text, read) in _COUNTED.items():
        counter = CounterMetricFamily(f"reconciler_attempt_{name}", text, labels=["sweep", "source"])
        for sweep, source, used in _rows(sweeps):
            counter.add_metric([sweep, source], read(used))
        families.append(counter)
    for name, (text, read) in _LARGEST.items():
        gauge = GaugeMetricFamily(f"reconciler_attempt_largest_{name}", text, labels=["sweep", "source"])
        for sweep, source, used in _rows(sweeps):
            gauge.add_metric([sweep, source], read(used))
        families.append(gauge)
    return families


def _rows(sweeps: Sequence[tuple[str, Mapping[SourceName, Usage]]]) -> list[tuple[str, SourceName, Usage]]:
    return [(sweep, source, used) for sweep, usage in sweeps for source, used in sorted(usage.items())]
