"""Which hosts have ruled a root that a file server keeps for several: each of them leaves its name there.

What was meant for one of them and has not begun, another may give up: whoever would still start it must win its claim
in these very files. Of a root on a disk that can be copied with its machine nobody could say that.

    hosts/<boot>,<machine>,<host>
"""

import os
import re
from typing import List

from . import system
from .place import Place, make_folder, unlink
from .shapes import Json, Object

KEPT = 100
CHANGE = ".change"  # comes and goes: whose client has changed a folder does not go on with an old listing of it
_WORD = re.compile(r"[A-Za-z0-9._-]{1,80}\Z")


def sign(place: Place) -> None:
    """Leave our name; those that were left first go when there are many. Without room nobody is told, and waits."""
    words = (place.here.boot, place.here.machine, place.here.host)
    if not system.is_shared(place.path) or not all(map(_WORD.match, words)):
        return
    folder = place.path + "/hosts"
    try:
        make_folder(folder)
        for name in (",".join(words), CHANGE):
            with open("%s/%s" % (folder, name), "w", encoding="ascii"):
                pass
        unlink("%s/%s" % (folder, CHANGE))
        left = sorted((os.stat("%s/%s" % (folder, name)).st_mtime, name) for name in os.listdir(folder))
    except OSError:
        return
    for _, name in left[:-KEPT]:
        unlink("%s/%s" % (folder, name))


def signed(place: Place) -> List[Json]:
    """The hosts that have ruled here, for certain; none when that cannot be told."""
    if not system.is_shared(place.path):
        return []
    try:
        names = os.listdir(place.path + "/hosts")
    except OSError:
        return []
    return [_identity(name) for name in names if all(map(_WORD.match, name.split(","))) and name.count(",") == 2]


def _identity(name: str) -> Object:
    boot, machine, host = name.split(",")
    return {"host": host, "machine": machine, "boot": boot}
