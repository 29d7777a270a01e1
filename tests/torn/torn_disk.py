"""What a disk may hold after the power failed: any of the states that a recorded history of changes allows.

What was synced is there. Of all else any part may be missing: a write, some sectors of it, the length of a file, a name
in a folder. That is less than any file system keeps: what survives here survives on each of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from torn_tap import Note

SECTOR = 512
NEVER = 1 << 60


@dataclass(slots=True)
class Write:
    """Bytes put into a file."""

    at: int
    file: int
    begin: int
    data: bytes
    settled: int = NEVER  # from the sync with this number on it is durable


@dataclass(slots=True)
class Cut:
    """A file's length set."""

    at: int
    file: int
    length: int
    settled: int = NEVER


@dataclass(slots=True)
class Name:
    """Names that changed as one: (folder, name, what it leads to now or None)."""

    at: int
    places: tuple[tuple[int, str, int | None], ...]
    settled: int = NEVER


Change = Write | Cut | Name

# What is there of a change that was not synced: itself, parts of it, or nothing.
Fate = Callable[[Change], Sequence[Change]]


class History:
    """The changes below one folder, from its being empty on."""

    ROOT = 0

    def __init__(self, root: str, notes: Sequence[Note]) -> None:
        self.changes: list[Change] = []
        self.folders: set[int] = {self.ROOT}
        self.pipes: set[int] = set()
        self.length = len(notes)
        self._root = root
        self._paths: dict[str, int] = {root: self.ROOT}
        self._inodes: dict[int, int] = {}
        self._open: dict[int, list[Change]] = {}  # by file or folder: changes that no sync has settled so far
        self._waits: dict[int, set[int]] = {}  # by id of a Name: folders whose sync it still waits for
        for at, note in enumerate(notes):
            self._take(at, note)

    def _take(self, at: int, note: Note) -> None:
        if note.kind in "CMF":
            self._make(at, note)
        elif note.kind in "WT":
            self._alter(at, note)
        elif note.kind == "S":
            self._sync(at, self._known(note))
        elif note.kind == "L":
            self._name(at, [(note.other, self._known(note))])
        elif note.kind == "R":
            self._name(at, [(note.path, None), (note.other, self._known(note))])
            self._move(note.path + "/", note.other + "/")
        else:
            self._name(at, [(note.path, None)])

    def _known(self, note: Note) -> int:
        return self._paths[note.path] if note.path in self._paths else self._inodes[note.inode]

    def _make(self, at: int, note: Note) -> None:
        identity = at + 1  # inode numbers are used again
        self._inodes[note.inode] = identity
        if note.kind == "M":
            self.folders.add(identity)
        if note.kind == "F":
            self.pipes.add(identity)
        self._name(at, [(note.path, identity)])

    def _alter(self, at: int, note: Note) -> None:
        file = self._inodes[note.inode]
        if file in self.pipes:
            return
        change = Write(at, file, note.number, note.data) if note.kind == "W" else Cut(at, file, note.number)
        self.changes.append(change)
        self._open.setdefault(file, []).append(change)

    def _name(self, at: int, places: list[tuple[str, int | None]]) -> None:
        settled = []
        for path, leads_to in places:
            folder, _, name = path.rpartition("/")
            settled.append((self._paths[folder], name, leads_to))
            if leads_to is None:
                self._paths.pop(path, None)
            else:
                self._paths[path] = leads_to
        change = Name(at, tuple(settled))
        self.changes.append(change)
        self._waits[at] = {folder for folder, _, _ in settled}
        for folder in self._waits[at]:
            self._open.setdefault(folder, []).append(change)

    def _move(self, old: str, new: str) -> None:
        """What lies in a folder goes with it."""
        for path in [path for path in self._paths if path.startswith(old)]:
            self._paths[new + path[len(old) :]] = self._paths.pop(path)

    def _sync(self, at: int, what: int) -> None:
        for change in self._open.pop(what, []):
            if isinstance(change, Name):
                self._waits[change.at].discard(what)
                if self._waits[change.at]:
                    continue
            change.settled = at

    def image(self, count: int, fate: Fate) -> Image:
        """The disk when the power failed after the first `count` notes; `fate` decides about all that is unsettled."""
        image = Image(self)
        for change in self.changes:
            if change.at >= count:
                break
            for part in (change,) if change.settled < count else fate(change):
                image.apply(part)
        return image

    def unsettled(self, count: int) -> int:
        """How many changes may be missing after the first `count` notes."""
        return sum(change.at < count <= change.settled for change in self.changes)


