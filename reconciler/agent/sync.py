"""Writing into somebody's folder: only over what the writer has seen, and with a backup of everything.

All of it is staged and written down before the first file changes, each file changes by one rename, and what was there
lies in the backup. Whoever is cut off leaves a journal, by which the next one finishes: a file that is neither as it
was nor as it shall be was edited meanwhile, and is left alone.

    <folder>/.reconciler/    lock  journal.json  staging/<push>/<sha>  ready/<push>/<number>  backups/<push>/<name>

Two names are exchanged in one step where the system can do that (renameat2), so that even an edit in the last moment is
found, and put back.
"""

import ctypes
import errno
import fcntl
import json
import os
import time
from typing import Callable, Iterator, List, NamedTuple, Optional, Tuple

from . import checkout, shapes, tree
from .crash import crashpoint
from .place import make_folder, unlink, write_all
from .shapes import Json, Object, Refusal

OURS = ".reconciler"
LEFT_S = 86400.0  # what was staged and never used goes after a day
KEPT = 20  # backups, and all that are younger than
KEPT_S = 90 * 86400.0
NAMED = 5
LINK_BYTES = 4096

Swap = Callable[[str, str], bool]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class Change(NamedTuple):
    """One file: what must lie there now (kind and hash, "" for nothing), and what shall."""

    name: str
    before: str
    after: str
    number: int

    @property
    def sha(self) -> str:
        return self.after[1:]


def change_of(value: Json, number: int) -> Change:
    """Raises Refusal."""
    body = shapes.object_of(value, "a change")
    name = shapes.text(body, "name")
    change = Change(name, shapes.text(body, "before"), shapes.text(body, "after"), number)
    if name.split("/")[0] in (OURS, ".git") or change.before == change.after:
        raise Refusal("BadRequest", "not a change: %.200r" % (value,))
    for state in (change.before, change.after):
        if state and not (state[0] in "-xl" and tree.is_sha(state[1:])):
            raise Refusal("BadRequest", "not the state of a file: %.200r" % state)
    return change


