"""/metrics, /livez and /readyz, from threads of their own, so that a scrape never waits for the event loop.

A source that is down is *not* unready; that is what the metrics are for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry

from reconciler.clock import Clock


class Heartbeat:
    """The event loop's last sign of life; `beat` from the loop, `alive` from any thread."""

    def __init__(self, clock: Clock, *, limit_s: float = 30.0) -> None:
        raise NotImplementedError

    def beat(self) -> None:
        raise NotImplementedError

    def alive(self) -> bool:
        """Whether the last beat is at most limit_s old."""
        raise NotImplementedError


class HttpServer:
    """Checks are named booleans: a path answers 200 when all hold, else 503, and lists them either way."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        registry: CollectorRegistry,
        live: Callable[[], Mapping[str, bool]],
        ready: Callable[[], Mapping[str, bool]],
    ) -> None:
        """The callables are called from the server's threads. port 0: any free one."""
        raise NotImplementedError

    def start(self) -> int:
        """Listen and serve in daemon threads; returns the port. Raises UsageError (PortInUse, CannotListen)."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop listening; harmless when not started."""
        raise NotImplementedError
