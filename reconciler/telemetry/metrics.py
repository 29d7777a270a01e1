"""The Prometheus registry of one daemon: counters of this process, and families made of the newest snapshot.

Labels come from closed sets or the operator's configuration; the one text of a user is the sweep's name, which its
pattern bounds. Every child of a closed set exists from the start at 0, because `increase()` cannot see a series being
born.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from enum import StrEnum

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from reconciler.telemetry.families import OTHER, families
from reconciler.telemetry.snapshot import Snapshot

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_PASS = (0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_FETCH = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_LEAD = (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_LEVELS = ("debug", "info", "warning", "error", "critical")
_OPERATIONS_MAX = 64


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


class Telemetry(Collector):
    """Counts of this process, and the newest snapshot. Safe to scrape from another thread."""

    def __init__(self, *, version: str, revision: str = "") -> None:
        disable_created_metrics()
        self._snapshot = Snapshot()
        self._operations: set[str] = set()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        build = self._gauge(
            "build_info", "Build of the running daemon; the value is always 1.", "version", "revision", "python_version"
        )
        build.labels(version, revision, platform.python_version()).set(1)
        self._logged = self._counter("log_messages", "Log messages written, by level.", "level")
        self._reconciled = self._counter("reconcile", "Passes finished, by kind of key and result.", "kind", "result")
        self._reconcile_s = self._histogram("reconcile_duration_seconds", "Time of one reconcile pass.", _PASS, "kind")
        self._fetched = self._counter("git_fetches", "Git fetches finished, by result.", "result")
        self._fetch_s = self._histogram("git_fetch_duration_seconds", "Latency of git fetches.", _FETCH)
        self._applied_s = self._histogram(
            "commit_to_apply_seconds",
            "Time from the date of a commit to its being applied.",
            _LEAD,
        )
        self._waited_s = self._histogram(
            "workqueue_wait_duration_seconds", "Time a key was ready before its pass.", _FAST
        )
        self._stored_s = self._histogram(
            "store_operation_duration_seconds", "Latency of the state store.", _FAST, "operation"
        )
        self._initialise()
        self._registry.register(self)

    @property
    def registry(self) -> CollectorRegistry:
        """What `/metrics` shows."""
        return self._registry

    def collect(self) -> Iterator[Metric]:
        """The families of the newest snapshot."""
        return families(self._snapshot)

    def publish(self, snapshot: Snapshot) -> None:
        """The next scrape shows this one."""
        self._snapshot = snapshot  # one assignment, and the value is frozen: a scrape sees the old one or the new one

    def reconciled(self, kind: KeyKind, result: ReconcileResult, seconds: float) -> None:
        """A pass has ended."""
        self._reconciled.labels(kind.value, result.value).inc()
        self._reconcile_s.labels(kind.value).observe(seconds)

    def fetched(self, result: FetchResult, seconds: float) -> None:
        """A fetch has ended."""
        self._fetched.labels(result.value).inc()
        self._fetch_s.observe(seconds)

    def applied(self, seconds: float) -> None:
        """Time from the committer's date of a revision to the end of the pass that applied it; below 0 counts as 0."""
        self._applied_s.observe(max(0.0, seconds))

    def waited(self, seconds: float) -> None:
        """How long a key was ready before it was processed: the queue's `waited` callback."""
        self._waited_s.observe(seconds)

    def stored(self, operation: str, seconds: float) -> None:
        """One operation of the store took so long; operation is a name in our code, never a user's text."""
        if operation not in self._operations and len(self._operations) >= _OPERATIONS_MAX:
            operation = OTHER
        self._operations.add(operation)
        self._stored_s.labels(operation).observe(seconds)

    def logged(self, level: str) -> None:
        """A line was logged: the `counted` callback of `configure_logging`."""
        self._logged.labels(level if level in _LEVELS else OTHER).inc()

    def _initialise(self) -> None:
        for level in _LEVELS:
            self._logged.labels(level)
        for fetch in FetchResult:
            self._fetched.labels(fetch.value)
        for kind in KeyKind:
            self._reconcile_s.labels(kind.value)
            for result in ReconcileResult:
                self._reconciled.labels(kind.value, result.value)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"reconciler_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"reconciler_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"reconciler_{name}", text, labels, buckets=buckets, registry=self._registry)
