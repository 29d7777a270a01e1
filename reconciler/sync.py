"""Two ends of a project: the folder here, and the one on a source. Told apart, pushed to, pulled from.

Both ends are asked the same questions, of agents that only visit: nothing here rules a source, fences a daemon, or
needs one. What is written on the other end was looked at before (`core.syncing`) and is compared once more there, under
a lock; what is pulled becomes a branch or a patch, never a change of a work tree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from reconciler.core.errors import Garbled, Refused
from reconciler.core.model import Commit
from reconciler.core.syncing import push_of_checkout, push_of_tree, to_pull, untracked_configuration, wanted_names
from reconciler.core.trees import (
    NOTHING,
    Checkout,
    Difference,
    Relation,
    State,
    Tree,
    differences,
    edited,
    relation,
)
from reconciler.core.wire import Exchange
from reconciler.core.wire_trees import PIECE, Change, Pushed, checkout, contents, push, stage, tree
from reconciler.links.base import Session
from reconciler.plumbing import Content

FILE_BYTES = 64 << 20  # of one file that is pulled

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How two checkouts stand to each other; without `here`, what is uncommitted there.

    ahead, behind: of the commit there, beside the one here; None: neither end knows both
    """

    here: Checkout | None
    there: Checkout
    relation: Relation
    ahead: int | None
    behind: int | None
    differences: tuple[Difference, ...]

    @property
    def in_sync(self) -> bool:
        """Whether code that runs there is the code here."""
        odd = self.there.operation or self.there.unfinished or self.there.changed_more
        return self.relation is Relation.SAME and not self.differences and not odd


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeComparison:
    """How two folders without git stand to each other. unclear: names of which nobody can tell who has edited them."""

    here: Tree
    there: Tree
    differences: tuple[Difference, ...]
    unclear: tuple[str, ...]

    @property
    def in_sync(self) -> bool:
        return not self.differences and not self.there.unfinished


class End:
    """A folder on a machine, and a session with an agent there."""

    def __init__(self, session: Session, path: str) -> None:
        self._session = session
        self.path = path

    async def checkout(self, commit: Commit | None = None, names: Sequence[str] = ()) -> Checkout:
        """Its state beside a commit, and what lies under these names."""
        return await self._ask(checkout(self.path, commit, names=names))

    async def tree(self) -> Tree:
        """All its files."""
        return await self._ask(tree(self.path))

    async def read(self, name: str, state: State) -> Content:
        """The file, exactly as it was seen. Raises Refused when it has changed since, or is too large."""
        if state == NOTHING:
            return Content(name, "", b"")
        if state.size > FILE_BYTES or state.kind not in ("-", "x", "l"):
            raise Refused("UnfitFile", f"{name} is not a file of at most {FILE_BYTES >> 20} MiB")
        data = b""
        while True:
            piece, size = await self._ask(contents(self.path, name, len(data)))
            data += piece
            if not piece or len(data) >= size or len(data) > FILE_BYTES:
                break
        if sha256(data).hexdigest() != state.sha:
            raise Refused("RemoteChanged", f"{name} changes while it is read", hint="look again")
        return Content(name, state.kind, data)

    async def push(self, name: str, head: Commit | None, changes: Sequence[Change], files: Sequence[Content]) -> Pushed:
        """Bring the contents there, then ask for the changes. Raises what the session raises."""
        for file in files:
            sha = sha256(file.data).hexdigest()
            for offset in range(0, max(1, len(file.data)), PIECE):
                await self._ask(stage(self.path, name, sha, offset, file.data[offset : offset + PIECE]))
        return await self._ask(push(self.path, name, head, changes))

    async def _ask(self, exchange: Exchange[T]) -> T:
        return exchange.parse(await self._session.ask(exchange.request))


# ---------------------------------------------------------------------------------------------- looking


