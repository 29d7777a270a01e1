"""All attempts that lie here, page by page, for a daemon that has lost what it knew of them. Nothing is changed."""

import json
import os
import time
from typing import Iterator, List, Optional

from .look import is_torn_since, look
from .place import Place, folders
from .shapes import PAGE, Json, Object, is_eid
from .system import uptime_s

MAX_BYTES = 1 << 22  # of specs in one page
_TOLD = ("sweep", "task", "attempt", "parameters", "cwd", "walltime_s", "gpus", "digest", "code")


def census(place: Place, after: str) -> Object:
    """A page of what is left of attempts, those behind `after` in order; its own `after` is "" when it is the last."""
    remains: Object = {}
    unread: List[Json] = []
    room = MAX_BYTES
    booted_at = time.time() - uptime_s()
    for eid in _eids(place.path + "/attempts", after):
        if len(remains) + len(unread) >= PAGE or room <= 0:
            return {"remains": remains, "unread": unread, "after": after}
        after = eid
        try:
            sight = look(place, eid)
            spec = _read(sight.directory + "/spec.json")
        except OSError:  # an error is not an answer
            unread.append(eid)
            continue
        room -= len(spec or b"")
        remains[eid] = {
            "spec": _spec(spec),
            "dead": is_torn_since(sight, booted_at),
            "found": sight.told(),
        }
    return {"remains": remains, "unread": unread, "after": ""}


def _eids(folder: str, after: str) -> Iterator[str]:
    """In order: by folder, which is the end of the eid, then by name. One that cannot be listed raises OSError."""
    for shard in sorted(entry.name for entry in folders(folder)) if os.path.isdir(folder) else []:
        if shard >= after[-2:]:
            for name in sorted(os.listdir(folder + "/" + shard)):
                if is_eid(name) and (shard, name) > (after[-2:], after):
                    yield name


def _read(path: str) -> Optional[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _spec(data: Optional[bytes]) -> Optional[Object]:
    """What the attempt was for; None when the file is not there, or is torn."""
    try:
        spec = json.loads((data or b"").decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return {name: spec.get(name) for name in _TOLD} if isinstance(spec, dict) else None
