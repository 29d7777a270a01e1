"""The three pages, asked over real sockets."""

from __future__ import annotations

import contextlib
import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families
from virtual_clock import VirtualClock

from reconciler.core.errors import ReconcilerError
from reconciler.http import server as http_server
from reconciler.http.server import Heartbeat, HttpServer
from reconciler.telemetry import Snapshot, SourceSnapshot, Telemetry


@pytest.fixture
def telemetry():
    return Telemetry(version="1")


@pytest.fixture
def checks():
    return {"loop": True, "store": True, "repository": False}


@pytest.fixture
def server(telemetry, checks):
    server = HttpServer(
        host="127.0.0.1",
        port=0,
        registry=telemetry.registry,
        live=lambda: {"loop": checks["loop"]},
        ready=lambda: {"store": checks["store"], "repository": checks["repository"]},
    )
    yield server
    server.stop()


@pytest.fixture
def port(server):
    return server.start()


def ask(port, path, method="GET"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def raw(port, data, *, timeout=10.0):
    """What comes back for these bytes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        received = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                received += part
        return received


def test_a_scrape_shows_the_newest_snapshot(port, telemetry):
    source = SourceSnapshot(name="laptop", scheduler="process", up=True, slots=4, used=0)
    telemetry.publish(Snapshot(sources=(source,)))

    status, page = ask(port, "/metrics")

    values = {
        (sample.name, sample.labels.get("source")): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    assert (200, 1) == (status, values[("reconciler_source_up", "laptop")])


def test_the_process_itself_is_measured(port):
    _, page = ask(port, "/metrics")

    assert "process_resident_memory_bytes" in page


def test_alive_is_200_and_says_so(port):
    assert (200, "[+] loop\n") == ask(port, "/livez")


def test_a_loop_that_stands_still_is_not_alive(port, checks):
    checks["loop"] = False

    assert (503, "[-] loop\n") == ask(port, "/livez")


def test_not_ready_tells_what_is_missing(port):
    assert (503, "[+] store\n[-] repository\n") == ask(port, "/readyz")


def test_ready_once_all_checks_hold(port, checks):
    checks["repository"] = True

    assert 200 == ask(port, "/readyz")[0]


@pytest.mark.parametrize("path", ["/", "/metrics/", "/..", "/etc/passwd", "/livez/x"])
def test_there_is_nothing_else(port, path):
    assert 404 == ask(port, path)[0]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(port, method):
    assert 405 == ask(port, "/metrics", method)[0]


def test_a_long_path_is_refused(port):
    assert 414 == ask(port, "/" + "x" * 5000)[0]


def test_endless_headers_are_refused(port):
    answer = raw(port, b"GET /livez HTTP/1.0\r\n" + b"X: y\r\n" * 5000)

    assert b" 431 " in answer.split(b"\r\n")[0]


def test_who_says_nothing_is_sent_away(port, monkeypatch):
    monkeypatch.setattr(http_server._Handler, "timeout", 0.2)

    assert b"" == raw(port, b"GET /livez HT")


def test_a_crowd_is_turned_away_and_the_next_one_is_served(port):
    with contextlib.ExitStack() as stack:
        for _ in range(http_server._REQUESTS_MAX):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        assert b"" == raw(port, b"GET /livez HTTP/1.0\r\n\r\n")

    for _ in range(100):
        with contextlib.suppress(OSError):
            if ask(port, "/livez") == (200, "[+] loop\n"):
                return
    pytest.fail("the server did not recover")


def test_a_port_in_use_is_an_error_with_a_hint(server, port, telemetry):
    second = HttpServer(host="127.0.0.1", port=port, registry=telemetry.registry, live=dict, ready=dict)

    with pytest.raises(ReconcilerError) as caught:
        second.start()

    assert ("PortInUse", True) == (caught.value.reason, "http.listen" in caught.value.hint)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no such host", 0), ("127.0.0.1", 70000)])
def test_an_address_that_is_not_ours_is_an_error(telemetry, host, port):
    server = HttpServer(host=host, port=port, registry=telemetry.registry, live=dict, ready=dict)

    with pytest.raises(ReconcilerError) as caught:
        server.start()

    assert "CannotListen" == caught.value.reason


def test_a_stopped_server_listens_no_more_and_the_port_is_free(server, port, telemetry):
    server.stop()
    server.stop()

    again = HttpServer(host="127.0.0.1", port=port, registry=telemetry.registry, live=dict, ready=dict)
    assert port == again.start()
    again.stop()


def test_a_heart_that_beats_is_alive_until_the_limit():
    clock = VirtualClock()
    heart = Heartbeat(clock, limit_s=30)
    clock._elapsed = 30.0
    assert heart.alive()
    clock._elapsed = 30.1
    assert not heart.alive()

    heart.beat()

    assert heart.alive()