async def compare(here: End | None, there: End) -> Comparison:
    """Two checkouts of one project."""
    theirs = await there.checkout()
    if here is None:
        alone = tuple(Difference(each.name, None, each.what) for each in theirs.changed)
        return Comparison(
            here=None, there=theirs, relation=Relation.UNKNOWN, ahead=None, behind=None, differences=alone
        )
    ours = await here.checkout(theirs.head)
    ahead, behind = ours.behind, ours.ahead
    if ahead is None and ours.head is not None:  # it is not known here; is ours known there?
        theirs = await there.checkout(ours.head)
        ahead, behind = theirs.ahead, theirs.behind
    return Comparison(
        here=ours,
        there=theirs,
        relation=relation(ours.head, theirs.head, ahead=ahead, behind=behind),
        ahead=ahead,
        behind=behind,
        differences=tuple(differences(ours, theirs)),
    )


async def compare_trees(here: End, there: End, base: Base) -> TreeComparison:
    """Two folders without git; who has edited what is told by what both had when they were the same."""
    ours, theirs = await here.tree(), await there.tree()
    alike = {
        name: state.word for name, state in ours.files.items() if theirs.files.get(name, NOTHING).word == state.word
    }
    base.keep(alike)
    found, unclear = edited(base.read(), ours.files, theirs.files)
    return TreeComparison(here=ours, there=theirs, differences=tuple(found), unclear=tuple(unclear))


class Base:
    """What both ends of a project without git had when they were the same, kept in a file here."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> Mapping[str, str]:
        """Words of states by name; nothing when it is not known, or the file is damaged."""
        try:
            found = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        return {str(name): str(word) for name, word in found.items()} if isinstance(found, dict) else {}

    def keep(self, words: Mapping[str, str]) -> None:
        """Both ends have this under these names, from now on; "" is nothing.

        Where it cannot be written it is not known, and nothing that differs is pushed: that is safe, too.
        """
        before = self.read()
        after = {name: word for name, word in {**before, **words}.items() if word}
        if after == before:
            return
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = self._file.with_suffix(".new")
            new.write_text(json.dumps(after))
            new.replace(self._file)


# ---------------------------------------------------------------------------------------------- pushing


async def plan_push(here: End, there: End) -> tuple[Checkout, list[Change]]:
    """What would be written there, and the state here. Raises Refused when it is not safe."""
    found = await compare(here, there)
    assert found.here is not None
    theirs = await there.checkout(found.here.head, wanted_names(found.here))
    standing = relation(found.here.head, theirs.head, ahead=found.ahead, behind=found.behind)
    return found.here, push_of_checkout(found.here, theirs, standing)


async def plan_push_of_tree(here: End, there: End, base: Base) -> tuple[Tree, list[Change]]:
    """The same without git."""
    found = await compare_trees(here, there, base)
    return found.here, push_of_tree(found.here, found.there, base.read())


async def carry_out(
    here: End, there: End, name: str, head: Commit | None, changes: Sequence[Change], states: Mapping[str, State]
) -> Pushed:
    """Push what was planned; without changes only what an earlier push has left undone."""
    files = [await here.read(each.name, states.get(each.name, NOTHING)) for each in changes if each.after]
    return await there.push(name, head, changes, files)


# ---------------------------------------------------------------------------------------------- pulling


async def pulled(there: End) -> tuple[Checkout, list[Content]]:
    """What somebody has edited there: the files as they lie there now, those taken away as well."""
    state = await there.checkout()
    state = replace(state, seen=(await there.checkout(names=untracked_configuration(state))).seen)
    files = [await there.read(name, seen) for name, seen in to_pull(state)]
    _check_names(files)
    return state, files


async def pulled_tree(here: End, there: End, found: TreeComparison) -> tuple[list[Content], list[Content]]:
    """The files that were edited there, or may have been, as they lie here and there."""
    names = [each.name for each in found.differences if each.there is not None]
    before = [await here.read(name, found.here.files.get(name, NOTHING)) for name in names]
    after = [await there.read(name, found.there.files.get(name, NOTHING)) for name in names]
    _check_names(after)
    return before, after


def _check_names(files: Sequence[Content]) -> None:
    """The other end says how its files are called: none may lead anywhere but into the project."""
    for file in files:
        parts = file.name.split("/")
        if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or "\0" in file.name:
            raise Garbled("Garbled", f"not the name of a file: {file.name!r:.200}")
