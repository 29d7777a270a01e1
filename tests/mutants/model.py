"""What a mutant is: a guard of the protocol taken out or turned round, and the one command that must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one file. `old` must stand there exactly once: code that has moved on is an error, not a catch."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Suite:
    """These must fail, by an assertion: pytest's names, from the root."""

    nodes: tuple[str, ...]

    @property
    def layer(self) -> str:
        return self.nodes[0].split("/")[1]


@dataclass(frozen=True, slots=True)
class Simulator:
    """One of these simulated worlds must break a rule: a promise, or that everything comes to its end."""

    seeds: str

    @property
    def layer(self) -> str:
        return "sim"


Catcher: TypeAlias = Suite | Simulator

WORLDS = Simulator("0:40")  # the first that breaks a rule ends it: of the mutants here one of the first seven did


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One guard, gone.

    name   of the mutant, as in `make repro-NAME`
    guard  what is taken away, in the words of the protocol
    hangs  waiting in vain is how this one shows: a time-out counts
    shows  how it shows when not by an assertion: the name of an error of ours
    bug    it was in our own code once: how it was found
    """

    name: str
    guard: str
    edits: tuple[Edit, ...]
    caught_by: Catcher
    hangs: bool = False
    shows: str = ""
    bug: str = ""


def suite(*nodes: str) -> Suite:
    """By their names below tests/."""
    return Suite(tuple(f"tests/{node}" for node in nodes))


def misfits(mutant: Mutant, root: Path = ROOT) -> list[str]:
    """Why it cannot be applied to the tree at `root`; nothing when it can."""
    found = []
    for edit in mutant.edits:
        path = root / edit.file
        count = path.read_text().count(edit.old) if path.is_file() else 0
        if count != 1:
            found.append(f"{mutant.name}: {edit.file} has {count} times, and not once: {edit.old[:200]!r}")
    return found


def apply(mutant: Mutant, root: Path) -> None:
    """Make the mutant of a copy. Raises ValueError when the code has moved on."""
    if found := misfits(mutant, root):
        raise ValueError("\n".join(found))
    for edit in mutant.edits:
        path = root / edit.file
        path.write_text(path.read_text().replace(edit.old, edit.new))
