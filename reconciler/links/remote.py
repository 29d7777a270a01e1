"""The one command line that is run on another machine, and the way through the noise before its answer.

A login shell of any kind (sh, bash, zsh, csh, tcsh, fish) reads it, after whatever its rc files do and print. So it is
a constant with one quoted path and a marker drawn for each session, of characters that mean nothing to any of these
shells. What runs prints the marker and its version; then it reads one line from stdin and executes it: nothing that is
sent there is ever seen by a shell.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from reconciler.links.bundle import OPTIONS, agent_text, starter

PYTHON = "python3"
OLDEST = (3, 6)
NOISE_BYTES = 64 << 20  # what rc files may print; a login that prints more is refused
TAIL_BYTES = 500
READ_BYTES = 1 << 18

# No quote but the double one, no backslash, no line end, and none of $ ` ! : in single quotes that is plain everywhere.
_FIRST = (
    'import os,sys;os.write(1,"".join(["{left}","{right}"," ",sys.version.split()[0],chr(10)]).encode());'
    'exec("".join(iter(lambda:os.read(0,1).decode()or os._exit(69),chr(10))))'
)
_UNQUOTABLE = re.compile(r"['\\!\x00-\x1f\x7f]")


class NoiseWithoutEnd(Exception):
    """The marker has not come within NOISE_BYTES."""


def quoted(word: str) -> str:
    """The word as one argument, for every login shell; `~/` at its beginning is the home folder there.

    The only way in which a word of the operator's gets into a command line. Raises ValueError for a word with quotes,
    backslashes, exclamation marks or control characters, which the shells read differently.
    """
    if not word or _UNQUOTABLE.search(word):
        raise ValueError(
            f"{word!r} cannot be quoted for every shell: no quotes, backslashes, `!` or control characters"
        )
    return f"\"$HOME\"'{word[1:]}'" if word.startswith("~/") else f"'{word}'"


def command_line(python: str, marker: str) -> str:
    """What the login shell is to run. It holds the marker in two halves: a shell that echoes it says nothing."""
    middle = len(marker) // 2
    first = _FIRST.format(left=marker[:middle], right=marker[middle:])
    return " ".join(["exec", quoted(python), *map(quoted, OPTIONS), "-c", f"'{first}'"])


def program() -> bytes:
    """What goes to its stdin, once the marker was heard: the line that is executed, and the agent."""
    return b"exec(" + ascii(starter()).encode("ascii") + b")\n" + agent_text()


class Threshold:
    """What is heard up to the marker's line. `rest`: what was read beyond it."""

    def __init__(self, marker: str) -> None:
        self._marker = marker.encode("ascii")
        self._heard = b""
        self.rest = b""

    @property
    def noise(self) -> str:
        """The end of what rc files have printed so far."""
        return self._heard.partition(self._marker)[0][-TAIL_BYTES:].decode("utf-8", "replace").strip()

    async def version(self, read: Callable[[int], Awaitable[bytes]]) -> str | None:
        """The version of the Python that said the marker; None when the other side ended before that.

        Raises NoiseWithoutEnd, and OSError as `read` does.
        """
        total = 0
        while data := await read(READ_BYTES):
            self._heard += data
            before, marker, after = self._heard.partition(self._marker)
            line, end, rest = after.partition(b"\n")
            if end:
                self.rest = rest
                return line.decode("utf-8", "replace").strip()
            if not marker:
                self._heard = before[-(len(self._marker) + TAIL_BYTES) :]
            total += len(data)
            if total > NOISE_BYTES:
                raise NoiseWithoutEnd
        return None


def is_too_old(version: str) -> bool:
    """Whether a Python of this version cannot run the agent; what is no version is no Python."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST
