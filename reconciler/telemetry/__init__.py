"""What the reconciler tells about itself.

logs.py       constant messages with key=value fields, for a terminal or as JSON lines; secrets are taken out
snapshot.py   the frozen values that the daemon publishes: what the store and the sources say
families.py   snapshot → metric families
metrics.py    Telemetry: the Prometheus registry, over the newest snapshot and this process's own counters
"""

from reconciler.telemetry.logs import LogFormat, configure_logging
from reconciler.telemetry.metrics import FetchResult, KeyKind, ReconcileResult, Telemetry
from reconciler.telemetry.snapshot import LinkSnapshot, ProjectSnapshot, Snapshot, SourceSnapshot, SweepSnapshot

__all__ = [
    "FetchResult",
    "KeyKind",
    "LinkSnapshot",
    "LogFormat",
    "ProjectSnapshot",
    "ReconcileResult",
    "Snapshot",
    "SourceSnapshot",
    "SweepSnapshot",
    "Telemetry",
    "configure_logging",
]
