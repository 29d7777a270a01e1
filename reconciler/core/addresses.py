"""How a machine is named on which tasks run: `ssh://[user@]host[:port]`, where host may be an alias of ssh_config."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SSH = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._+@-]{0,99})@)?"
    r"(?:\[(?P<ip>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?)\]|(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]{0,252}))"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAddress:
    """What is None is for ssh_config to say."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{f'{self.user}@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"


def parse_ssh_address(text: str) -> SshAddress:
    """Raises ValueError, with words for a person."""
    match = _SSH.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not of the form ssh://user@host:port (user and port may be left out)")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"{port} is no port: they go from 1 to 65535")
    return SshAddress(host=match["ip"] or match["host"], user=match["user"], port=port)
