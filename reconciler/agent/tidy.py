"""Code that nobody needs any more is removed after a while: no sweep is pinned to it, and no task runs in it."""

import os
import re
from typing import Set

from . import objects, worktree
from .crash import crashpoint
from .place import Place, make_folder, unlink
from .shapes import Object

PIECES_S = 86400.0
_PIN = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


def tidy(place: Place, needed: Set[str], unused_s: float, now: float) -> Object:
    """Remove what was not needed for so long. needed: "<project>/<pin>". Raises OSError.

    Answers how much is left, and how much was removed.
    """
    left = removed = 0
    for project in sorted(os.listdir(place.path + "/projects")):
        folder = "%s/projects/%s" % (place.path, project)
        if not os.path.isdir(folder):
            continue
        gone = []
        for pin in [name for name in os.listdir(folder) if _PIN.match(name)]:
            if _is_old(folder, pin, "%s/%s" % (project, pin) in needed, unused_s, now) and _remove(place, folder, pin):
                gone.append(pin)
            else:
                left += 1
        objects.drop(place, project, gone)
        objects.forget_pieces(place, project, now - PIECES_S)
        removed += len(gone)
    return {"worktrees": left, "removed": removed}


def _is_old(folder: str, pin: str, needed: bool, unused_s: float, now: float) -> bool:
    """Whether it was last needed so long ago. A mark beside the worktrees tells when."""
    marks = folder + "/used"
    mark = "%s/%s" % (marks, pin)
    if not needed:
        try:
            return now - os.lstat(mark).st_mtime >= unused_s
        except FileNotFoundError:
            needed = unused_s > 0  # from now on
    if needed:
        make_folder(marks)
        with open(mark, "wb"):
            os.utime(mark, (now, now))
    return not needed


def _remove(place: Place, folder: str, pin: str) -> bool:
    path = "%s/%s" % (folder, pin)
    if next(worktree.users(place, path), None) is not None:
        return False
    aside = "%s/trash/%s.%s" % (place.path, pin, os.urandom(4).hex())
    os.rename(path, aside)
    crashpoint("worktree.removed")
    if next(worktree.users(place, path), None) is not None and not os.path.isdir(path):
        os.rename(aside, path)
        return False
    unlink("%s/used/%s" % (folder, pin))
    return True
