"""A seal: how the files of a folder looked when somebody verified them, so that a start can tell whether they changed.

Nothing is hashed again just before a task starts: a file that was written to, replaced, moved or given other rights has
another size, time, inode or mode. The change time (ctime) counts as well, because nobody can set it back. A file that
changed within one tick of the file system's clock would look the same, so what is younger than that is waited for
before it is sealed.

    seal 1\\0FOLDER\\0            then for each file
    SIZE MTIME CTIME INODE MODE NAME\\0
    end COUNT\\0
"""

import os
import time
from typing import List, Optional, Sequence

from .crash import crashpoint
from .place import make_folder, unlink, write_all

NAMED = 5
OLD_S = 30 * 86400.0
TICK_S = 0.1  # clocks of file systems are not finer than some milliseconds
WAITS = 20

_HEAD = b"seal 1"


def take(folder: str, names: Sequence[str], extra: Sequence[str] = (), settle: bool = True) -> bytes:
    """The seal of these files as they are now, or within two seconds. Raises OSError when one is not there.

    names: relative to the folder; extra: absolute paths of what counts as well; settle: wait while they are brand-new.
    """
    lines: List[bytes] = []
    for _ in range(WAITS):
        lines = []
        newest = 0
        for name in list(names) + list(extra):
            found = os.lstat(os.path.join(folder, name))
            newest = max(newest, found.st_mtime_ns, found.st_ctime_ns)
            lines.append(_line(found, os.fsencode(name)))
        if not settle or newest < (time.time() - TICK_S) * 1e9:
            break
        if newest > (time.time() + TICK_S) * 1e9:  # the clock of a file server: waiting would not help
            break
        time.sleep(TICK_S)
    return b"\0".join([_HEAD, os.fsencode(folder), *lines, b"end %d" % len(lines), b""])


def put(seals: str, content: bytes, name: str) -> str:
    """Keep a seal in the folder `seals`, under a name of its content; returns its path. Raises OSError."""
    import hashlib

    path = "%s/%s.%s" % (seals, name, hashlib.sha256(content).hexdigest()[:16])
    if _read(path) == content:
        os.utime(path)
        return path
    make_folder(seals)
    _forget_old(seals)
    unique = "%s.%d.%s" % (path, os.getpid(), os.urandom(4).hex())
    fd = os.open(unique, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_all(fd, content)
    finally:
        os.close(fd)
    crashpoint("seal.written")
    os.rename(unique, path)
    crashpoint("seal.renamed")
    return path


def differing(path: str) -> List[str]:
    """The files that do not look as they were sealed: the first few, and how many more. Empty: all is as it was."""
    content = _read(path)
    lines = [] if content is None else content.split(b"\0")
    if len(lines) < 4 or lines[0] != _HEAD or lines[-2] != b"end %d" % (len(lines) - 4):
        return ["the seal %s" % path]
    folder = lines[1]
    changed = []
    for line in lines[2:-2]:
        name = line.split(b" ", 5)[-1]
        try:
            if _line(os.lstat(os.path.join(folder, name)), name) != line:
                changed.append(name)
        except OSError:
            changed.append(name)
    told = [name.decode("utf-8", "replace") for name in changed[:NAMED]]
    return told + (["%d more" % (len(changed) - NAMED)] if len(changed) > NAMED else [])


def _line(found: os.stat_result, name: bytes) -> bytes:
    numbers = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode)
    return b"%d %d %d %d %o " % numbers + name


def _read(path: str) -> Optional[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _forget_old(seals: str) -> None:
    """What nobody has asked for in a month."""
    for entry in os.scandir(seals):
        try:
            if time.time() - os.lstat(entry.path).st_mtime > OLD_S:
                unlink(entry.path)
        except OSError:  # somebody else has taken it away
            pass
