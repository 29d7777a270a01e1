"""A login on a real sshd: every login shell, noisy and broken rc files, and the Python over there."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.errors import NotSent, Refused
from reconciler.core.model import InstanceId
from reconciler.links import remote
from tests.fakes.ssh_lab import SshLab, an_ssh_lab

pytestmark = pytest.mark.real("openssh-server")

SHELLS = ["sh", "bash", *(pytest.param(name, marks=pytest.mark.real(name)) for name in ("zsh", "csh", "tcsh", "fish"))]
RC_FILES = {
    "bash": ".bashrc",
    "zsh": ".zshenv",
    "csh": ".cshrc",
    "tcsh": ".tcshrc",
    "fish": ".config/fish/config.fish",
}


@pytest.fixture(scope="module")
def lab() -> Iterator[SshLab]:
    with an_ssh_lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def plain(lab):
    return lab.host("plain")


def with_rc(lab, name: str, text: str, shell: str = "bash"):
    """A new host whose login shell reads this rc file."""
    host = lab.host(name, shell=shutil.which(shell) or shell)
    rc = host.home / RC_FILES[shell]
    rc.parent.mkdir(parents=True, exist_ok=True)
    rc.write_text(text)
    if shell == "bash":  # only the first shell of a login reads it
        host.stop()
        host.more = tuple(line for line in host.more if not line.startswith("ForceCommand"))
        host.start()
    return host


async def greeted(link, root) -> str:
    """The version of the Python that said hello."""
    session = await link.open(instance=InstanceId("aaaa"), root=str(root), slots=1, gpus=())
    await session.aclose()
    return session.hello.python


HERE = ".".join(map(str, sys.version_info[:2]))


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("python", ["python3", 'a folder/p (1)$x`y` #&;*?[z]~%{}"|<>'])
async def test_every_login_shell_reads_the_one_command_alike(lab, tmp_path, shell, python):
    name = f"{shell}-{'plain' if python == 'python3' else 'odd'}"
    host = lab.host(name, shell=shutil.which(shell) or shell)
    if python != "python3":
        wrapper = host.home / python
        wrapper.parent.mkdir(parents=True)
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        wrapper.chmod(0o755)
        python = f"~/{python}"

    assert (await greeted(lab.link(host, python=python), tmp_path / "root")).startswith("3.")


@pytest.mark.parametrize("shell", SHELLS[1:])
async def test_what_rc_files_print_does_no_harm(lab, tmp_path, shell):
    host = with_rc(lab, f"hello-{shell}", 'echo "{\\"id\\": 1, hello"\nsh -c "echo oops >&2"\n', shell)

    assert await greeted(lab.link(host), tmp_path / "root")


async def test_megabytes_of_noise_on_both_streams_are_skipped(lab, tmp_path):
    noise = "head -c 8000000 /dev/urandom\nhead -c 8000000 /dev/zero >&2\nprintf 'no line end'\nset -v\n"
    host = with_rc(lab, "megabytes", noise)

    assert await greeted(lab.link(host), tmp_path / "root")


async def test_noise_without_end_is_refused_in_words(lab, tmp_path):
    host = with_rc(lab, "endless", "cat /dev/zero\n")

    with pytest.raises(NotSent) as caught:
        await greeted(lab.link(host), tmp_path / "root")

    assert "LoginTooNoisy" == caught.value.reason
    assert f"more than {remote.NOISE_BYTES >> 20} MiB" in caught.value.message


async def test_an_rc_file_that_hangs_is_quoted(lab, tmp_path):
    rc = "echo $$ > $HOME/shell; echo Waiting for the licence server; echo still waiting >&2; sleep 100\n"
    host = with_rc(lab, "hangs", rc)

    with pytest.raises(NotSent) as caught:
        await greeted(lab.link(host, login_s=5), tmp_path / "root")

    assert "LoginHung" == caught.value.reason
    assert "did not come to Python within 5 s" in caught.value.message
    assert "Waiting for the licence server" in caught.value.message
    assert "still waiting" in caught.value.message
    shell = Path("/proc", (host.home / "shell").read_text().strip())
    async with asyncio.timeout(10):  # sshd ends it, unless it is root's: for root it only says why it does not
        while shell.exists() and "session signalling" not in host.log:  # noqa: ASYNC110 - a file of /proc tells nobody
            await asyncio.sleep(0.05)
    if shell.exists():
        os.kill(int(shell.name), signal.SIGKILL)


async def test_an_rc_file_that_exits_is_quoted(lab, tmp_path):
    host = with_rc(lab, "exits", "echo your account has expired; exit 3\n")

    with pytest.raises(NotSent) as caught:
        await greeted(lab.link(host), tmp_path / "root")

    assert "LoginEnded" == caught.value.reason
    assert "ended with exit status 3, before Python began" in caught.value.message
    assert "your account has expired" in caught.value.message


@pytest.mark.parametrize("shell", SHELLS)
async def test_no_python_is_told_with_what_was_looked_for(lab, tmp_path, shell):
    host = lab.host(f"bare-{shell}", shell=shutil.which(shell) or shell)

    with pytest.raises(Refused) as caught:
        await greeted(lab.link(host, python="/opt/python3.99"), tmp_path / "root")

    assert "PythonMissing" == caught.value.reason
    assert "/opt/python3.99" in caught.value.message
    assert "`python: " in caught.value.hint


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("read line; printf '%s%s 3.5.9\\n' LEFT RIGHT", "Python 3.5.9"),
        ("echo 'Unknown option: -I' >&2; echo 'usage: python' >&2; exit 2", "an older one"),
    ],
)
async def test_a_python_that_is_too_old_is_told(lab, plain, tmp_path, script, found):
    python = tmp_path / "python"
    if "LEFT" in script:  # says what the real one would say, with another version
        code = 'import re,sys; a,b=re.findall(r\'"([0-9a-f]{20})"\',sys.argv[-1])[:2]; print(a+b+" 3.5.9")'
        script = f'exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"'
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)

    with pytest.raises(Refused) as caught:
        await greeted(lab.link(plain, python=str(python)), tmp_path / "root")

    assert ("PythonTooOld", True) == (caught.value.reason, found in caught.value.message)


async def test_the_home_folder_there_is_meant_by_a_tilde(lab, plain):
    session = await lab.link(plain).open(instance=InstanceId("aaaa"), root="~/roots/r", slots=1, gpus=())

    assert f"{plain.home}/roots/r" == session.hello.root
    await session.aclose()


async def test_a_machine_without_room_for_a_session_says_so(lab, tmp_path):
    host = lab.host("full", more=("MaxSessions 0",))

    with pytest.raises(NotSent) as caught:
        await greeted(lab.link(host), tmp_path / "root")

    assert "SessionRefused" == caught.value.reason


@pytest.mark.parametrize("word", ["it's", "a\\b", "hi!", "a\nb", "", "a\x7fb"])
def test_what_shells_read_differently_is_not_quoted_at_all(word):
    with pytest.raises(ValueError, match="cannot be quoted"):
        remote.quoted(word)


def test_the_command_says_no_marker_by_itself():
    marker = "0123456789abcdef"

    line = remote.command_line("python3", marker)

    assert marker not in line
    assert not set("\\`$!\n") & set(line)