def stage(folder: str, push: str, sha: str, offset: int, data: bytes) -> Object:
    """Keep a piece of what shall be put in place. Raises OSError."""
    _workshop(folder)
    _forget_old(folder)
    staging = "%s/%s/staging/%s" % (folder, OURS, push)
    os.makedirs(staging, 0o700, exist_ok=True)
    fd = os.open(staging + "/" + sha, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.lseek(fd, offset, os.SEEK_SET)
        write_all(fd, data)
        return {"size": os.fstat(fd).st_size}
    finally:
        os.close(fd)


def apply(folder: str, push: str, head: str, changes: List[Change], swap: Optional[Swap] = None) -> Object:
    """Finish what an earlier push has begun, then make these changes, all or none of them. Raises Refusal, OSError.

    head: the commit that the checkout must be at; "" where there is no git.
    swap: exchanges two names in one step, and says whether it could.
    """
    _workshop(folder)
    swap = swap or exchange
    with _Locked(folder):
        finished = _finish(folder, swap)
        if not changes:
            return {"finished": finished, "backup": "", "left": []}
        _check(folder, push, head, changes)
        _make_ready(folder, push, changes)
        _write_journal(folder, push, changes)
        crashpoint("push.begun")
        return {"finished": finished, "backup": _backup(folder, push), "left": _roll(folder, push, changes, swap)}


def unfinished(folder: str) -> bool:
    """Whether a push was cut off here."""
    return os.path.exists("%s/%s/journal.json" % (folder, OURS))


# ---------------------------------------------------------------------------------------------- before


def _check(folder: str, push: str, head: str, changes: List[Change]) -> None:
    """Whether everything is as whoever asks has seen it, and all that is to come is here."""
    if head:
        state = checkout.look(folder, head, "")
        if state["head"] != head or state["operation"]:
            words = str(state["operation"]) or "at %.12s" % state["head"]
            raise Refusal("RemoteChanged", "%s is not at %.12s any more, but %s" % (folder, head, words))
    moved = [change.name for change in changes if _state(folder, change.name) != change.before]
    if moved:
        raise Refusal("RemoteChanged", "changed there since it was looked at: %s" % _named(moved))
    for sha in {change.sha for change in changes if change.after}:
        try:
            whole = tree.file_hash("%s/%s/staging/%s/%s" % (folder, OURS, push, sha))[0] == sha
        except OSError:
            whole = False
        if not whole:
            raise Refusal("PushIncomplete", "what was to be written did not arrive whole")


def _make_ready(folder: str, push: str, changes: List[Change]) -> None:
    """Each file as it shall be, under a number, on the disk."""
    ready = "%s/%s/ready/%s" % (folder, OURS, push)
    os.makedirs(ready, 0o700, exist_ok=True)
    os.makedirs(_backup(folder, push), 0o700, exist_ok=True)
    for change in changes:
        path = "%s/%d" % (ready, change.number)
        unlink(path)
        if not change.after:
            continue
        with open("%s/%s/staging/%s/%s" % (folder, OURS, push, change.sha), "rb") as source:
            if change.after[0] == "l":
                os.symlink(os.fsdecode(source.read(LINK_BYTES)), path)
                continue
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                for piece in iter(lambda: source.read(tree.PIECE), b""):
                    write_all(fd, piece)
                os.fchmod(fd, _mode(folder, change, os.fstat(fd).st_mode))
                os.fsync(fd)
            finally:
                os.close(fd)
    _sync(ready)


def _mode(folder: str, change: Change, usual: int) -> int:
    """The rights that the file had, or those of a new one; executable as it shall be."""
    mode = usual
    if change.before[:1] in ("-", "x"):
        mode = os.lstat(folder + "/" + change.name).st_mode
    mode &= 0o777
    return mode | (mode & 0o444) >> 2 if change.after[0] == "x" else mode & ~0o111


def _write_journal(folder: str, push: str, changes: List[Change]) -> None:
    path = "%s/%s/journal.json" % (folder, OURS)
    told = [{"name": each.name, "before": each.before, "after": each.after} for each in changes]
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(fd, json.dumps({"push": push, "changes": told}).encode("ascii"))
        os.fsync(fd)
    finally:
        os.close(fd)
    crashpoint("push.written")
    os.rename(path + ".new", path)
    _sync(os.path.dirname(path))


# ---------------------------------------------------------------------------------------------- from the journal on


def _finish(folder: str, swap: Swap) -> str:
    """What an earlier push has left half done; returns its name, "" if there was none."""
    path = "%s/%s/journal.json" % (folder, OURS)
    try:
        with open(path, encoding="ascii") as file:
            journal = shapes.object_of(json.load(file), "a journal")
    except FileNotFoundError:
        return ""
    except ValueError:
        raise Refusal("RemoteChanged", "%s is no journal" % path, "look at the files there, then remove it") from None
    push = shapes.name_of(journal, "push")
    listed = shapes.list_of(journal.get("changes"), "changes")
    _roll(folder, push, [change_of(value, number) for number, value in enumerate(listed)], swap)
    return push


def _roll(folder: str, push: str, changes: List[Change], swap: Swap) -> List[Json]:
    """Put everything in place that is not yet; returns the names that were edited meanwhile, and are left alone."""
    left: List[Json] = [change.name for change in changes if not _put(folder, push, change, swap)]
    os.sync()
    crashpoint("push.put")
    backup = _backup(folder, push)
    os.rename("%s/%s/journal.json" % (folder, OURS), backup + "/journal.json")
    crashpoint("push.done")
    _clear(folder, push)
    _forget_backups(folder)
    return left


def _put(folder: str, push: str, change: Change, swap: Swap) -> bool:
    """One file; False when it is neither as it was nor as it shall be."""
    ready = "%s/%s/ready/%s/%d" % (folder, OURS, push, change.number)
    kept = "%s/%s" % (_backup(folder, push), change.name)
    path = tree.inside(folder, change.name)
    now = _state(folder, change.name)
    os.makedirs(os.path.dirname(kept), 0o700, exist_ok=True)
    if now == change.after:
        return _tidy(ready, kept, change)
    if now != change.before:
        return False
    if not change.after:
        os.rename(path, kept)
        crashpoint("push.removed")
        return True
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return False
    if not change.before:
        return _put_new(ready, path)
    return _replace(ready, path, kept, change, swap)


def _tidy(ready: str, kept: str, change: Change) -> bool:
    """It is in place. What it has replaced may still lie where it was ready."""
    if change.before and change.after and _state(*os.path.split(ready)) == change.before:
        os.rename(ready, kept)
        crashpoint("push.tidied")
    return True


def _put_new(ready: str, path: str) -> bool:
    """Never over what somebody else has made a moment ago."""
    if os.path.islink(ready):
        try:
            os.symlink(os.readlink(ready), path)
        except FileExistsError:
            return False
        return True
    try:
        os.link(ready, path)
    except FileExistsError:
        return False
    crashpoint("push.added")
    return True


def _replace(ready: str, path: str, kept: str, change: Change, swap: Swap) -> bool:
    if not swap(ready, path):
        _copy(path, kept)
        if _state(*os.path.split(kept)) != change.before:
            return False
        os.rename(ready, path)
        crashpoint("push.replaced")
        return True
    crashpoint("push.exchanged")
    if _state(*os.path.split(ready)) == change.before:
        os.rename(ready, kept)
        crashpoint("push.kept")
        return True
    swap(ready, path)
    return False


def exchange(one: str, other: str) -> bool:
    """Exchange two names in one step; False when this system, or this disk, cannot."""
    try:
        call = getattr(ctypes.CDLL(None), "renameat2", None)
    except OSError:
        call = None
    if call is None:
        return False
    return bool(call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE)) == 0)


