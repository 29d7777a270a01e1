"""Code that lies in somebody's folder, beside what it should be: what differs, named, configuration files first.

A checkout is judged against a commit, a tree (a folder without git) against a hash of all its files. Two folders are
compared by what differs in each, so that it can be told which of the two somebody has edited.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from reconciler.core.model import Commit

CONFIGURATION = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg")
NAMED = 5
TREE_PIN = "tree:"


class What(StrEnum):
    """How a file differs from what it should be."""

    MODIFIED = "modified"
    DELETED = "deleted"
    ADDED = "added"
    MODE = "mode"  # only its right to be executed
    TYPE = "type"  # a file became a link, or the other way round
    CONFLICTED = "conflicted"  # a merge has left it so
    HIDDEN = "hidden"  # git was told to overlook it
    UNTRACKED = "untracked"


class State(NamedTuple):
    """What lies under a name: kind `-` a file, `x` an executable one, `l` a link; "" nothing, all else no file."""

    kind: str = ""
    sha: str = ""  # SHA-256 of the content, of a link of where it leads
    size: int = 0

    @property
    def word(self) -> str:
        """Kind and hash; "" for nothing."""
        return self.kind + self.sha


NOTHING = State()


class Changed(NamedTuple):
    """A tracked file that is not as the commit has it."""

    name: str
    what: What
    staged: bool
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """The state of somebody's git checkout.

    head         None: nothing was ever committed
    branch       "" when none is checked out
    operation    a merge, a rebase … that is under way; "" for none
    ahead        how many commits beyond the one that it was compared with; None: that one is not known there
    changed_more how many differences were not told
    seal         the path of its seal there; "" unless it was clean, at that commit, and a seal was asked for
    unfinished   whether a push was cut off there
    seen         what lies under other names that were asked for
    """

    path: str
    head: Commit | None
    branch: str = ""
    operation: str = ""
    changed: tuple[Changed, ...] = ()
    changed_more: int = 0
    untracked: tuple[str, ...] = ()
    untracked_more: int = 0
    ahead: int | None = None
    behind: int | None = None
    seal: str = ""
    unfinished: bool = False
    seen: Mapping[str, State] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A folder without git: the hash of all its files. They are left out when it is the wanted one."""

    path: str
    hash: str
    files: Mapping[str, State]
    seal: str = ""
    unfinished: bool = False


class Difference(NamedTuple):
    """A file that is not the same in two places; None: there it is as it should be."""

    name: str
    here: What | None
    there: What | None

    @property
    def configuration(self) -> bool:
        return is_configuration(self.name)


def is_configuration(name: str) -> bool:
    """Whether it is the kind of file that people edit on a cluster."""
    return name.lower().endswith(CONFIGURATION)


def ordered(names: Iterable[str]) -> list[str]:
    """Configuration files first, each by name."""
    return sorted(set(names), key=lambda name: (not is_configuration(name), name))


def named(names: Sequence[str], more: int = 0) -> str:
    """The first few names, and how many more there are."""
    rest = max(0, len(names) - NAMED) + more
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest else "")


def pin_of(tree_hash: str) -> Commit:
    """The pin of code without git."""
    return Commit(TREE_PIN + tree_hash)


def hash_of(pin: Commit) -> str:
    """The hash in the pin of code without git. Raises ValueError when it is a commit."""
    if not pin.startswith(TREE_PIN):
        raise ValueError(f"not the pin of a tree: {pin}")
    return pin.removeprefix(TREE_PIN)


def manifest(files: Mapping[str, State]) -> bytes:
    """One line a file, in the order of the names' bytes: what the hash of a tree is taken of."""
    lines = sorted((name.encode("utf-8", "surrogateescape"), state) for name, state in files.items())
    return b"".join(b"%s %s %s\0" % (state.kind.encode(), state.sha.encode(), name) for name, state in lines)


def tree_hash(files: Mapping[str, State]) -> str:
    """The hash of all files."""
    return sha256(manifest(files)).hexdigest()


# ---------------------------------------------------------------------------------------------- one place


