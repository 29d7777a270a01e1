"""What happened, for people: bounded, the newest are kept."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.model import Instant
from reconciler.store.database import Database
from reconciler.store.values import Event

KEPT = 100_000


def write_events(database: Database, events: Sequence[Event], at: Instant) -> None:
    """Append inside the caller's transaction, and drop the oldest beyond KEPT."""
    if not events:
        return
    database.many(
        "INSERT INTO events (at, sweep, task, attempt, reason, message) VALUES (?, ?, ?, ?, ?, ?)",
        [(at, event.sweep, event.task, event.attempt, event.reason, event.message) for event in events],
    )
    database.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (KEPT,))
