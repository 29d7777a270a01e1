"""What an attempt has written: which files, how long and with which hash, and their bytes, a piece at a time.

Slow disks must not keep the loop waiting, so all of it is done by side processes. A task may have left anything under
these names: only regular files are read, and links are not followed. A file that is too long is told as its beginning
and its end, and those are what is hashed.
"""

import base64
import functools
import os
import stat
import time
from typing import Callable, Dict, List, Optional, Tuple

from . import machine, shapes
from .place import Place
from .shapes import Json, Object, Refusal

FILES = {  # by the name that travels: where it lies in the attempt's directory
    "exit.json": "exit.json",
    "params.json": "params.json",
    "stdout.log": "stdout.log",
    "stderr.log": "stderr.log",
    "metrics.json": "output/metrics.json",
    "progress.jsonl": "output/progress.jsonl",
}
PIECE = 1 << 18  # no request for bytes is answered with more
INLINE = 1 << 15  # files up to here are told with their bytes
PAGE_S = 10.0  # no further attempt is begun after so long
LOOKS = 3  # at a file that changes meanwhile


def work(place: Place, body: Object) -> Callable[[], Object]:
    """What a side process has to do for a request. Raises Refusal."""
    if body.get("op") == "outputs":
        return functools.partial(outputs, place, shapes.eids_of(body), shapes.whole(body, "limit"))
    if body.get("op") == "survey":
        return machine.survey
    eid, name = shapes.eid_of(body.get("eid")), shapes.text(body, "name")
    if name not in FILES:
        raise Refusal("BadRequest", "not a file of an attempt: %.80r" % name)
    return functools.partial(read, place, eid, name, shapes.whole(body, "offset"), shapes.whole(body, "length"))


def outputs(place: Place, eids: List[str], limit: int) -> Object:
    """The files of each attempt, as far as they fit into one answer: at least the first one's.

    limit: bytes; of longer files only so many are told, half of them from the beginning and half from the end.
    """
    told: Dict[str, Json] = {}
    until = time.monotonic() + PAGE_S
    room = PIECE
    for eid in eids:
        if told and (room < INLINE or time.monotonic() > until):
            break
        files: Dict[str, Json] = {}
        for name in FILES:
            file = _told("%s/%s" % (place.attempt(eid), FILES[name]), limit, min(room, INLINE))
            if file is not None:
                files[name] = file
                room -= len(str(file.get("data") or ""))
        told[eid] = files
    return {"outputs": told}


def read(place: Place, eid: str, name: str, offset: int, length: int) -> Object:
    """A piece of a file, the length of the whole, and its stamp; no bytes and no stamp when there is no file."""
    fd = _open("%s/%s" % (place.attempt(eid), FILES[name]))
    if fd is None:
        return {"data": "", "size": 0, "stamp": ""}
    try:
        found = os.fstat(fd)
        data = os.pread(fd, min(length, PIECE), offset)
        return {"data": _text(data), "size": found.st_size, "stamp": _stamp(found)}
    finally:
        os.close(fd)


def _told(path: str, limit: int, room: int) -> Optional[Object]:
    """None when there is no such file."""
    try:
        fd = _open(path)
        if fd is None:
            return None
        try:
            for _ in range(LOOKS):
                file = _hashed(fd, limit, room)
                if file is not None:
                    return file
        finally:
            os.close(fd)
    except OSError as error:
        return {"error": "%s: %s" % (path, error.strerror)}
    return {"error": "%s: it changes while it is read" % path}


def _hashed(fd: int, limit: int, room: int) -> Optional[Object]:
    """None when it has changed meanwhile."""
    import hashlib  # not in the agent itself, whose pages every shim would carry

    found = os.fstat(fd)
    size = found.st_size
    head, tail = (size, 0) if size <= limit else (limit - limit // 2, limit // 2)
    digest = hashlib.sha256()
    kept = b""
    for begin, end in ((0, head), (size - tail, size)):
        while begin < end:
            data = os.pread(fd, min(end - begin, PIECE), begin)
            if not data:
                return None
            digest.update(data)
            begin += len(data)
            if head + tail <= room:
                kept += data
    if _stamp(os.fstat(fd)) != _stamp(found):
        return None
    file: Object = {"size": size, "head": head, "tail": tail, "stamp": _stamp(found), "sha256": digest.hexdigest()}
    file["data"] = _text(kept) if head + tail <= room else None
    return file


def _open(path: str) -> Optional[int]:
    """None when there is nothing. Raises OSError when it cannot be read, or is no regular file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(0, "it is no regular file", path)
    return fd


def _stamp(found: os.stat_result) -> str:
    """Differs when the file was written to, or is another one."""
    parts: Tuple[int, ...] = (found.st_ino, found.st_size, found.st_mtime_ns)
    return ".".join(str(part) for part in parts)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
