"""`transfer: Fetch`: the source asks a real git server itself, which may give little, nothing, or no answer at all."""

from __future__ import annotations

import getpass
import os
import shlex
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from code_lab import MNIST, CodeLab

from reconciler.agent import objects
from reconciler.agent.place import Place
from reconciler.agent.shapes import Refusal
from reconciler.core.dispatch import Hold
from reconciler.core.model import Commit
from reconciler.core.settings import Transfer
from reconciler.project import Brought
from tests.fakes.ssh_lab import ADDRESS, SshHost, SshLab, free_port

SECRET = "ghp-0123456789"
V2 = ("AcceptEnv GIT_PROTOCOL",)


@pytest.fixture
def ssh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshLab]:
    """Git servers over SSH. Without V2 they speak the first protocol, and give only what has a name there."""
    lab = SshLab(folder / "ssh")
    words = ["ssh", "-F", "none", "-i", str(lab.identity), "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    monkeypatch.setenv("GIT_SSH_COMMAND", shlex.join([*words, "-o", f"UserKnownHostsFile={lab.known_hosts}"]))
    yield lab
    lab.close()


@asynccontextmanager
async def fetching(folder: Path, url: str) -> AsyncIterator[CodeLab]:
    lab = CodeLab(folder, transfer=Transfer.FETCH, url=url)
    await lab.source.connect()
    try:
        yield lab
    finally:
        await lab.close()


def address(host: SshHost, repository: Path) -> str:
    return f"ssh://{getpass.getuser()}@{ADDRESS}:{host.port}{repository}"


def branches(lab: CodeLab) -> list[str]:
    """Those that the source has fetched because it was not given a commit by its hash."""
    listed = ["git", "for-each-ref", "--format=%(refname)", "refs/all/heads"]
    store = lab.root / "projects" / MNIST / "objects.git"
    return subprocess.run(listed, cwd=store, check=True, capture_output=True, text=True).stdout.split()


def refused(folder: Path, url: str, protocol: str, *, quiet_s: float = 60.0) -> Refusal:
    """What the agent says that is to fetch from there, and how it looks to a person."""
    place = Place(str(folder / "there"))
    with pytest.raises(Refusal) as caught:
        objects.fetch(place, "mnist", Commit("c" * 40), url, protocol, quiet_s)
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.real("openssh-server")
@pytest.mark.parametrize(("more", "expected"), [((), ["refs/all/heads/main"]), (V2, [])])
async def test_a_server_that_gives_no_commit_by_its_hash_gives_its_branches(
    folder: Path, ssh: SshLab, more: tuple[str, ...], expected: list[str]
) -> None:
    host = ssh.host("git", more=more)
    async with fetching(folder, address(host, folder / "work")) as lab:
        old = lab.commit(train__py="print(1)\n")
        lab.commit(train__py="print(2)\n")

        found = await lab.bring(old)

        assert isinstance(found, Brought), found
        assert "print(1)\n" == (lab.folder_of(old) / "train.py").read_text()
        assert expected == branches(lab)


@pytest.mark.real("openssh-server")
async def test_branches_that_change_places_keep_nothing_from_coming(folder: Path, ssh: SshLab) -> None:
    host = ssh.host("git")
    async with fetching(folder, address(host, folder / "work")) as lab:
        first = lab.commit(train__py="print(1)\n")
        lab.commit(train__py="print(2)\n")
        lab.git("branch", "a")
        assert isinstance(await lab.bring(first), Brought)
        assert ["refs/all/heads/a", "refs/all/heads/main"] == branches(lab)
        lab.git("branch", "-D", "a")
        second = lab.commit(train__py="print(3)\n")
        lab.commit(train__py="print(4)\n")
        lab.git("branch", "a/b")

        found = await lab.bring(second)

        assert isinstance(found, Brought), found
        assert ["refs/all/heads/a/b", "refs/all/heads/main"] == branches(lab)


@pytest.mark.real("openssh-server")
@pytest.mark.parametrize("more", [(), V2])
async def test_a_server_with_a_shallow_history_gives_what_it_has(
    folder: Path, ssh: SshLab, more: tuple[str, ...]
) -> None:
    host = ssh.host("git", more=more)
    async with fetching(folder, address(host, folder / "shallow")) as lab:
        gone, there, tip = (lab.commit(train__py=f"print({number})\n") for number in range(3))
        lab.git("clone", "--quiet", "--depth=2", f"file://{lab.work}", str(folder / "shallow"))

        for commit in (tip, there):
            assert isinstance(found := await lab.bring(commit), Brought), found
        held = await lab.bring(gone)

        assert isinstance(held, Hold)
        assert f"has no commit {gone} in its branches and tags" in held.message


@pytest.mark.real("openssh-server")
async def test_a_commit_that_came_with_its_branch_stays_when_the_branch_goes(folder: Path, ssh: SshLab) -> None:
    host = ssh.host("git")
    async with fetching(folder, address(host, folder / "work")) as lab:
        old = lab.commit(train__py="print(1)\n")
        new = lab.commit(train__py="print(2)\n")
        await lab.bring(old)
        await lab.bring(new)

        tips = objects.have(Place(str(lab.root)), MNIST)["tips"]

        assert isinstance(tips, list)
        assert sorted([old, new]) == sorted(map(str, tips))


@pytest.mark.privileged("CHOWN")
async def test_a_repository_of_another_account_on_the_source_is_read(folder: Path) -> None:
    async with fetching(folder, str(folder / "theirs")) as lab:
        commit = lab.commit(train__py="print(1)\n")
        lab.git("clone", "--quiet", "--bare", str(lab.work), str(folder / "theirs"))
        for path in (folder / "theirs", *(folder / "theirs").rglob("*")):
            os.chown(path, 65534, 65534)

        found = await lab.bring(commit)

        assert isinstance(found, Brought), found


# ------------------------------------------------------------------------------------------------ who gives nothing


def test_a_server_that_is_away_is_told_at_once(folder: Path, ssh: SshLab) -> None:
    began = time.monotonic()

    refusal = refused(folder, f"ssh://me@{ADDRESS}:{free_port()}/x.git", "ssh")

    assert time.monotonic() - began < 10
    assert "Connection refused" in refusal.message
    assert refusal.hint.startswith("can the source reach that host?")


@pytest.mark.real("openssh-server")
def test_a_server_that_lets_us_not_in_asks_nobody(folder: Path, ssh: SshLab) -> None:
    host = ssh.host("git", more=("PasswordAuthentication yes",))
    (ssh.folder / "authorized_keys").write_text("")

    refusal = refused(folder, address(host, folder / "work"), "ssh")

    assert "Permission denied" in refusal.message
    assert refusal.hint.startswith("the account on the source needs an SSH key of its own")


@pytest.mark.real("openssh-server")
def test_a_server_whose_key_is_not_known_is_not_believed(folder: Path, ssh: SshLab) -> None:
    host = ssh.host("git", known=False)

    refusal = refused(folder, address(host, folder / "work"), "ssh")

    assert "Host key verification failed" in refusal.message
    assert "its key must be known there" in refusal.hint


@pytest.mark.real("openssh-server")
def test_a_server_without_this_repository_is_told(folder: Path, ssh: SshLab) -> None:
    refusal = refused(folder, address(ssh.host("git"), folder / "nowhere"), "ssh")

    assert "nowhere' does not appear to be a git repository" in refusal.message
    assert refusal.hint.startswith("the source must find the repository under this address, too")


@pytest.mark.real("openssh-server")
def test_a_server_that_hangs_after_the_login_is_given_up(folder: Path, ssh: SshLab) -> None:
    host = ssh.host("git", more=("ForceCommand exec sleep 600",))
    began = time.monotonic()

    refusal = refused(folder, address(host, folder / "work"), "ssh", quiet_s=2.0)

    assert ("Busy", True) == (refusal.reason, "has heard nothing for 2 s" in refusal.message)
    assert time.monotonic() - began < 20


def test_a_server_that_never_says_a_word_is_given_up(folder: Path, ssh: SshLab) -> None:
    with socket.create_server((ADDRESS, 0)) as silent:
        port = silent.getsockname()[1]
        for protocol in ("ssh", "https"):
            refusal = refused(folder, f"{protocol}://{ADDRESS}:{port}/x.git", protocol, quiet_s=2.0)
            assert "Busy" == refusal.reason


class Closed(BaseHTTPRequestHandler):
    """Wants to know who asks."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def https(folder: Path, handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """A server with a certificate in folder/cert; gives its port."""
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={ADDRESS}"]
    made += ["-addext", f"subjectAltName=IP:{ADDRESS}", "-keyout", f"{folder}/key", "-out", f"{folder}/cert"]
    subprocess.run(["openssl", *made], check=True, capture_output=True)
    server = ThreadingHTTPServer((ADDRESS, 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()


@pytest.mark.real("openssl")
def test_a_server_that_asks_for_a_password_gets_none_and_no_secret_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with https(folder, Closed) as port:
        monkeypatch.setenv("GIT_SSL_CAINFO", f"{folder}/cert")
        for user in ("", f"{SECRET}@"):
            refusal = refused(folder, f"https://{user}{ADDRESS}:{port}/x.git", "https")

            assert refusal.hint.startswith("the account on the source needs")
            assert SECRET not in refusal.message + refusal.hint


@pytest.mark.real("openssl")
def test_a_certificate_that_nobody_vouches_for_is_refused(folder: Path) -> None:
    with https(folder, Closed) as port:
        refusal = refused(folder, f"https://{ADDRESS}:{port}/x.git", "https")

        assert "certificate" in refusal.message


def test_an_address_that_cannot_be_is_told_without_its_secret(folder: Path) -> None:
    refusal = refused(folder, f"https://{SECRET}@host/x\n", "https")

    assert ("BadRequest", False) == (refusal.reason, SECRET in refusal.message)
