"""What lies here of a batch: attempts that a scheduler was told of at once, and what it has answered.

<root>/batches/<beid>/spec.json   its name there, who submitted it, and its attempts in order
                      submit      the claim of the submission: whoever wins it, and nobody else, may submit
                      jobid       what the scheduler answered, written on the spot
"""

import os
import re
import sys
import time
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from . import shapes
from .crash import crashpoint
from .look import read_json
from .place import Place, make_folder, sync_folder, unlink, write_all
from .shapes import Json, Object, Refusal, dumps

LAST_WORDS_BYTES = 2000
LAST_WORDS = 600  # characters that are told
UNUSED_S = 86400.0  # a batch of which nothing is left goes after so long

_BEID = re.compile(r"b[a-z2-7]{14}\Z")


class Batch(NamedTuple):
    """A batch as it was written down."""

    beid: str
    name: str
    instance: str
    epoch: int
    at: float  # when it was written, in seconds since 1970
    eids: List[str]


def beid_of(value: Json) -> str:
    """A batch's name; it becomes a path, so nothing else passes."""
    if not isinstance(value, str) or _BEID.match(value) is None:
        raise Refusal("BadRequest", "not the name of a batch: %.80r" % (value,))
    return value


def folder(place: Place, beid: str) -> str:
    return "%s/batches/%s" % (place.path, beid)


def write(place: Place, batch: Batch) -> None:
    """Its folder, and what it is. Raises OSError."""
    path = folder(place, batch.beid)
    make_folder(path)
    spec: Object = {"name": batch.name, "instance": batch.instance, "epoch": batch.epoch}
    spec.update(at=batch.at, eids=list(batch.eids))
    put(path + "/spec.json", dumps(spec))
    crashpoint("batch.staged")


def read(place: Place, beid: str) -> Optional[Batch]:
    """None when there is none, or what is there is none. Raises OSError."""
    value = read_json(folder(place, beid) + "/spec.json")
    if value is None:
        return None
    try:
        body = shapes.object_of(value, "a batch")
        instance, epoch = shapes.text(body, "instance"), shapes.whole(body, "epoch")
        return Batch(beid, shapes.text(body, "name"), instance, epoch, shapes.instant(body, "at"), shapes.eids_of(body))
    except Refusal:
        return None


def batches(place: Place) -> Iterator[Batch]:
    """All that are there, and can be read."""
    try:
        names = sorted(os.listdir(place.path + "/batches"))
    except FileNotFoundError:
        return
    for name in names:
        if _BEID.match(name):
            batch = read(place, name)
            if batch is not None:
                yield batch


def of(place: Place, eids: List[str]) -> Dict[str, Tuple[Batch, int]]:
    """The batch in which each was submitted, and its place there; of several the newest."""
    wanted = set(eids)
    found: Dict[str, Tuple[Batch, int]] = {}
    for batch in sorted(batches(place), key=lambda batch: batch.at):
        for index, eid in enumerate(batch.eids):
            if eid in wanted:
                found[eid] = batch, index
    return found


def tidy(place: Place, trash: str) -> None:
    """Batches of which no attempt is left go. Best effort."""
    for batch in batches(place):
        path = folder(place, batch.beid)
        try:
            old = time.time() - os.stat(path).st_mtime > UNUSED_S
            if old and not any(os.path.lexists(place.attempt(eid)) for eid in batch.eids):
                os.rename(path, "%s/%s.%s" % (trash, batch.beid, os.urandom(4).hex()))
                crashpoint("batch.buried")
        except OSError:
            pass


def python() -> str:
    """The interpreter's name for a script that runs elsewhere: ours, by its path."""
    return sys.executable or "python3"


def put(path: str, text: str, durable: bool = True) -> None:
    """A file with this content, whole; durable: and on the disk. Raises OSError."""
    put_bytes(path, text.encode("utf-8", "replace"), durable)


def put_bytes(path: str, data: bytes, durable: bool = True) -> None:
    """As `put`."""
    unique = "%s.%d.%s" % (path, os.getpid(), os.urandom(6).hex())
    fd = os.open(unique, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_all(fd, data)
        if durable:
            os.fsync(fd)
        os.rename(unique, path)
    except OSError:
        unlink(unique)
        raise
    finally:
        os.close(fd)
    crashpoint("batch.put")
    if durable:
        sync_folder(os.path.dirname(path))


def last_words(place: Place, batch: Batch, index: int) -> str:
    """The end of what the job of one attempt has said before it was its shim, in one line; "" when it said nothing."""
    try:
        fd = os.open("%s/%d.log" % (folder(place, batch.beid), index), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        os.lseek(fd, max(0, os.fstat(fd).st_size - LAST_WORDS_BYTES), os.SEEK_SET)
        data = os.read(fd, LAST_WORDS_BYTES)
    except OSError:
        return ""
    finally:
        os.close(fd)
    text = "".join(char if char.isprintable() else " " for char in data.decode("utf-8", "replace"))
    return " ".join(text.split())[-LAST_WORDS:]


def known(place: Place, beid: str) -> Optional[Object]:
    """What the scheduler has answered to its submission; None when nobody has written that down."""
    value = read_json(folder(place, beid) + "/jobid")
    return value if isinstance(value, dict) else None