def _copy(path: str, kept: str) -> None:
    """Into the backup, where a second name is as good as a copy: nobody writes into the first one."""
    unlink(kept)
    if os.path.islink(path):
        os.symlink(os.readlink(path), kept)
        return
    import shutil

    shutil.copy2(path, kept)


# ---------------------------------------------------------------------------------------------- around it


class _Locked:
    """One push at a time in a folder."""

    def __init__(self, folder: str) -> None:
        self._path = "%s/%s/lock" % (folder, OURS)
        self._fd = -1

    def __enter__(self) -> None:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise Refusal("Busy", "another push is at work in this folder") from None

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _workshop(folder: str) -> None:
    """Our own folder in theirs; git does not see it."""
    ours = folder + "/" + OURS
    make_folder(ours)
    if os.path.islink(ours):
        raise Refusal("UnsafeName", "%s is a link" % ours)
    try:
        fd = os.open(ours + "/.gitignore", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    try:
        write_all(fd, b"*\n")
    finally:
        os.close(fd)


def _backup(folder: str, push: str) -> str:
    return "%s/%s/backups/%s" % (folder, OURS, push)


def _state(folder: str, name: str) -> str:
    """Kind and hash in one word, "" when nothing is there."""
    found = tree.seen(folder, name)
    return "%s%s" % (found["kind"], found["sha"])


def _named(names: List[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (" and %d more" % more if more > 0 else "")


def _clear(folder: str, push: str) -> None:
    import shutil

    for kind in ("staging", "ready"):
        shutil.rmtree("%s/%s/%s/%s" % (folder, OURS, kind, push), ignore_errors=True)


def _forget_old(folder: str) -> None:
    """What was staged by those who never came back; not while a journal may need it."""
    if unfinished(folder):
        return
    for path, found in _looked("%s/%s/staging" % (folder, OURS)):
        if time.time() - found.st_mtime > LEFT_S:
            _clear(folder, os.path.basename(path))


def _forget_backups(folder: str) -> None:
    """The oldest ones, when there are many of them."""
    import shutil

    found = [(each.st_mtime, path) for path, each in _looked("%s/%s/backups" % (folder, OURS))]
    for at, path in sorted(found, reverse=True)[KEPT:]:
        if time.time() - at > KEPT_S:
            shutil.rmtree(path, ignore_errors=True)


def _looked(folder: str) -> Iterator[Tuple[str, os.stat_result]]:
    """What lies in a folder, if there is one."""
    try:
        for entry in list(os.scandir(folder)):
            yield entry.path, entry.stat(follow_symlinks=False)
    except OSError:  # somebody has taken it away
        return


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
