"""The way to a machine: whose keys are believed, who is let in, jump hosts, and what ssh_config says."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.addresses import SshAddress
from reconciler.core.errors import NotSent
from reconciler.core.model import InstanceId
from reconciler.links.ssh import SshLink
from reconciler.links.ssh_connect import Way, connect
from tests.fakes.ssh_lab import ADDRESS, SshLab, an_ssh_lab, free_port, keygen

pytestmark = pytest.mark.real("openssh-server")

ME = getpass.getuser()


@pytest.fixture
def lab() -> Iterator[SshLab]:
    with an_ssh_lab() as lab:
        yield lab


async def greeted(link: SshLink, root: Path) -> bool:
    session = await link.open(instance=InstanceId("aaaa"), root=str(root), slots=1, gpus=())
    await session.aclose()
    return bool(session.hello.python)


async def refused(way: Way) -> NotSent:
    with pytest.raises(NotSent) as caught:
        await connect(way)
    return caught.value


def run_hint(hint: str) -> None:
    """As a person would, who has compared the fingerprint."""
    run("/bin/sh", "-c", hint.rpartition(": ")[2])


def run(*argv: str, **environment: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, env=os.environ | environment)


@contextmanager
def ssh_agent(path: Path) -> Iterator[None]:
    """An agent that listens there."""
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            time.sleep(0.01)
        yield
    finally:
        agent.terminate()
        agent.wait()


# ---------------------------------------------------------------------------------------------- whom we believe


async def test_an_unknown_host_key_is_refused_with_fingerprint_file_and_the_command_that_adds_it(lab, tmp_path):
    host = lab.host("far", known=False)

    error = await refused(lab.way(host))

    name = f"[{ADDRESS}]:{host.port}"
    assert "HostKeyUnknown" == error.reason
    assert f"the host key of {name} is not in {lab.known_hosts}; it shows ED25519 {host.fingerprint}" == error.message
    assert error.hint.endswith(f"echo '{name} {host.key}' >> {lab.known_hosts}")
    run_hint(error.hint)
    assert await greeted(lab.link(host), tmp_path / "root")


async def test_a_changed_host_key_is_refused_with_both_fingerprints_file_and_line(lab):
    host = lab.host("far")
    lab.known_hosts.write_text("# ours\n" + lab.known_hosts.read_text())
    before = host.fingerprint
    host.stop()
    for file in host.folder.glob("host_key*"):
        file.unlink()
    keygen(host.folder / "host_key")
    host.start()

    error = await refused(lab.way(host))

    assert "HostKeyChanged" == error.reason
    assert f"{lab.known_hosts}:2 has ED25519 {before}, and it shows ED25519 {host.fingerprint}" in error.message
    assert f"ssh-keygen -R '[{ADDRESS}]:{host.port}' -f {lab.known_hosts}" in error.hint
    run_hint(error.hint)
    assert "HostKeyUnknown" == (await refused(lab.way(host))).reason


async def test_a_host_that_has_no_key_of_a_known_kind_is_taken_for_a_changed_one(lab):
    host = lab.host("far")
    host.stop()
    for file in host.folder.glob("host_key*"):
        file.unlink()
    keygen(host.folder / "host_key", "ecdsa")
    host.start()

    assert "HostKeyChanged" == (await refused(lab.way(host))).reason


async def test_a_host_with_keys_of_several_kinds_is_asked_for_the_one_that_is_known(lab, tmp_path):
    host = lab.host("far", known=False)
    keygen(host.folder / "other_key", "rsa")
    host.stop()
    host.more = (f"HostKey {host.folder}/other_key",)
    host.start()
    lab.known_hosts.write_text(f"[{ADDRESS}]:{host.port} {(host.folder / 'other_key.pub').read_text()}")

    assert await greeted(lab.link(host), tmp_path / "root")


async def test_a_revoked_host_key_is_refused(lab):
    host = lab.host("far")
    lab.known_hosts.write_text(f"@revoked {host.known_hosts_line}{host.known_hosts_line}")

    error = await refused(lab.way(host))

    assert ("HostKeyRevoked", True) == (error.reason, f"{lab.known_hosts}:1" in error.message)


async def test_nothing_is_said_to_a_host_whose_key_is_not_known(lab):
    host = lab.host("far", known=False)

    await refused(lab.way(host))

    assert not [line for line in host.log.splitlines() if "Accepted" in line or "publickey" in line or ME in line]


@pytest.mark.parametrize(
    "setting", ["UserKnownHostsFile none", "StrictHostKeyChecking no", "UserKnownHostsFile /dev/null"]
)
async def test_ssh_config_cannot_switch_the_check_off(lab, setting):
    host = lab.host("far", known=False)
    lab.config.write_text(f"{setting}\nGlobalKnownHostsFile none\n")

    error = await refused(replace(lab.way(host), known_hosts=None))

    assert "HostKeyUnknown" == error.reason


async def test_hashed_entries_and_lines_that_are_none_are_understood(lab, tmp_path):
    host = lab.host("far")
    run("ssh-keygen", "-H", "-f", str(lab.known_hosts))
    lab.known_hosts.write_text("one\n" + lab.known_hosts.read_text())
    assert ADDRESS not in lab.known_hosts.read_text()

    assert await greeted(lab.link(host), tmp_path / "root")


async def test_a_host_is_believed_by_the_authority_that_signed_its_key(lab, tmp_path):
    keygen(lab.folder / "authority")
    host = lab.host("far", known=False)
    public = f"{host.folder}/host_key.pub"
    run("ssh-keygen", "-q", "-s", f"{lab.folder}/authority", "-I", "far", "-h", "-n", ADDRESS, public)
    host.stop()
    host.more = (f"HostCertificate {host.folder}/host_key-cert.pub",)
    host.start()
    key = (lab.folder / "authority.pub").read_text()
    lab.known_hosts.write_text(f"@cert-authority [{ADDRESS}]:* {key}")

    assert await greeted(lab.link(host), tmp_path / "root")


# ---------------------------------------------------------------------------------------------- who is let in


async def test_a_key_that_is_not_accepted_is_told_with_the_command_to_try(lab):
    host = lab.host("far")
    keygen(lab.folder / "stranger")

    error = await refused(replace(lab.way(host), identity=lab.folder / "stranger"))

    assert "AuthenticationFailed" == error.reason
    assert error.hint.endswith(f"ssh -o BatchMode=yes -p {host.port} {ME}@{ADDRESS} true")


async def test_a_key_file_that_is_not_there_is_named(lab):
    host = lab.host("far")

    error = await refused(replace(lab.way(host), identity=lab.folder / "nowhere"))

    assert ("SshConfigInvalid", True) == (error.reason, f"{lab.folder}/nowhere" in error.message)


async def test_a_key_with_a_passphrase_is_taken_from_the_agent_that_holds_it(lab, tmp_path):
    host = lab.host("far")
    with ssh_agent(lab.folder / "agent"):
        run("ssh-add", "-q", str(lab.identity), SSH_AUTH_SOCK=f"{lab.folder}/agent")
        run("ssh-keygen", "-q", "-p", "-P", "", "-N", "a passphrase", "-f", str(lab.identity))
        assert "AuthenticationFailed" == (await refused(lab.way(host))).reason

        lab.config.write_text(f"IdentityAgent {lab.folder}/agent\n")

        assert await greeted(lab.link(host), tmp_path / "root")


# ---------------------------------------------------------------------------------------------- ssh_config


async def test_an_alias_means_what_ssh_config_says(lab, tmp_path):
    host = lab.host("far")
    lab.config.write_text(
        f"Host box\n  HostName {ADDRESS}\n  Port {host.port}\n  User {ME}\n  IdentityFile {lab.identity}\n"
        f"  UserKnownHostsFile {lab.known_hosts}\n"
    )

    assert await greeted(SshLink(way=Way(address=SshAddress(host="box"), config=lab.config)), tmp_path / "root")


async def test_jump_hosts_are_gone_by_and_each_key_is_checked(lab, tmp_path):
    first, second, host = lab.host("first"), lab.host("second"), lab.host("far")
    lab.config.write_text(
        f"Host one\n  Port {first.port}\nHost two\n  Port {second.port}\n"
        f"Host box\n  Port {host.port}\n  ProxyJump one,{ME}@two\n"
        f"Host *\n  HostName {ADDRESS}\n  User {ME}\n  IdentityFile {lab.identity}\n"
        f"  UserKnownHostsFile {lab.known_hosts}\n"
    )
    link = SshLink(way=Way(address=SshAddress(host="box"), config=lab.config))

    assert await greeted(link, tmp_path / "root")
    assert "Accepted publickey" in first.log
    assert "Accepted publickey" in second.log

    lab.known_hosts.write_text(first.known_hosts_line + host.known_hosts_line)
    error = await refused(link.way)
    assert ("HostKeyUnknown", True) == (error.reason, f"[{ADDRESS}]:{second.port}" in error.message)


async def test_a_jump_host_that_all_hosts_have_is_not_gone_by_to_itself(lab, tmp_path):
    jump, host = lab.host("jump"), lab.host("far")
    lab.config.write_text(
        f"Host jump\n  Port {jump.port}\nHost box\n  Port {host.port}\n"
        f"Host *\n  ProxyJump jump\n  HostName {ADDRESS}\n  User {ME}\n  IdentityFile {lab.identity}\n"
        f"  UserKnownHostsFile {lab.known_hosts}\n"
    )

    assert await greeted(SshLink(way=Way(address=SshAddress(host="box"), config=lab.config)), tmp_path / "root")


async def test_a_proxy_command_is_gone_by_and_ended_with_the_connection(lab, tmp_path):
    jump, host = lab.host("jump"), lab.host("far")
    lab.config.write_text(
        f"Host box\n  Port {host.port}\n  HostName {ADDRESS}\n  User {ME}\n  IdentityFile {lab.identity}\n"
        f"  UserKnownHostsFile {lab.known_hosts}\n"
        f"  ProxyCommand ssh -F none -i {lab.identity} -o BatchMode=yes -o UserKnownHostsFile={lab.known_hosts}"
        f" -p {jump.port} -W %h:%p {ME}@{ADDRESS}\n"
    )

    assert await greeted(SshLink(way=Way(address=SshAddress(host="box"), config=lab.config)), tmp_path / "root")

    async with asyncio.timeout(10):
        while jump.sessions():  # noqa: ASYNC110 - another process ends them
            await asyncio.sleep(0.02)


async def test_a_config_that_cannot_be_read_is_told_with_its_line(lab):
    host = lab.host("far")
    lab.config.write_text("Port twenty\n")

    error = await refused(lab.way(host))

    assert ("SshConfigInvalid", True) == (error.reason, f"{lab.config} line 1" in error.message)


# ---------------------------------------------------------------------------------------------- who cannot be reached


async def test_a_port_on_which_nobody_listens_is_unreachable(lab):
    host = lab.host("far")
    host.stop()

    error = await refused(lab.way(host))

    assert ("HostUnreachable", True) == (error.reason, "refused" in error.message.lower())


async def test_a_name_without_address_is_told(lab):
    error = await refused(replace(lab.way(lab.host("far")), address=SshAddress(host="no.such.host.invalid")))

    assert "HostUnknown" == error.reason


async def test_a_machine_that_never_says_a_word_is_given_up(lab):
    with socket.create_server((ADDRESS, 0)) as silent:
        way = lab.way(lab.host("far"), port=silent.getsockname()[1])

        began = time.monotonic()
        error = await refused(replace(way, connect_s=0.5))

    assert ("HostUnreachable", True) == (error.reason, "no answer within 0.5 s" in error.message)
    assert time.monotonic() - began < 15


async def test_somebody_else_than_sshd_is_told(lab):
    async def say(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    port = free_port()
    async with await asyncio.start_server(say, ADDRESS, port):
        error = await refused(lab.way(lab.host("far"), port=port))

    assert "ConnectionBroken" == error.reason


async def test_an_attempt_to_connect_can_be_ended_at_once(lab):
    with socket.create_server((ADDRESS, 0)) as silent:
        trying = asyncio.ensure_future(connect(lab.way(lab.host("far"), port=silent.getsockname()[1])))
        await asyncio.sleep(0.2)

        began = time.monotonic()
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)

    assert trying.cancelled()
    assert time.monotonic() - began < 10


async def test_a_resolver_that_hangs_keeps_nobody_waiting(lab, tmp_path):
    let_go = threading.Event()

    def hang(*_: object) -> list[tuple[object, ...]]:
        let_go.wait(30)
        return []

    host = lab.host("far")
    stuck = [asyncio.ensure_future(connect(replace(lab.way(host), lookup=hang))) for _ in range(40)]
    try:
        await asyncio.sleep(0.1)
        assert await greeted(lab.link(host), tmp_path / "root")
        error = await refused(replace(lab.way(host), lookup=hang, connect_s=0.2))
        assert "HostUnreachable" == error.reason

        began = time.monotonic()
        for each in stuck:
            each.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()
        assert time.monotonic() - began < 15
    finally:
        let_go.set()


async def test_of_several_addresses_the_first_that_answers_counts(lab, tmp_path):
    host = lab.host("far")

    def several(name: str, port: int, *more: int) -> list[tuple[object, ...]]:
        (here,) = socket.getaddrinfo(name, port, *more)
        return [(*here[:4], (ADDRESS, free_port())), here]

    link = lab.link(host)

    assert await greeted(replace(link, way=replace(link.way, lookup=several)), tmp_path / "root")
