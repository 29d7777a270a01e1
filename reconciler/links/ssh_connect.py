"""A connection to another machine, by way of jump hosts if need be, as the operator's ssh_config says.

All that may fail on the way is translated here, to NotSent: nothing was asked of anybody yet. No person is asked for a
password, and no host key is believed that is not known (`known_hosts`), of jump hosts neither.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncssh

from reconciler.core.addresses import SshAddress
from reconciler.core.errors import NotSent
from reconciler.links.dial import Lookup, dial
from reconciler.links.known_hosts import HostKeys

MOST_JUMPS = 8
CLOSE_S = 2.0
SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
SYSTEM_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")

asyncssh.set_log_level(logging.ERROR)  # each failure is told once, as an error of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a machine is reached. What is None is as ssh_config and the account's ~/.ssh say."""

    address: SshAddress
    config: Path | None = None  # alone, instead of the account's and the system's
    known_hosts: Path | None = None
    identity: Path | None = None
    connect_s: float = 30.0
    keepalive_s: float = 15.0  # three of them without an answer end the connection
    lookup: Lookup = socket.getaddrinfo


class Connection:
    """One connection, with those to the jump hosts that carry it."""

    def __init__(self, way: Way, hops: Sequence[asyncssh.SSHClientConnection]) -> None:
        self._way = way
        self._hops = hops

    async def run(self, command: str) -> asyncssh.SSHClientProcess[bytes]:
        """Begin a session there. Raises NotSent when the machine has no room for one."""
        try:
            return await self._hops[-1].create_process(command, encoding=None, request_pty=False, x11_forwarding=False)
        except asyncssh.ChannelOpenError as error:
            message = f"{self._way.address} takes no more sessions: {error.reason}"
            hint = "see MaxSessions in its sshd_config, and the limits of the account there; it is tried again"
            raise NotSent("SessionRefused", message, hint=hint) from None
        except (asyncssh.Error, OSError) as error:
            raise _broken(self._way.address, error) from None

    async def aclose(self) -> None:
        """Close it; the tasks there run on."""
        for hop in reversed(self._hops):
            hop.close()
            try:
                async with asyncio.timeout(CLOSE_S):
                    await hop.wait_closed()
            except (asyncssh.Error, OSError):  # TimeoutError, too
                hop.abort()


async def connect(way: Way) -> Connection:
    """Raises NotSent; its reason and hint say what a person can do."""
    hops: list[asyncssh.SSHClientConnection] = []
    try:
        async with asyncio.timeout(way.connect_s):
            await _reach(way, hops)
    except TimeoutError:
        _abort(hops)
        raise _unreachable(way.address, f"no answer within {way.connect_s:g} s") from None
    except BaseException:
        _abort(hops)
        raise
    return Connection(way, hops)


def _abort(hops: Sequence[asyncssh.SSHClientConnection]) -> None:
    for hop in reversed(hops):
        hop.abort()


async def _reach(way: Way, hops: list[asyncssh.SSHClientConnection]) -> None:
    """Add the connections to the machine's jump hosts, then the one to the machine itself.

    Only the first jump host's own ProxyJump is followed, as ssh does; the others are reached through the one before.
    """
    options = _options(way)
    told = await _told(way, options)
    if not hops and isinstance(told.tunnel, str):
        jumps = [_jump(way, word) for word in told.tunnel.split(",")]
        for jump in jumps:
            if len(hops) >= MOST_JUMPS:
                raise _misconfigured(way, f"ProxyJump leads over more than {MOST_JUMPS} machines")
            if jump.address.host != way.address.host:  # `Host *` with a ProxyJump means the jump host, too
                await _reach(jump, hops)
    keys = HostKeys(_known_hosts(way, told))
    if not told.config.get("HostKeyAlgorithms"):
        options["server_host_key_algs"] = keys.kinds
    hops.append(await _hop(way, options, keys, told, hops[-1] if hops else None))


