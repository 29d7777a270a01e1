"""The one way in which git is started: hardened, bounded in time and output, and never asking anybody.

The configuration of the machine and of the account is not read. Ours takes its place as a *global* file instead of `-c`
options alone, because git clears such options for the far end of a local fetch (upload-pack), and `safe.directory` must
hold there: the repository often belongs to another account than the daemon's.

Against hostile repositories: no hooks, no file system monitor, no submodules, no tags that nobody asked for, every
received object checked, and only the one transport that the operator's URL names.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.errors import RepositoryError
from reconciler.repository.address import Address

FETCH_TIMEOUT_S = 120.0
LOCAL_TIMEOUT_S = 30.0
OUTPUT_LIMIT = 1 << 20

# What git, ssh and curl may learn from our environment; all else stays here.
_PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSH_COMMAND",
    "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY",
)  # fmt: skip
_SSH = (
    "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=10"
    " -o ForwardAgent=no -o ClearAllForwardings=yes"
)

_HARDENING: Mapping[str, str] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.symlinks": "false",
    "core.askPass": "/bin/false",
    "credential.helper": "",
    "fetch.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "fetch.writeCommitGraph": "false",
    "gc.auto": "4000",
    "gc.autoDetach": "false",
    "gc.pruneExpire": "30.days.ago",
    "gpg.format": "ssh",
    "gpg.minTrustLevel": "fully",
    "gpg.program": "/bin/false",
    "gpg.x509.program": "/bin/false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "20",
    "log.showSignature": "false",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "safe.directory": "*",  # git opens two repositories only: our mirror, and the one that the operator named
    "submodule.recurse": "false",
    "transfer.bundleURI": "false",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one git ended. code is below 0 when a signal ended it."""

    code: int
    stdout: str
    stderr: str


def settings(address: Address, allowed_signers: str | None) -> dict[str, str]:
    """The configuration with which git serves this one address."""
    chosen = dict(_HARDENING)
    chosen[f"protocol.{address.protocol}.allow"] = "always"
    chosen["gpg.ssh.allowedSignersFile"] = allowed_signers or "/dev/null"
    return chosen


def global_file(chosen: Mapping[str, str]) -> str:
    """The text of the configuration file that replaces the account's."""
    lines = []
    for name, value in chosen.items():
        section, _, key = name.rpartition(".")
        head, _, sub = section.partition(".")
        lines.append(f"[{head} {_quoted(sub)}]" if sub else f"[{head}]")
        lines.append(f"\t{key} = {_quoted(value)}")
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Git:
    """git on one bare repository."""

    def __init__(self, git_dir: Path, *, config_file: Path, settings: Mapping[str, str]) -> None:
        self._git_dir = git_dir
        self._config_file = config_file
        self._settings = settings

    def argv(self, arguments: Sequence[str]) -> list[str]:
        """The whole command line; the options stand here too, so that a mirror's own configuration cannot undo them."""
        options = [item for name, value in self._settings.items() for item in ("-c", f"{name}={value}")]
        return ["git", "--no-replace-objects", f"--git-dir={self._git_dir}", *options, *arguments]

    def environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        ours = {
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self._config_file),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
        }
        return {"GIT_SSH_COMMAND": _SSH, **passed, **ours}

    async def run(
        self, *arguments: str, stdin: str = "", timeout_s: float = LOCAL_TIMEOUT_S, limit: int = OUTPUT_LIMIT
    ) -> Result:
        """Run git to its end; an exit code is no exception.

        Raises RepositoryError (TimedOut, OutputTooLarge, GitMissing).
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *self.argv(arguments),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env=self.environment(),
                start_new_session=True,
            )
        except FileNotFoundError:
            raise RepositoryError("GitMissing", "there is no git on this machine", hint="apt install git") from None
        try:
            async with asyncio.timeout(timeout_s):
                return await _finish(process, stdin.encode(), limit)
        except TimeoutError:
            await _kill_group(process)
            message = f"git {arguments[0]} did not end within {timeout_s:g} s"
            raise RepositoryError("TimedOut", message, hint="is the network or the disk slow?") from None
        except BaseException:
            await _kill_group(process)
            raise


async def _finish(process: Process, stdin: bytes, limit: int) -> Result:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(stdin)
    process.stdin.close()
    stdout, stderr = await asyncio.gather(_bounded(process.stdout, limit), _bounded(process.stderr, limit))
    code = await process.wait()
    return Result(code=code, stdout=stdout, stderr=stderr)


async def _bounded(stream: asyncio.StreamReader, limit: int) -> str:
    parts: list[bytes] = []
    size = 0
    while part := await stream.read(1 << 16):
        size += len(part)
        if size > limit:
            raise RepositoryError("OutputTooLarge", f"git wrote more than {limit} bytes")
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


async def _kill_group(process: Process) -> None:
    """End git and all that it started (ssh, index-pack), also when git has ended and only they hold its pipes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
