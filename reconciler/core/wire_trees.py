"""What is asked of folders on a source, and how the answers are read; visitors may ask, too.

    checkout  {path, commit, project, names}  → Checkout; beside a commit ("": none), sealed for a project ("": not)
    tree      {path, hash, project}           → Tree; sealed if it has this hash
    contents  {path, name, offset}            → {"data", "size"}; a piece of one file
    stage     {path, push, sha, offset, data} → {"size"}; a piece of what shall be written
    push      {path, push, head, changes}     → {"finished", "backup", "left"}; all of it, over nothing unseen

All of it raises Garbled on what it does not understand.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.errors import Garbled
from reconciler.core.model import Commit, Json, ProjectName
from reconciler.core.trees import NOTHING, Changed, Checkout, State, Tree, What
from reconciler.core.wire import Exchange, Reply, Request

LOOK_TIMEOUT_S = 660.0  # the agent itself gives git 300 s, and hashes what is new
PIECE_TIMEOUT_S = 120.0
PIECE = 1 << 19  # bytes that travel at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file of a push: what must lie there now, and what shall; words of states."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What became of a push. left: names that were edited in the last moment, and not touched."""

    finished: str  # the name of an earlier push that was cut off, and is whole now
    backup: str
    left: tuple[str, ...]


def checkout(
    path: str, commit: Commit | None = None, project: ProjectName | None = None, names: Sequence[str] = ()
) -> Exchange[Checkout]:
    """The state of a checkout, beside a commit; sealed for the project if it is clean and at that commit.

    names: of files of which it is told what lies there, whether they differ or not.
    """
    body: dict[str, Json] = {"path": path, "commit": commit or "", "project": project or "", "names": list(names)}
    request = Request(op="checkout", body=body, timeout_s=LOOK_TIMEOUT_S)
    return Exchange(request=request, parse=_checkout)


def tree(path: str, wanted: str = "", project: ProjectName | None = None) -> Exchange[Tree]:
    """The files of a folder and their hash; sealed for the project if it is the wanted one."""
    body: dict[str, Json] = {"path": path, "hash": wanted, "project": project or ""}
    return Exchange(request=Request(op="tree", body=body, timeout_s=LOOK_TIMEOUT_S), parse=_tree)


def contents(path: str, name: str, offset: int) -> Exchange[tuple[bytes, int]]:
    """A piece of a file, and the size of the whole."""
    body: dict[str, Json] = {"path": path, "name": name, "offset": offset}
    request = Request(op="contents", body=body, timeout_s=PIECE_TIMEOUT_S)
    return Exchange(request=request, parse=lambda reply: (_bytes(reply.body, "data"), _integer(reply.body, "size")))


def stage(path: str, push: str, sha: str, offset: int, data: bytes) -> Exchange[int]:
    """Keep a piece of what shall be written; how much of it is there now."""
    text = base64.b64encode(data).decode("ascii")
    body: dict[str, Json] = {"path": path, "push": push, "sha": sha, "offset": offset, "data": text}
    request = Request(op="stage", body=body, timeout_s=PIECE_TIMEOUT_S)
    return Exchange(request=request, parse=lambda reply: _integer(reply.body, "size"))


def push(path: str, name: str, head: Commit | None, changes: Sequence[Change]) -> Exchange[Pushed]:
    """Finish what was cut off, and make these changes."""
    told: list[Json] = [{"name": each.name, "before": each.before, "after": each.after} for each in changes]
    body: dict[str, Json] = {"path": path, "push": name, "head": head or "", "changes": told}
    request = Request(op="push", body=body, timeout_s=LOOK_TIMEOUT_S, repeatable=False)
    return Exchange(request=request, parse=_pushed)


def _checkout(reply: Reply) -> Checkout:
    body = reply.body
    head = _text(body, "head")
    return Checkout(
        path=_text(body, "path"),
        head=Commit(head) if head else None,
        branch=_text(body, "branch"),
        operation=_text(body, "operation"),
        changed=tuple(_changed(each) for each in _list(body, "changed")),
        changed_more=_integer(body, "changed_more"),
        untracked=tuple(_string(each) for each in _list(body, "untracked")),
        untracked_more=_integer(body, "untracked_more"),
        ahead=None if body.get("ahead") is None else _integer(body, "ahead"),
        behind=None if body.get("behind") is None else _integer(body, "behind"),
        seal=_text(body, "seal"),
        unfinished=body.get("unfinished") is True,
        seen=dict(_file(each) for each in _list(body, "seen")),
    )


def _changed(value: Json) -> Changed:
    body = _object(value)
    name, state = _file(body)
    try:
        what = What(_text(body, "what"))
    except ValueError:
        raise Garbled("Garbled", f"not a difference: {body!r:.256}") from None
    return Changed(name, what, body.get("staged") is True, state)


def _tree(reply: Reply) -> Tree:
    body = reply.body
    return Tree(
        path=_text(body, "path"),
        hash=_text(body, "hash"),
        files=dict(_file(each) for each in _list(body, "files")),
        seal=_text(body, "seal"),
        unfinished=body.get("unfinished") is True,
    )


def _file(value: Json) -> tuple[str, State]:
    body = _object(value)
    kind = _text(body, "kind")
    state = State(kind, _text(body, "sha"), _integer(body, "size")) if kind else NOTHING
    return _text(body, "name"), state


def _pushed(reply: Reply) -> Pushed:
    left = tuple(_string(each) for each in _list(reply.body, "left"))
    return Pushed(finished=_text(reply.body, "finished"), backup=_text(reply.body, "backup"), left=left)


# ---------------------------------------------------------------------------------------------- reading


def _object(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise Garbled("Garbled", f"not an object: {value!r:.256}")
    return value


def _list(body: Mapping[str, Json], name: str) -> Sequence[Json]:
    value = body.get(name)
    if not isinstance(value, list):
        raise Garbled("Garbled", f"{name} is not a list: {value!r:.256}")
    return value


def _string(value: Json) -> str:
    if not isinstance(value, str):
        raise Garbled("Garbled", f"not a text: {value!r:.256}")
    return value


def _text(body: Mapping[str, Json], name: str) -> str:
    return _string(body.get(name))


def _integer(body: Mapping[str, Json], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Garbled("Garbled", f"{name} is not a count: {value!r:.256}")
    return value


def _bytes(body: Mapping[str, Json], name: str) -> bytes:
    try:
        return base64.b64decode(_text(body, name), validate=True)
    except (ValueError, binascii.Error):
        raise Garbled("Garbled", f"{name} is not base64") from None
