"""Which host keys are believed: those of the operator's known_hosts files, always; there is no switch.

A key that is not there, or another one than is there, ends the connection before anything is said, and the error names
the fingerprint that was seen, the file and line, and the exact command for a person who has compared it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import asyncssh

from reconciler.core.errors import NotSent

FILE_BYTES = 16 << 20
KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
CERTIFIED = tuple(f"{kind}-cert-v01@openssh.com" for kind in KINDS)
PORT = 22
REVOKED = "@revoked"
SHOWN_WITH = {
    "ssh-ed25519": "ED25519",
    "ssh-rsa": "RSA",
    "ecdsa-sha2-nistp256": "ECDSA",
    "ecdsa-sha2-nistp384": "ECDSA",
    "ecdsa-sha2-nistp521": "ECDSA",
}


class _Line(NamedTuple):
    """A line of a known_hosts file that is about one host."""

    file: Path
    number: int
    key: asyncssh.SSHKey
    revoked: bool


class HostKeys:
    """The keys of one host, and the one that it came with if that was not believed.

    `kinds` are the algorithms that it is asked for: those of known keys first, or a host with keys of several kinds
    would seem to have changed; then the others, so that a changed one can show what it has.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._host, self._addr, self._port = "", "", PORT
        self._known = False
        self._shown: asyncssh.SSHKey | None = None
        self.kinds = list(KINDS)

    def trusted(self, host: str, addr: str, port: int | None) -> tuple[list[asyncssh.SSHKey], ...]:
        """As asyncssh asks: keys of the host, of its authorities, and revoked ones."""
        self._host, self._addr, self._port = host, addr, port or PORT
        matches = [_parsed(file).match(host, addr, port) for file in self._files]
        keys, authorities, revoked = ([key for match in matches for key in _keys(match[n])] for n in range(3))
        self._known = bool(keys or authorities)
        certified = [kind for kind in CERTIFIED if authorities]
        known = [kind.decode("ascii") for key in keys for kind in key.sig_algorithms]
        self.kinds[:] = [*certified, *known, *KINDS]  # in place: it is looked at after this, when the address is known
        return keys, authorities, revoked

    def refuse(self, key: asyncssh.SSHKey) -> bool:
        """The host came with this key, and it is not among the trusted ones."""
        self._shown = key
        return False

    def error(self, why: str) -> NotSent:
        """Why the host is not believed, and what to do; `why` are the words of the one who noticed."""
        if "revoked" in why:
            return self._revoked()
        return self._changed(why) if self._known else self._unknown()

    @property
    def _name(self) -> str:
        """As it stands in known_hosts."""
        return self._host if self._port == PORT else f"[{self._host}]:{self._port}"

    def _unknown(self) -> NotSent:
        files = " or ".join(map(str, self._files))
        seen, hint = "", f"ask for its key: {self._scan()}"
        if self._shown is not None:
            seen = f"; it shows {fingerprint(self._shown)}"
            line = f"{self._name} {_exported(self._shown)}"
            hint = (
                f"compare that with what `ssh-keygen -lf` says there of /etc/ssh/ssh_host_*_key.pub; if it is that: "
                f"echo {shlex.quote(line)} >> {shlex.quote(str(self._files[0]))}"
            )
        return NotSent("HostKeyUnknown", f"the host key of {self._name} is not in {files}{seen}", hint=hint)

    def _changed(self, why: str) -> NotSent:
        lines = [line for line in self._lines() if not line.revoked]
        known = ", ".join(f"{line.file}:{line.number} has {fingerprint(line.key)}" for line in lines[:3])
        shown = f"it shows {fingerprint(self._shown)}" if self._shown is not None else why
        file = lines[0].file if lines else self._files[0]
        remove = f"ssh-keygen -R {shlex.quote(self._name)} -f {shlex.quote(str(file))}"
        return NotSent(
            "HostKeyChanged",
            f"the host key of {self._name} has changed: {known or 'another one is known'}, and {shown}",
            hint=f"somebody may stand in between. If that machine has a new key for a reason that you know: {remove}",
        )

    def _revoked(self) -> NotSent:
        where = ", ".join(f"{line.file}:{line.number}" for line in self._lines() if line.revoked)
        message = f"the host key of {self._name} is revoked{': ' if where else ''}{where}"
        return NotSent("HostKeyRevoked", message, hint="ask who runs that machine for its new key")

    def _lines(self) -> Iterator[_Line]:
        port = None if self._port == PORT else self._port
        for file in self._files:
            for number, line in enumerate(_text(file).splitlines(), start=1):
                revoked = line.lstrip().startswith(REVOKED)  # without that word it is matched like any other
                keys, authorities, *_ = _entry(line.lstrip().removeprefix(REVOKED)).match(self._host, self._addr, port)
                for key in dict.fromkeys(_keys((*keys, *authorities))):
                    yield _Line(file, number, key, revoked=revoked)

    def _scan(self) -> str:
        port = "" if self._port == PORT else f"-p {self._port} "
        return f"ssh-keyscan {port}{shlex.quote(self._host)}"


def fingerprint(key: asyncssh.SSHKey) -> str:
    """As ssh-keygen -l prints it: the kind, and the hash."""
    kind = key.get_algorithm()
    return f"{SHOWN_WITH.get(kind, kind)} {key.get_fingerprint()}"


def _exported(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode("ascii").split()[:2])


def _keys(found: Sequence[object]) -> list[asyncssh.SSHKey]:
    """Without certificates of X.509, which OpenSSH does not know."""
    return [key for key in found if isinstance(key, asyncssh.SSHKey)]


def _text(file: Path) -> str:
    """What stands in the file; nothing when it cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _parsed(file: Path) -> asyncssh.SSHKnownHosts:
    """The entries of a file; lines that are none do not hide the others."""
    text = _text(file)
    try:
        return asyncssh.import_known_hosts(text)
    except ValueError:
        return asyncssh.import_known_hosts("\n".join(line for line in text.splitlines() if _is_entry(line)))


def _entry(line: str) -> asyncssh.SSHKnownHosts:
    return asyncssh.import_known_hosts(line if _is_entry(line) else "")


def _is_entry(line: str) -> bool:
    try:
        asyncssh.import_known_hosts(line)
    except ValueError:
        return False
    return True