def differs_from(checkout: Checkout, pin: Commit) -> str:
    """In which ways the checkout is not clean and at this commit, for a person; "" when it is. Untracked is allowed."""
    parts = []
    if checkout.head != pin:
        parts.append(f"it is at {_commit(checkout.head)}{_distance(checkout)}, not at {pin[:12]}")
    if checkout.unfinished:
        parts.append("a push was cut off there")
    if checkout.operation:
        parts.append(f"a {checkout.operation} is under way")
    by_what: dict[What, list[str]] = {}
    for changed in checkout.changed:
        by_what.setdefault(changed.what, []).append(changed.name)
    told = ordered(changed.name for changed in checkout.changed)
    if told:
        kinds = ", ".join(f"{len(names)} {what.value}" for what, names in sorted(by_what.items()))
        parts.append(f"{kinds}: {named(told, checkout.changed_more)}")
    return "; ".join(parts)


def tree_differs_from(tree: Tree, wanted: Mapping[str, State] | None, pin: Commit) -> str:
    """In which files the tree is not the wanted one, as far as its files are known; "" when it is."""
    if tree.unfinished:
        return "a push was cut off there"
    if pin_of(tree.hash) == pin:
        return ""
    if wanted is None:
        told = f"its files have the hash {tree.hash[:12]}, not {hash_of(pin)[:12]}"
        return f"{told}; `reconciler project diff` names them"
    names = ordered(each.name for each in compared(wanted, tree.files))
    return f"{len(names)} files differ: {named(names)}"


def _commit(head: Commit | None) -> str:
    return "no commit" if head is None else head[:12]


def _distance(checkout: Checkout) -> str:
    if not (checkout.ahead or checkout.behind):
        return ""
    words = [f"{count} {word}" for count, word in ((checkout.ahead, "ahead"), (checkout.behind, "behind")) if count]
    return f" ({', '.join(words)})"


# ---------------------------------------------------------------------------------------------- two places


class Relation(StrEnum):
    """How the commit there stands to the commit here."""

    SAME = "same"
    AHEAD = "ahead"  # there are commits that are not here
    BEHIND = "behind"
    DIVERGED = "diverged"
    UNKNOWN = "unknown"  # neither end knows the other's commit


def relation(here: Commit | None, there: Commit | None, *, ahead: int | None, behind: int | None) -> Relation:
    """ahead, behind: of the commit there beside the one here, as an end tells that knows both; None: none does."""
    if here == there:
        return Relation.SAME
    if ahead is None or behind is None:
        return Relation.UNKNOWN
    if ahead and behind:
        return Relation.DIVERGED
    return Relation.AHEAD if ahead else Relation.BEHIND


def differences(here: Checkout, there: Checkout) -> list[Difference]:
    """Files that somebody has changed here or there; not those that were changed to the same on both sides.

    Meant for two checkouts of one commit; of two commits it tells what is uncommitted on each side.
    """
    ours = {changed.name: changed for changed in here.changed}
    theirs = {changed.name: changed for changed in there.changed}
    found = []
    for name in ordered([*ours, *theirs]):
        one, other = ours.get(name), theirs.get(name)
        alike = one is not None and other is not None and one.state.word == other.state.word
        if not alike or here.head != there.head:
            found.append(Difference(name, one and one.what, other and other.what))
    return found


def compared(here: Mapping[str, State], there: Mapping[str, State]) -> list[Difference]:
    """Files that are not the same in two trees; `there` says how it differs from here."""
    found = []
    for name in ordered([*here, *there]):
        one, other = here.get(name, NOTHING), there.get(name, NOTHING)
        if one.word != other.word:
            found.append(Difference(name, None, _what(one, other)))
    return found


def edited(
    base: Mapping[str, str], here: Mapping[str, State], there: Mapping[str, State]
) -> tuple[list[Difference], list[str]]:
    """Who has edited what since both ends were the same; and the names of which nobody can tell.

    base: what both ends had, by name, as words of states.
    """
    found, unclear = [], []
    for each in compared(here, there):
        one, other = here.get(each.name, NOTHING), there.get(each.name, NOTHING)
        before = base.get(each.name)
        if before is None and NOTHING not in (one, other):
            unclear.append(each.name)
        before = before or ""
        ours = _what_word(before, one) if one.word != before else None
        theirs = _what_word(before, other) if other.word != before else None
        found.append(Difference(each.name, ours, theirs))
    return found, unclear


def _what(one: State, other: State) -> What:
    return _what_word(one.word, other)


def _what_word(before: str, after: State) -> What:
    if not before:
        return What.ADDED
    if not after.word:
        return What.DELETED
    if before[1:] == after.sha and {before[0], after.kind} == {"-", "x"}:
        return What.MODE
    return What.TYPE if "l" in (before[0], after.kind) and before[0] != after.kind else What.MODIFIED