@dataclass
class Image:
    """What lies on a disk."""

    history: History
    files: dict[int, bytearray] = field(default_factory=dict)
    names: dict[int, dict[str, int]] = field(default_factory=dict)

    def apply(self, change: Change) -> None:
        if isinstance(change, Name):
            for folder, name, leads_to in change.places:
                entries = self.names.setdefault(folder, {})
                if leads_to is None:
                    entries.pop(name, None)
                else:
                    entries[name] = leads_to
            return
        content = self.files.setdefault(change.file, bytearray())
        if isinstance(change, Cut):
            del content[change.length :]
            content.extend(bytes(change.length - len(content)))
            return
        content.extend(bytes(max(0, change.begin - len(content))))  # a hole
        content[change.begin : change.begin + len(change.data)] = change.data

    def paths(self) -> Iterator[tuple[str, int]]:
        """All that has a way from the root, folders before what is in them."""
        todo = [("", History.ROOT)]
        while todo:
            path, folder = todo.pop()
            for name, leads_to in sorted(self.names.get(folder, {}).items()):
                yield f"{path}{name}", leads_to
                if leads_to in self.history.folders:
                    todo.append((f"{path}{name}/", leads_to))

    def put(self, folder: Path) -> None:
        """Write it below an empty folder; what has two names there has two names here."""
        made: dict[int, str] = {}
        for name, what in self.paths():
            path = f"{folder}/{name}"
            if what in self.history.folders:
                os.mkdir(path, 0o700)
            elif what in self.history.pipes:
                os.mkfifo(path, 0o600)
            elif what in made:
                os.link(made[what], path)
            else:
                made[what] = path
                with open(path, "wb", opener=_private) as file:
                    file.write(self.files.get(what, b""))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


# ------------------------------------------------------------------------------------------ fates


def all_there(change: Change) -> Sequence[Change]:
    """As when a process is killed: nothing that was handed over is lost."""
    return (change,)


def all_gone(change: Change) -> Sequence[Change]:
    """Nothing was written but what was synced."""
    del change
    return ()


def zeros(change: Change) -> Sequence[Change]:
    """Names and lengths are there, the bytes are not: zeros stand for them."""
    return (_blank(change),) if isinstance(change, Write) else (change,)


def empty(change: Change) -> Sequence[Change]:
    """Names are there, and lead to files without the bytes that were not synced."""
    return (change,) if isinstance(change, Name) else ()


def nameless(change: Change) -> Sequence[Change]:
    """The bytes are there, but the names are not."""
    return () if isinstance(change, Name) else (change,)


def last_torn(history: History, count: int, dice: random.Random) -> Fate:
    """All is there but for the last write, of which some is."""
    last = max((change.at for change in history.changes if isinstance(change, Write) and change.at < count), default=0)
    return lambda change: torn(change, dice) if change.at == last else (change,)


def suffix_gone(count: int, dice: random.Random) -> Fate:
    """What was written last is lost, and the first of it is torn."""
    first = dice.randrange(max(0, count - 40), max(1, count))
    return lambda change: () if change.at > first else torn(change, dice) if change.at == first else (change,)


def any_part(dice: random.Random) -> Fate:
    """Each change is there, or not, or in part, whatever their order was."""
    lost = dice.choice([0.1, 0.5, 0.9])

    def fate(change: Change) -> Sequence[Change]:
        drawn = dice.random()
        if drawn < lost:
            return zeros(change) if isinstance(change, Write) and drawn < lost / 5 else ()
        return torn(change, dice) if drawn > 1 - (1 - lost) / 4 else (change,)

    return fate


def torn(change: Change, dice: random.Random) -> Sequence[Change]:
    """Of a write only its first bytes are there, or some sectors; the others hold what they held, zeros or noise."""
    if not isinstance(change, Write):
        return (change,)
    if dice.random() < 0.5:
        return (_part(change, 0, dice.randrange(len(change.data) + 1)),)
    parts: list[Change] = []
    for begin in range(-(change.begin % SECTOR), len(change.data), SECTOR):
        sector = _part(change, max(begin, 0), begin + SECTOR)
        drawn = dice.random()
        if drawn < 0.5:
            parts.append(sector)
        elif drawn < 0.8:
            parts.append(_blank(sector) if drawn < 0.65 else replace(sector, data=dice.randbytes(len(sector.data))))
    return parts


def _part(write: Write, begin: int, end: int) -> Write:
    return replace(write, begin=write.begin + begin, data=write.data[begin:end])


def _blank(write: Write) -> Write:
    return replace(write, data=bytes(len(write.data)))


FATES: dict[str, Callable[[History, int, random.Random], Fate]] = {
    "all there": lambda *_: all_there,
    "all gone": lambda *_: all_gone,
    "zeros": lambda *_: zeros,
    "empty": lambda *_: empty,
    "nameless": lambda *_: nameless,
    "last torn": last_torn,
    "suffix gone": lambda _, count, dice: suffix_gone(count, dice),
    "any part": lambda _, count, dice: any_part(dice),
}
"""What may become of all that was not synced, by name."""
