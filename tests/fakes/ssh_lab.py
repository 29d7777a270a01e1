"""Real sshd on loopback ports: each host with its own host key, home folder, login shell and limits, without systemd.

    lab = SshLab(folder)
    host = lab.host("gpu-box")          # as many as you like
    link = lab.link(host)               # what a source over it uses
    lab.close()

All of them log in this account; `home` is what $HOME is there, whose rc files the login shell reads. They end by pid.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.core.addresses import SshAddress
from reconciler.links.ssh import SshLink
from reconciler.links.ssh_connect import Way
from tests.fakes.networks import Network

ADDRESS = "127.0.0.1"
START_S = 20.0

CONFIG = """\
ListenAddress {address}
Port {port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {keys}
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
PermitRootLogin prohibit-password
PermitUserEnvironment no
PrintMotd no
UseDNS no
LogLevel VERBOSE
MaxStartups 100:30:200
SetEnv HOME={home}
{more}
"""


@dataclass(slots=True, kw_only=True)
class SshHost:
    """One sshd."""

    name: str
    folder: Path
    port: int
    home: Path
    more: tuple[str, ...] = ()  # further lines of sshd_config
    mounts: tuple[tuple[Path, str], ...] = ()  # (file, over which): seen by this host alone; needs CAP_SYS_ADMIN
    network: Network | None = None  # of its own; closed with it
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return ADDRESS if self.network is None else self.network.address

    @property
    def key(self) -> str:
        """Its public host key: kind and base64."""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        told = subprocess.run(
            ["ssh-keygen", "-lf", str(self.folder / "host_key.pub")], capture_output=True, text=True, check=True
        )
        return told.stdout.split()[1]

    @property
    def known_hosts_line(self) -> str:
        return f"[{self.address}]:{self.port} {self.key}\n"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Returns when it listens."""
        config = self.folder / "sshd_config"
        keys = self.folder.parent / "authorized_keys"
        config.write_text(
            CONFIG.format(
                address=self.address,
                port=self.port,
                folder=self.folder,
                keys=keys,
                home=self.home,
                more="\n".join(self.more),
            )
        )
        argv = [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", str(config)]
        if self.mounts:
            binds = [f"mount --bind {shlex.quote(str(file))} {shlex.quote(over)}" for file, over in self.mounts]
            argv = ["unshare", "-m", "sh", "-c", " && ".join([*binds, shlex.join(["exec", *argv])])]
        if self.network is not None:
            argv = self.network.run(argv)
        if os.getuid() == 0:
            os.makedirs("/run/sshd", 0o755, exist_ok=True)  # where sshd of root locks itself in before a login
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), timeout=1.0):
                return
            time.sleep(0.02)
        raise AssertionError(f"sshd does not come up:\n{self.log}")

    def stop(self) -> None:
        """No new logins; those that are there go on."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def sessions(self) -> list[int]:
        """The processes of sshd that serve a login here: below ours, one for each connection, and its helpers."""
        if self.process is None:
            return []
        above = self.process.pid if self.network is None else next(_below(self.process.pid), self.process.pid)
        return [pid for pid in _below(above) if _name(pid) == "sshd"]

    def cut(self) -> None:
        """kill -9 of every login."""
        for pid in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self.cut()
        self.stop()
        if self.network is not None:
            self.network.close()
            self.network = None


class SshLab:
    """Hosts, and one account with a key, known_hosts and ssh_config of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: list[SshHost] = []
        self.identity = folder / "id"
        self.known_hosts = folder / "known_hosts"
        self.config = folder / "ssh_config"
        folder.mkdir(0o700, parents=True, exist_ok=True)
        keygen(self.identity)
        (folder / "authorized_keys").write_text((folder / "id.pub").read_text())
        self.known_hosts.touch()
        self.config.touch()

    def host(
        self,
        name: str,
        *,
        shell: str = "",
        more: tuple[str, ...] = (),
        mounts: tuple[tuple[Path, str], ...] = (),
        network: Network | None = None,
        known: bool = True,
    ) -> SshHost:
        """A new host, which listens. shell: the login shell, instead of this account's."""
        folder = self.folder / name
        home = folder / "home"
        home.mkdir(parents=True)
        keygen(folder / "host_key")
        if shell:
            more = (*more, f'ForceCommand exec {shell} -c "$SSH_ORIGINAL_COMMAND"')
        host = SshHost(name=name, folder=folder, port=free_port(), home=home, more=more, mounts=mounts, network=network)
        host.start()
        self.hosts.append(host)
        if known:
            self.know(host)
        return host

    def know(self, host: SshHost) -> None:
        with self.known_hosts.open("a") as file:
            file.write(host.known_hosts_line)

    def way(self, host: SshHost, *, port: int = 0) -> Way:
        """port: of a proxy before it."""
        address = SshAddress(host=host.address, user=getpass.getuser(), port=port or host.port)
        return Way(
            address=address,
            config=self.config,
            known_hosts=self.known_hosts,
            identity=self.identity,
            connect_s=20.0,
        )

    def link(self, host: SshHost, *, port: int = 0, **options: object) -> SshLink:
        if port:
            with self.known_hosts.open("a") as file:
                file.write(f"[{ADDRESS}]:{port} {host.key}\n")
        return replace(SshLink(way=self.way(host, port=port)), **options)

    def close(self) -> None:
        for host in self.hosts:
            host.close()


def keygen(path: Path, kind: str = "ed25519") -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "lab", "-f", str(path)], check=True, stdin=subprocess.DEVNULL
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def _below(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from _below(int(child))


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


@contextlib.contextmanager
def an_ssh_lab() -> Iterator[SshLab]:
    """In a folder of its own, which is gone afterwards, as are its machines."""
    folder = Path(tempfile.mkdtemp(prefix="r-ssh-"))
    lab = SshLab(folder)
    yield lab
    lab.close()
    shutil.rmtree(folder, ignore_errors=True)
