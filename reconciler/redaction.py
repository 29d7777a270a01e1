"""Secrets are taken out of every text that leaves the program, at its last moment."""

from __future__ import annotations

import re

HIDDEN = "***"

# A name may go on before its word, and a scheme before its last letters: looking for where they begin, from each letter
# of a long text anew, would take hours.
_USER_INFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/'\"]*@")
_WORDS = "password|passwd|secret|token|credential|api_?key|private_?key|access_?key"
_LIKE_A_SECRET = rf"[A-Za-z0-9_-]*(?:{_WORDS})[A-Za-z0-9_-]*"
_NAMED = re.compile(
    rf"(?i)(?P<name>(?:{_WORDS})[A-Za-z0-9_-]{{0,100}})(?P<is>[\"']?\s*[=:]\s*)(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;&]+)"
)
_NAME = re.compile(rf"(?i){_LIKE_A_SECRET}")
_BEARER = re.compile(r"(?i)(?P<scheme>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}")


def without_user_info(text: str) -> str:
    """The text with `scheme://user:password@` in it reduced to `scheme://`."""
    return _USER_INFO.sub(lambda match: match["scheme"], text)


def redact(text: str) -> str:
    """The text without user information in URLs and without the values of things named like secrets."""
    text = _BEARER.sub(lambda match: match["scheme"] + HIDDEN, without_user_info(text))
    return _NAMED.sub(lambda match: match["name"] + match["is"] + HIDDEN, text)


def is_secret_name(name: str) -> bool:
    """Whether a thing of this name should never be told."""
    return _NAME.fullmatch(name) is not None
