"""Another machine that is this one: an sshd on a loopback port, and a way to it with more latency.

All of it lies under one folder; nothing of the account's own ~/.ssh is read.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.delay import ADDRESS

START_S = 10.0
CONFIG = """\
ListenAddress {address}
Port {port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/id.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
UseDNS no
"""


@contextlib.contextmanager
def a_machine(folder: Path) -> Iterator[int]:
    """Its port, while it serves. Raises OSError where there is no sshd."""
    folder.mkdir()
    for name in ("host", "id"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    port = _free_port()
    config = folder / "sshd_config"
    config.write_text(CONFIG.format(address=ADDRESS, port=port, folder=folder))
    (folder / "ssh_config").touch()
    (folder / "known_hosts").write_text(_known(folder, port))
    if os.getuid() == 0:
        os.makedirs("/run/sshd", 0o755, exist_ok=True)
    with (folder / "log").open("ab") as log:
        words = [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", str(config)]
        server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def farther(folder: Path, port: int, round_trip_s: float) -> Iterator[int]:
    """The port of the same machine, so much farther away."""
    words = [sys.executable, "-m", "benchmarks.delay", str(port), str(round_trip_s / 2)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdin is not None
        assert proxy.stdout is not None
        try:
            late = int(proxy.stdout.readline())
            with (folder / "known_hosts").open("a") as file:
                file.write(_known(folder, late))
            yield late
        finally:
            proxy.stdin.close()


def source(folder: Path, port: int, *, root: Path, slots: int) -> str:
    """The entry of the configuration."""
    return (
        f"{{scheduler: process, slots: {slots}, host: 'ssh://{getpass.getuser()}@{ADDRESS}:{port}', root: {root}, "
        f"identityFile: {folder}/id, knownHosts: {folder}/known_hosts, sshConfig: {folder}/ssh_config}}"
    )


def _known(folder: Path, port: int) -> str:
    return f"[{ADDRESS}]:{port} {(folder / 'host.pub').read_text()}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((ADDRESS, port), timeout=1.0):
            return
        time.sleep(0.02)
    raise OSError("sshd does not come up")
