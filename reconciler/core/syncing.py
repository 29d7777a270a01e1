"""What may be pushed from a folder here into one on a source: only what was edited here alone, over what was looked at.

Everything that speaks against it is told at once, and then nothing is pushed: there is no half of a safe push.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.core.errors import Refused
from reconciler.core.trees import (
    NOTHING,
    Checkout,
    Difference,
    Relation,
    State,
    Tree,
    What,
    edited,
    is_configuration,
    named,
    ordered,
)
from reconciler.core.wire_trees import Change

FILES_MAX = 1000  # of one push
BYTES_MAX = 256 << 20


def wanted_names(here: Checkout) -> list[str]:
    """The files that have to be looked at on the other end before anything is pushed."""
    return [changed.name for changed in here.changed]


def push_of_checkout(here: Checkout, there: Checkout, relation: Relation) -> list[Change]:
    """What is to be written there. there: with `seen` of the wanted names. Raises Refused when it is not safe."""
    _same_commit(here, there, relation)
    _settled(here, there)
    theirs = {changed.name: changed for changed in there.changed}
    seen = there.seen or {}
    changes, both = [], []
    for changed in here.changed:
        now, edit = seen.get(changed.name, NOTHING), theirs.get(changed.name)
        if now.word == changed.state.word:
            continue
        if edit is not None or (changed.what is What.ADDED and now != NOTHING):
            both.append(changed.name)
        changes.append(Change(name=changed.name, before=now.word, after=changed.state.word))
    if both:
        raise _over_edits(both)
    _small_enough(changes, {changed.name: changed.state for changed in here.changed})
    return changes


def push_of_tree(here: Tree, there: Tree, base: Mapping[str, str]) -> list[Change]:
    """What is to be written there. base: what both ends had when they were the same. Raises Refused."""
    found, unclear = edited(base, here.files, there.files)
    if unclear:
        hint = "look at `reconciler project diff`; then make them the same by hand, once, or remove them there"
        message = f"nobody can tell on which side these were edited: {named(ordered(unclear))}"
        raise Refused("RemoteChanged", message, hint=hint)
    both = [each.name for each in found if each.here is not None and each.there is not None]
    if both:
        raise _over_edits(both)
    changes = [_change(each, here.files, there.files) for each in found if each.here is not None]
    _small_enough(changes, here.files)
    return changes


def to_pull(there: Checkout) -> list[tuple[str, State]]:
    """What somebody has edited there; configuration files that git does not track belong to it."""
    found = [(changed.name, changed.state) for changed in there.changed if changed.what is not What.HIDDEN]
    seen = there.seen or {}
    found += [(name, seen[name]) for name in untracked_configuration(there) if seen.get(name, NOTHING) != NOTHING]
    return sorted(found, key=lambda each: (not is_configuration(each[0]), each[0]))


def untracked_configuration(there: Checkout) -> list[str]:
    """Files that git does not track there, and that look like configuration."""
    return [name for name in there.untracked if is_configuration(name)]


def _change(each: Difference, here: Mapping[str, State], there: Mapping[str, State]) -> Change:
    now, wanted = there.get(each.name, NOTHING), here.get(each.name, NOTHING)
    return Change(name=each.name, before=now.word, after=wanted.word)


def _same_commit(here: Checkout, there: Checkout, relation: Relation) -> None:
    if here.head is None or there.head is None:
        raise Refused("CommitsDiffer", "nothing was ever committed here, or there")
    if relation is not Relation.SAME:
        words = {
            Relation.AHEAD: "it has commits that are not here",
            Relation.BEHIND: "it lacks commits that are here",
            Relation.DIVERGED: "each side has commits that the other lacks",
        }.get(relation, "neither side knows the other's commit")
        message = f"the checkout there is at {there.head[:12]}, and here is {here.head[:12]}: {words}"
        raise Refused(
            "CommitsDiffer", message, hint="bring both to one commit with git; files are pushed over one only"
        )


def _settled(here: Checkout, there: Checkout) -> None:
    for where, each in (("here", here), ("there", there)):
        if each.operation:
            raise Refused("CommitsDiffer", f"a {each.operation} is under way {where}", hint="finish it first")
        if each.changed_more:
            raise Refused("TooManyDifferences", f"there are {each.changed_more} differences more {where} than are read")
    odd = [changed.name for changed in here.changed if changed.what in (What.CONFLICTED, What.HIDDEN)]
    odd += [changed.name for changed in here.changed if changed.state.kind not in ("", "-", "x", "l")]
    if odd:
        raise Refused("UnfitFile", f"this can not be pushed: {named(ordered(odd))}")


def _over_edits(names: Sequence[str]) -> Refused:
    hint = "`reconciler project pull` brings the edits from there into a branch here"
    return Refused("RemoteChanged", f"edited there, too: {named(ordered(names))}", hint=hint)


def _small_enough(changes: Sequence[Change], here: Mapping[str, State]) -> None:
    size = sum(here.get(each.name, NOTHING).size for each in changes)
    if len(changes) > FILES_MAX or size > BYTES_MAX:
        message = (
            f"{len(changes)} files, {size >> 20} MiB: a push takes {FILES_MAX} files, {BYTES_MAX >> 20} MiB at most"
        )
        raise Refused("TooManyDifferences", message, hint="commit, and bring the checkout to that commit with git")
