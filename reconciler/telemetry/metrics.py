"""The Prometheus registry of one daemon."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry

from reconciler.telemetry.snapshot import Snapshot


class KeyKind(StrEnum):
    """What a reconcile pass was about: the closed set of kinds of key."""

    REPOSITORY = "repository"
    SWEEP = "sweep"
    DISPATCH = "dispatch"
    REQUESTS = "requests"
    SOURCE = "source"


class ReconcileResult(StrEnum):
    SUCCESS = "success"
    ERROR = "error"
    REQUEUE = "requeue"  # not done, and nothing is wrong: look again later


class FetchResult(StrEnum):
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    ERROR = "error"


class Telemetry:
    """Counts of this process, and the newest snapshot. Safe to scrape from another thread."""

    def __init__(self, *, version: str, revision: str = "") -> None:
        raise NotImplementedError

    @property
    def registry(self) -> CollectorRegistry:
        """What `/metrics` shows."""
        raise NotImplementedError

    def publish(self, snapshot: Snapshot) -> None:
        """The next scrape shows this one."""
        raise NotImplementedError

    def reconciled(self, kind: KeyKind, result: ReconcileResult, seconds: float) -> None:
        raise NotImplementedError

    def fetched(self, result: FetchResult, seconds: float) -> None:
        raise NotImplementedError

    def applied(self, seconds: float) -> None:
        """Time from the committer's date of a revision to the end of the pass that applied it; a negative one counts as 0."""
        raise NotImplementedError

    def waited(self, seconds: float) -> None:
        """How long a key was ready before it was processed: the queue's `waited` callback."""
        raise NotImplementedError

    def stored(self, operation: str, seconds: float) -> None:
        """One operation of the store took so long; operation is a name in our code, never a user's text."""
        raise NotImplementedError