async def _hop(
    way: Way,
    options: dict[str, Any],
    keys: HostKeys,
    told: asyncssh.SSHClientConnectionOptions,
    via: asyncssh.SSHClientConnection | None,
) -> asyncssh.SSHClientConnection:
    """The connection to one machine, through another one if need be."""

    class Client(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            return keys.refuse(key)

    with _border_of_config(way):
        full = await asyncssh.SSHClientConnectionOptions.construct(
            **options, **_keys(way), known_hosts=keys.trusted, client_factory=Client
        )
    there: socket.socket | None = None
    with _border_of_connections(way.address, keys):
        if via is None and not (told.proxy_command or told.canonicalize_hostname or told.config.get("BindAddress")):
            there = await dial(told.host, told.port, told.family, lookup=way.lookup)
        try:
            return await asyncssh.connect(
                way.address.host, options.get("port", ()), options=full, config=None, tunnel=via, sock=there
            )
        except BaseException:
            if there is not None:
                there.close()
            raise


# ---------------------------------------------------------------------------------------------- configuration


def _jump(way: Way, word: str) -> Way:
    """A word of ProxyJump: [user@]host[:port], or an ssh:// address. Keys for it stand in ssh_config, or are held by
    an agent."""
    user, _, place = word.strip().removeprefix("ssh://").rpartition("@")
    host, _, port = place.rpartition(":") if place.rpartition(":")[2].isdigit() else (place, "", "")
    address = SshAddress(host=host.strip("[]"), user=user or None, port=int(port) if port else None)
    return replace(way, address=address, identity=None)


def _options(way: Way) -> dict[str, Any]:
    """What asyncssh is told besides keys."""
    files = [way.config] if way.config else [Path("~/.ssh/config").expanduser(), SYSTEM_CONFIG]
    options: dict[str, Any] = {
        "config": [str(file) for file in files if file == way.config or os.access(file, os.R_OK)],
        "host": way.address.host,
        "keepalive_interval": way.keepalive_s,
        "login_timeout": way.connect_s,
        "agent_forwarding": False,
    }
    if way.address.user is not None:
        options["username"] = way.address.user
    if way.address.port is not None:
        options["port"] = way.address.port
    return options


def _keys(way: Way) -> dict[str, Any]:
    """Which keys are shown: the one that is named, from its file or by the agent that holds it, else all there are."""
    if way.identity is None:
        return {}
    public = way.identity.with_name(way.identity.name + ".pub")
    named: dict[str, Any] = {"client_keys": [str(way.identity)], "ignore_encrypted": True}
    return named | ({"agent_identities": [str(public)]} if public.is_file() else {"agent_path": None})


async def _told(way: Way, options: dict[str, Any]) -> asyncssh.SSHClientConnectionOptions:
    """What the configuration says; keys are not looked at."""
    with _border_of_config(way):
        told: asyncssh.SSHClientConnectionOptions = await asyncssh.SSHClientConnectionOptions.construct(
            **options, client_keys=None
        )
        return told


def _known_hosts(way: Way, told: asyncssh.SSHClientConnectionOptions) -> Sequence[Path]:
    """The files that count. `none` in ssh_config means no file, thus no key that is known: never that any will do."""
    if way.known_hosts is not None:
        return [way.known_hosts]
    users = told.config.get("UserKnownHostsFile", USER_KNOWN_HOSTS)
    systems = told.config.get("GlobalKnownHostsFile", SYSTEM_KNOWN_HOSTS)
    written = [*_words(users), *_words(systems)]
    paths = [Path(word.replace("%d", str(Path.home()))).expanduser() for word in written]
    return [path for path in paths if path.is_file()] or paths[:1] or [Path(USER_KNOWN_HOSTS[0]).expanduser()]


def _words(value: object) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list | tuple) else []


# ---------------------------------------------------------------------------------------------- the border


@contextmanager
def _border_of_config(way: Way) -> Iterator[None]:
    """What ssh_config and key files may be wrong about."""
    try:
        yield
    except OSError as error:
        raise _misconfigured(way, f"{error.filename or 'a file'}: {error.strerror or error}") from None
    except (ValueError, KeyError, UnicodeError, asyncssh.Error) as error:
        raise _misconfigured(way, str(error)) from None


def _misconfigured(way: Way, why: str) -> NotSent:
    hint = (
        f"see what `ssh -G {shlex.quote(way.address.host)}` makes of it, and the source's `identityFile`, `sshConfig`"
    )
    return NotSent("SshConfigInvalid", f"the way to {way.address} cannot be found: {why}", hint=hint)


@contextmanager
def _border_of_connections(address: SshAddress, keys: HostKeys) -> Iterator[None]:
    """What may happen until a machine is logged in to. Who gives it too little time sees to that himself."""
    try:
        yield
    except asyncssh.Error as error:
        raise _said(address, keys, error) from None
    except socket.gaierror as error:
        message = f"the name {address.host} is not known: {error.strerror}"
        raise NotSent("HostUnknown", message, hint="is it spelt right, and is there a network?") from None
    except TimeoutError:
        raise
    except (ConnectionResetError, BrokenPipeError) as error:
        raise _broken(address, error) from None
    except OSError as error:  # asyncio's own words for it name no cause
        raise _unreachable(address, os.strerror(error.errno) if error.errno else str(error)) from None
    except ValueError as error:  # a key that cannot be used
        raise _denied(address, str(error)) from None


def _said(address: SshAddress, keys: HostKeys, error: asyncssh.Error) -> NotSent:
    """What the other side, or our own of the protocol, has against it."""
    match error:
        case asyncssh.HostKeyNotVerifiable():
            return keys.error(error.reason)
        case asyncssh.PermissionDenied():
            return _denied(address, error.reason)
        case asyncssh.ChannelOpenError():
            return _unreachable(address, f"the jump host says {error.reason}")
        case _:
            return _broken(address, error)


def _denied(address: SshAddress, why: str) -> NotSent:
    port = f"-p {address.port} " if address.port else ""
    user = f"{address.user}@" if address.user else ""
    hint = f"this must work without a question: ssh -o BatchMode=yes {port}{user}{address.host} true"
    return NotSent("AuthenticationFailed", f"{address} lets us not in: {why}", hint=hint)


def _unreachable(address: SshAddress, why: str) -> NotSent:
    hint = "is it on, is sshd running there, and are address and port right? It is tried again"
    return NotSent("HostUnreachable", f"{address} cannot be reached: {why}", hint=hint)


def _broken(address: SshAddress, error: Exception) -> NotSent:
    hint = "a machine that is overloaded or shuts down ends connections so; it is tried again"
    return NotSent(
        "ConnectionBroken", f"the connection to {address} ended: {str(error) or 'without a word'}", hint=hint
    )
