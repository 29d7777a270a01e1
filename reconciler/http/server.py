"""/metrics, /livez and /readyz, from threads of their own, so that a scrape never waits for the event loop.

A source that is down is *not* unready; that is what the metrics are for. The limits are those of a page that strangers
may reach: few requests at once, each short, read within seconds, and only GET.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from socketserver import TCPServer
from typing import TYPE_CHECKING, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from reconciler.clock import Clock
from reconciler.core.errors import ReconcilerError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_REQUESTS_MAX = 16
_READ_TIMEOUT_S = 5.0
_PATH_MAX = 1024
_LOOK_AGAIN_S = 5.0  # stopping wakes the server; it need not look often whether it is to stop

Checks: TypeAlias = Callable[[], Mapping[str, bool]]
Peer: TypeAlias = "socket.socket | tuple[bytes, socket.socket]"

_log = logging.getLogger(__name__)


class Heartbeat:
    """The event loop's last sign of life; `beat` from the loop, `alive` from any thread."""

    def __init__(self, clock: Clock, *, limit_s: float = 30.0) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._last = clock.elapsed()

    def beat(self) -> None:
        """The loop lives."""
        self._last = self._clock.elapsed()

    def alive(self) -> bool:
        """Whether the last beat is at most limit_s old."""
        return self._clock.elapsed() - self._last <= self._limit_s


class HttpServer:
    """Checks are named booleans: a path answers 200 when all hold, else 503, and lists them either way."""

    def __init__(self, *, host: str, port: int, registry: CollectorRegistry, live: Checks, ready: Checks) -> None:
        """The callables are called from the server's threads. port 0: any free one."""
        self._host = host
        self._port = port
        self._metrics = make_wsgi_app(registry)
        self._checks: Mapping[str, Checks] = {"/livez": live, "/readyz": ready}
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Listen and serve in daemon threads; returns the port. Raises ReconcilerError (PortInUse, CannotListen)."""
        try:
            server = (_Server6 if ":" in self._host else _Server)((self._host, self._port))
        except OSError as error:
            raise _cannot_listen(self._host, self._port, error) from error
        except OverflowError:
            hint = "a port is a number from 0 to 65535"
            raise ReconcilerError("CannotListen", f"{self._port} is no port", hint=hint) from None
        server.set_app(self._answer)
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(_LOOK_AGAIN_S,), name="http", daemon=True)
        self._thread.start()
        return server.server_port

    def stop(self) -> None:
        """Stop listening; harmless when not started."""
        if self._server is None or self._thread is None:
            return
        self._server.wake()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = self._thread = None

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO", ""))
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return _text(start_response, HTTPStatus.METHOD_NOT_ALLOWED, "only GET\n")
        if path == "/metrics":
            page: Iterable[bytes] = self._metrics(environ, start_response)
            return page
        checks = self._checks.get(path)
        if checks is None:
            return _text(start_response, HTTPStatus.NOT_FOUND, "there are /metrics, /livez and /readyz\n")
        return _verdict(start_response, checks())


class _Handler(WSGIRequestHandler):
    """Reads with a timeout, refuses long paths, and leaves the log to others."""

    timeout = _READ_TIMEOUT_S

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if len(self.path) > _PATH_MAX:
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            return False
        return True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Nothing: anybody who can reach the port could fill the log."""


class _Server(ThreadingWSGIServer):
    """A thread a request, and no more than a few at once: those beyond are closed unanswered."""

    request_queue_size = _REQUESTS_MAX

    def __init__(self, address: tuple[str, int]) -> None:
        self._free = threading.BoundedSemaphore(_REQUESTS_MAX)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """As a plain TCP server does: looking our own name up takes long where no name server answers."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def wake(self) -> None:
        """No further connections: the wait for one ends at once."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Peer, client_address: object) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._free.release()
            raise

    def process_request_thread(self, request: Peer, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Peer, client_address: object) -> None:
        """A client that went away, or was too slow, is none of our troubles; anything else is."""
        if not isinstance(sys.exception(), OSError):
            _log.exception("a request failed")


class _Server6(_Server):
    address_family = socket.AF_INET6


def _verdict(start_response: StartResponse, checks: Mapping[str, bool]) -> Iterable[bytes]:
    lines = [f"[{'+' if holds else '-'}] {name}\n" for name, holds in checks.items()]
    status = HTTPStatus.OK if all(checks.values()) else HTTPStatus.SERVICE_UNAVAILABLE
    return _text(start_response, status, "".join(lines))


def _text(start_response: StartResponse, status: HTTPStatus, text: str) -> Iterable[bytes]:
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
    start_response(f"{status.value} {status.phrase}", headers)
    return [text.encode()]


def _cannot_listen(host: str, port: int, error: OSError) -> ReconcilerError:
    if error.errno == errno.EADDRINUSE:
        hint = "set http.listen to another port, or to port 0 for any free one"
        return ReconcilerError("PortInUse", f"{host}:{port} is in use by another program", hint=hint)
    hint = "set http.listen to an address of this machine"
    return ReconcilerError("CannotListen", f"cannot listen on {host}:{port}: {error}", hint=hint)
