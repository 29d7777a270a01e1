"""What may be asked of folders that are not ours: checkouts and trees of projects. All of it is slow, so side work.

Visitors may ask, too: they look at code where no daemon of theirs rules. Nothing here writes but `stage` and `push`
(see `sync`), into the folder that the request names, and a cache beside the root.
"""

import base64
import binascii
import functools
import json
import os
import select
import signal
import time
from typing import Callable, List

from . import shapes
from .place import Place, write_all
from .shapes import Json, Object, Refusal

OPERATIONS = ("checkout", "tree", "contents", "stage", "push")
PIECE = 1 << 19  # bytes of one answer
TIMEOUT_S = 600.0


def work(place: Place, body: Object) -> Callable[[], Object]:
    """What a side process has to do for a request. Raises Refusal."""
    return functools.partial(within, TIMEOUT_S, _work(place, body))


def within(timeout_s: float, work: Callable[[], Object]) -> Object:
    """The work's answer. Raises Refusal (Busy) when there is none in time, whatever becomes of the work.

    Others' folders lie on others' file servers: who waits for one that hangs cannot even be killed, and is left behind.
    """
    from . import side

    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.closerange(3, write_end)
            os.closerange(write_end + 1, 1024)
            write_all(write_end, json.dumps(side._answer(work)).encode("ascii"))
        finally:
            os._exit(0)
    os.close(write_end)
    heard: List[bytes] = []
    until = time.monotonic() + timeout_s
    while select.select([read_end], [], [], max(0.0, until - time.monotonic()))[0]:
        piece = os.read(read_end, PIECE)
        if not piece:
            break
        heard.append(piece)
    else:
        _end(pid)
        raise Refusal("Busy", "it took longer than %d s" % timeout_s, "does the file system there hang?")
    answer = side.answer(read_end, b"".join(heard))
    if "error" in answer:
        error = shapes.object_of(answer["error"], "an error")
        raise Refusal(str(error["reason"]), str(error["message"]), str(error["hint"]))
    return shapes.object_of(answer["ok"], "an answer")


def _end(pid: int) -> None:
    """The process, and what it has started."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # it has no group of its own yet
        os.kill(pid, signal.SIGKILL)


def _work(place: Place, body: Object) -> Callable[[], Object]:
    path = shapes.text(body, "path")
    op = body.get("op")
    if op == "checkout":
        commit = shapes.text(body, "commit") and shapes.commit_of(body, "commit")
        return functools.partial(_checkout, path, commit, _seals(place, body), shapes.texts(body, "names"))
    if op == "tree":
        return functools.partial(_tree, place, path, shapes.text(body, "hash"), _seals(place, body))
    if op == "contents":
        name, offset = shapes.text(body, "name"), shapes.whole(body, "offset")
        return functools.partial(_contents, path, name, offset)
    push = shapes.name_of(body, "push")
    if op == "stage":
        return functools.partial(_stage, path, push, body)
    return functools.partial(_push, path, push, body)


def _seals(place: Place, body: Object) -> str:
    """Where seals of this project are kept; "" for a question that wants none."""
    if not shapes.text(body, "project"):
        return ""
    return "%s/projects/%s/seals" % (place.path, shapes.name_of(body, "project"))


def _checkout(path: str, commit: str, seals: str, names: List[str]) -> Object:
    from . import checkout, sync, tree

    folder = tree.folder_of(path)
    state = checkout.look(folder, commit, seals)
    state["unfinished"] = sync.unfinished(folder)
    state["seen"] = [tree.seen(folder, name) for name in names]
    return state


def _tree(place: Place, path: str, wanted: str, seals: str) -> Object:
    """All files of a folder, and its hash; if that is the wanted one it is sealed, and the files are left out."""
    from . import seal, sync, tree

    folder = tree.folder_of(path)
    cache = "%s/projects/%s.looked" % (place.path, tree.name_hash(folder))
    known = cache if os.path.isdir(os.path.dirname(cache)) else ""
    content = None
    sha, entries = tree.look(folder, known)
    if seals and sha == wanted:
        content = seal.take(folder, [entry.name for entry in entries])
        sha, entries = tree.look(folder, known)
    state: Object = {"path": folder, "hash": sha, "files": [], "seal": "", "unfinished": sync.unfinished(folder)}
    if content is not None and sha == wanted:
        state["seal"] = seal.put(seals, content, sha)
    elif sha != wanted:
        state["files"] = [entry.told() for entry in entries]
    return state


def _contents(path: str, name: str, offset: int) -> Object:
    """A piece of one file; of a link where it leads."""
    from . import tree

    file = tree.inside(tree.folder_of(path), name)
    if os.path.islink(file):
        data = os.fsencode(os.readlink(file))[offset:]
        return {"data": _text(data), "size": offset + len(data)}
    fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return {"data": _text(os.pread(fd, PIECE, offset)), "size": os.fstat(fd).st_size}
    finally:
        os.close(fd)


def _stage(path: str, push: str, body: Object) -> Object:
    from . import sync, tree

    sha = shapes.text(body, "sha")
    if not tree.is_sha(sha):
        raise Refusal("BadRequest", "not a hash: %.80r" % sha)
    return sync.stage(tree.folder_of(path), push, sha, shapes.whole(body, "offset"), _bytes(shapes.text(body, "data")))


def _push(path: str, push: str, body: Object) -> Object:
    from . import sync, tree

    listed: List[Json] = shapes.list_of(body.get("changes"), "changes")
    changes = [sync.change_of(value, number) for number, value in enumerate(listed)]
    head = shapes.text(body, "head") and shapes.commit_of(body, "head")
    return sync.apply(tree.folder_of(path), push, head, changes)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise Refusal("BadRequest", "not base64") from None
