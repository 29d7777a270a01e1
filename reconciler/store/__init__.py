"""The state of the daemon in one SQLite file: one writer, any number of readers, and the only SQL of the project."""

from reconciler.store.reader import Reader
from reconciler.store.values import (
    Accepted,
    DiffSummary,
    Draft,
    Event,
    EventRow,
    GenerationRow,
    InvalidRow,
    RepositoryRow,
    SourceRow,
    SweepRow,
    Uncollected,
)
from reconciler.store.writer import Store

__all__ = [
    "Accepted",
    "DiffSummary",
    "Draft",
    "Event",
    "EventRow",
    "GenerationRow",
    "InvalidRow",
    "Reader",
    "RepositoryRow",
    "SourceRow",
    "Store",
    "SweepRow",
    "Uncollected",
]
