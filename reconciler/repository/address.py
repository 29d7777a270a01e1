"""What a repository's URL and a reference's name may be, and how a URL is told without its secrets.

Refused before git sees them: transports that run programs (`ext::`), unencrypted ones, and everything that git could
take for an option.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.core.errors import RepositoryError
from reconciler.redaction import without_user_info

_SCP = re.compile(r"(?:[A-Za-z0-9_.~+-]+@)?(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):(?!/{2})\S.*")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|[0-9A-Fa-f:.]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_IN_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.lock(?:/|$)|^[-/]|[/.]$|^@$|^$")
_NAME_MAX = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a repository is. url: as git takes it; local: its directory when it is on this machine."""

    url: str
    local: Path | None
    protocol: str  # "file", "ssh" or "https"

    @property
    def shown(self) -> str:
        """The URL as a person may see it."""
        return without_user_info(self.url)


def parse_address(url: str) -> Address:
    """Understand a URL, an scp-like address, or an absolute path. Raises RepositoryError (UnsafeUrl)."""
    if not url or url.startswith("-") or _CONTROL.search(url) or "::" in url.split("/", 1)[0]:
        raise _unsafe(url, "is not the address of a repository")
    if "://" in url:
        return _parse_url(url)
    if url.startswith("/"):
        return Address(url=url, local=Path(url), protocol="file")
    match = _SCP.fullmatch(url)
    if match is None or match["host"].startswith("-"):
        raise _unsafe(url, "is neither a URL nor an absolute path")
    return Address(url=url, local=None, protocol="ssh")


def _parse_url(url: str) -> Address:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise _unsafe(url, f"cannot be read: {error}") from None
    if parts.scheme == "file":
        if host not in ("", "localhost") or not parts.path.startswith("/"):
            raise _unsafe(url, "names no file of this machine")
        path = unquote(parts.path)
        return Address(url=path, local=Path(path), protocol="file")
    if parts.scheme not in ("https", "ssh"):
        raise _unsafe(url, f"uses {parts.scheme}, which is not allowed")
    if _HOST.fullmatch(host) is None or (parts.username or "").startswith("-"):
        raise _unsafe(url, "has no usable host")
    return Address(url=url, local=None, protocol=parts.scheme)


def _unsafe(url: str, why: str) -> RepositoryError:
    shown = without_user_info(url)
    hint = "give an absolute path, https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH"
    return RepositoryError("UnsafeUrl", f"the repository {shown!r} {why}", hint=hint)


def check_name(name: str, what: str = "branch") -> str:
    """The name, if git accepts it for a branch or tag: no option, no range. Raises RepositoryError (UnsafeName)."""
    if len(name) > _NAME_MAX or _BAD_IN_NAME.search(name):
        hint = "see git-check-ref-format(1) for what a name may contain"
        raise RepositoryError("UnsafeName", f"{name[:_NAME_MAX]!r} is no name of a {what}", hint=hint)
    return name


def manifest_path(path: str) -> str:
    """The manifest path in git's spelling, "" for the whole repository. Raises RepositoryError (UnsafeName)."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or ".git" in parts or _CONTROL.search(path):
        hint = "it is relative to the repository's top directory"
        raise RepositoryError("UnsafeName", f"{path!r} is no path inside the repository", hint=hint)
    return "/".join(parts)
