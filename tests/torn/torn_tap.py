"""The tap between programs and their files (`tap.c`), seen from a test: what they changed, or which call is to fail.

with Tap(folder, roles) as tap:
    subprocess.run([...], env={**os.environ, **tap.environment(notes=True)})
    tap.notes()   # every change below the folder, in order

A role is a part of a command line; processes that have none of these are left alone.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent / "tap.c"
ROLES = 4
STORY = 1 << 16
SHORT = 10_000  # instead of an errno: half of the bytes are written, and no error is told
ECHO = 20_000  # instead of an errno: it is done, and then told that it is done already, as a file server repeats itself
HEAD = struct.Struct(f"@{6 + ROLES}l")
WHAT = HEAD.size + ROLES * STORY
SIZE = WHAT + 512
NO_ROLE = -1


@cache
def library() -> Path:
    """The tap, compiled once a session."""
    folder = Path(tempfile.mkdtemp(prefix="tap-"))
    compiled = folder / "tap.so"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, "-o", str(compiled), str(SOURCE)], check=True)
    return compiled


@dataclass(frozen=True, slots=True)
class Note:
    """One change that was made.

    kind  C created, W written, T truncated to `number`, S synced, L linked, R renamed, U unlinked, M folder made,
          D folder removed, F FIFO made
    number  where the bytes of a W begin, or the length of a T; data: its bytes; other: the new name of an L or R
    """

    kind: str
    inode: int
    number: int
    data: bytes
    path: str

    @property
    def other(self) -> str:
        return self.data.decode()


class Tap:
    """One folder under observation."""

    def __init__(self, below: Path, roles: Sequence[str], *, boot: str = "") -> None:
        """boot: what those that take part are told as the id of this boot; "": the real one."""
        self._below = below.resolve()
        self._roles = roles
        self._folder = Path(tempfile.mkdtemp(prefix="tap-"))
        self._notes = self._folder / "notes"
        self._notes.touch()
        self._boot = self._folder / "boot"
        self._boot.write_text(boot + "\n")
        self._has_boot = bool(boot)
        with (self._folder / "table").open("w+b") as file:
            file.truncate(SIZE)
            self._table = mmap.mmap(file.fileno(), SIZE)
        self.arm()

    def close(self) -> None:
        self._table.close()
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def environment(self, *, notes: bool = False) -> dict[str, str]:
        """What the processes need in their environment; notes: let them note their changes."""
        result = {
            "LD_PRELOAD": str(library()),
            "TAP_BELOW": str(self._below),
            "TAP_ROLES": ";".join(self._roles),
            "TAP_TABLE": str(self._folder / "table"),
        }
        if notes:
            result["TAP_NOTES"] = str(self._notes)
        if self._has_boot:
            result["TAP_BOOT"] = str(self._boot)
        return result

    def arm(self, role: int = NO_ROLE, first: int = 0, last: int = 0, error: int = errno.EIO) -> None:
        """Let the calls number first to last of a role fail from now on; by default none does."""
        HEAD.pack_into(self._table, 0, 0, role, first, last, error, 0, *self.counts)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many calls each role has made so far, those that failed too."""
        return tuple(HEAD.unpack_from(self._table)[6:])

    @property
    def failed(self) -> int:
        """How many calls have failed since `arm`."""
        return int(HEAD.unpack_from(self._table)[5])

    @property
    def what(self) -> str:
        """The first call that failed: `kind errno path`."""
        text: bytes = self._table[WHAT:SIZE]
        return text.split(b"\0", 1)[0].decode(errors="replace").replace(f"{self._below}/", "")

    def story(self, role: int) -> str:
        """The kinds of the calls of a role, in order."""
        begin = HEAD.size + role * STORY
        return self._table[begin : begin + min(self.counts[role], STORY)].decode()

    def notes(self) -> list[Note]:
        """What was noted so far."""
        return parsed(self._notes.read_bytes())


def parsed(text: bytes) -> list[Note]:
    notes = []
    at = 0
    while at < len(text):
        end = text.index(b"\n", at)
        kind, inode, number, length, path = text[at:end].split(b" ", 4)
        at = end + 1 + int(length)
        notes.append(Note(kind.decode(), int(inode), int(number), text[end + 1 : at], os.fsdecode(path)))
    return notes
