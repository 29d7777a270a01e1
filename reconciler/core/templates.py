"""`$(name)` stands for a value and is replaced once: what a value contains is data and is never read again.

`$$(` is a literal `$(`. Strings are put in as they are, everything else as canonical JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.core.identity import canonical_json
from reconciler.core.model import Json

_REFERENCE = re.compile(r"\$\$\(|\$\(([^)]*)(\)?)")


def text_of(value: Json) -> str:
    """A value as it stands in a command."""
    return value if isinstance(value, str) else canonical_json(value)


def substitute(template: str, texts: Mapping[str, str]) -> str:
    """The template with every reference replaced. Raises ValueError when a name has no text."""
    if "$" not in template:
        return template

    def replacement(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$("
        if match[1] not in texts:
            raise ValueError(f"`$({match[1]})` names nothing that this point has")
        return texts[match[1]]

    return _REFERENCE.sub(replacement, template)


def references(template: str) -> tuple[str, ...]:
    """The names between `$(` and `)`. Raises ValueError when a `)` is missing."""
    names = []
    for match in _REFERENCE.finditer(template):
        if match[1] is not None:
            if not match[2]:
                raise ValueError(f"`{match[0]}` lacks its closing parenthesis")
            names.append(match[1])
    return tuple(names)
