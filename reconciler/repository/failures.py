"""What git's complaints mean. git has no machine-readable errors; LC_ALL=C keeps these words stable."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.core.errors import RepositoryError
from reconciler.redaction import redact
from reconciler.repository.address import Address
from reconciler.repository.git import Result

_TOLD_MAX = 300
_HEARD_MAX = 8_000
_LINE_MAX = 1_000
_BRANCHES_MAX = 20


@dataclass(frozen=True, slots=True)
class _Meaning:
    """Words of git, ssh or curl that stand for one reason; the message is about {url}."""

    words: tuple[str, ...]
    reason: str
    message: str
    hint: str


# The first match wins, so that causes stand before their consequences.
_MEANINGS = (
    _Meaning(
        (r"Host key verification failed", r"REMOTE HOST IDENTIFICATION HAS CHANGED"),
        "HostKeyRefused",
        "the host key of {url} is not the known one",
        "compare the key with the host's owner, then add it to known_hosts (ssh-keyscan prints it)",
    ),
    _Meaning(
        (
            r"Permission denied \(", r"Authentication failed", r"could not read (Username|Password)",
            r"terminal prompts disabled", r"error: 40[13]",
        ),
        "AuthFailed",
        "{url} refused our credentials",
        "give the daemon's account an SSH key, or for https an entry in ~/.netrc; nobody is ever asked",
    ),
    _Meaning(
        (
            r"Could not resolve host", r"Connection refused", r"[Cc]onnection timed out", r"Operation timed out",
            r"No route to host", r"Network is unreachable", r"Failed to connect", r"Connection (reset|closed)",
            r"Operation too slow", r"unexpected disconnect", r"early EOF", r"\b(SSL|TLS)\b", r"error: 5\d\d",
        ),
        "Unreachable",
        "{url} cannot be reached",
        "what runs goes on; the repository is asked again",
    ),
    _Meaning(
        (r"mismatched algorithms", r"object format"),
        "UnsupportedFormat",
        "{url} has SHA-256 objects, which are not supported",
        "use a repository with SHA-1 objects",
    ),
    _Meaning(
        (
            r"not appear to be a git repository", r"not a git repository", r"No such file or directory",
            r"Repository not found", r"error: 404", r"repository '.*' (does not exist|not found)",
        ),
        "NotFound",
        "there is no git repository at {url}",
        "check repository.url, and that the daemon's account may read it",
    ),
    _Meaning(
        (r"transport '.*' not allowed",),
        "UnsafeUrl",
        "{url} leads to a transport that is not allowed",
        "only https, ssh and local paths are",
    ),
    _Meaning(
        (r"cannot lock ref", r"Unable to create '.*\.lock'"),
        "Locked",
        "another git works on the mirror",
        "it is tried again",
    ),
    _Meaning(
        (
            r"(loose object|packed object|object file) .* is (corrupt|empty)", r"inflate: data stream error",
            r"unable to unpack \S+ header", r"packfile .* (is corrupt|index unavailable)", r"bad object refs/",
            r"Could not read [0-9a-f]{40}",
        ),
        "CorruptMirror",
        "the mirror of {url} is damaged",
        "it is made anew at the next fetch",
    ),
    _Meaning(
        (r"fsck error", r"error in (object|packed object|tree|commit)", r"(index-pack|unpack-objects) failed"),
        "CorruptObjects",
        "{url} sends objects that git's checks refuse",
        "run `git fsck` there",
    ),
)  # fmt: skip


def is_missing_reference(result: Result) -> bool:
    return "couldn't find remote ref" in result.stderr


def explain(result: Result, address: Address) -> RepositoryError:
    """The error that a failed git stands for; an unrecognised one keeps git's own words, without secrets."""
    heard = _heard(result)
    for meaning in _MEANINGS:
        if any(re.search(words, heard) for words in meaning.words):
            message = f"{meaning.message.format(url=address.shown)}: {told(result)}"
            return RepositoryError(meaning.reason, message, hint=meaning.hint)
    return RepositoryError("GitFailed", f"git failed on {address.shown} with exit code {result.code}: {told(result)}")


def branch_not_found(branch: str, branches: Sequence[str], address: Address) -> RepositoryError:
    """Names the branches there are; none at all is an empty repository."""
    if not branches:
        hint = f"commit something to {branch!r} and push it"
        return RepositoryError("EmptyRepository", f"{address.shown} has no commits yet", hint=hint)
    names = ", ".join(branches[:_BRANCHES_MAX]) + (", …" if len(branches) > _BRANCHES_MAX else "")
    near = difflib.get_close_matches(branch, branches, n=1)
    hint = f"did you mean {near[0]}?" if near else "set repository.branch"
    return RepositoryError("BranchNotFound", f"{address.shown} has no branch {branch!r}; there are: {names}", hint=hint)


def told(result: Result) -> str:
    """The last thing that git said that is no mere advice, on one line."""
    lines = [line.strip() for line in redact(_heard(result)).splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"fatal:|error:|ssh:|\S+: Permission denied|Host key", line)] or lines
    words = telling[0] if telling else "it said nothing"
    return "".join(character if character.isprintable() else "?" for character in words)[:_TOLD_MAX]


def _heard(result: Result) -> str:
    """What git said, as far as we listen: the remote end may say very much, in lines without end."""
    said = result.stderr
    if len(said) > 2 * _HEARD_MAX:
        said = f"{said[:_HEARD_MAX]}\n{said[-_HEARD_MAX:]}"
    return "\n".join(line[:_LINE_MAX] for line in said.splitlines())
