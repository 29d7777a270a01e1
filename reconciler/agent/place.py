"""The root on this source: who owns it, which epoch rules, where things lie.

    OWNER  epoch/<n>  mark  hosts/  bell  attempts/<aa>/<eid>/  outbox/new/<eid>  checkpoints/  projects/  trash/

<aa> are the last two characters of the eid: the first ones are the same for a whole instance.
"""

import json
import os
import stat
import time
from typing import List, Optional

from . import shapes, system
from .crash import crashpoint
from .shapes import Object, Refusal

MARK_CHARACTERS = 200
SUPERSEDED_S = 10.0

_FOLDERS = ("attempts", "epoch", "outbox/new", "checkpoints", "projects", "trash")


class Place:
    """A folder on this machine as somebody sees it who only looks."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.here = system.identity()

    def attempt(self, eid: str) -> str:
        return "%s/attempts/%s/%s" % (self.path, eid[-2:], eid)

    def owner(self) -> str:
        """The instance whose root it is; "" when it is nobody's. Raises OSError when that cannot be told."""
        try:
            with open(self.path + "/OWNER", encoding="utf-8", errors="replace") as file:
                return file.read(100).strip()
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def mark(self) -> str:
        """What the daemon that started something here last has told with it; "" when nobody can tell."""
        try:
            with open(self.path + "/mark", encoding="utf-8", errors="replace") as file:
                return file.read(MARK_CHARACTERS)
        except OSError:
            return ""


class Root(Place):
    """The folder that one instance owns on this machine."""

    def __init__(self, path: str, instance: str) -> None:
        """Makes the folder, or finds it. Raises Refusal when it is another's, OSError when it cannot be used."""
        super().__init__(path)
        self.instance = instance
        self.epoch = 0
        self._fenced_at = 0.0
        self._mark = ""
        os.makedirs(path, 0o700, exist_ok=True)
        self._own()
        for name in _FOLDERS:
            os.makedirs(os.path.join(path, name), 0o700, exist_ok=True)
            crashpoint("root.made")
        self.outbox = path + "/outbox/new"
        self.trash = path + "/trash"
        self.bell = path + "/bell"
        _make_bell(self.bell)
        self.locks = None if system.is_local(path) else _lock_folder()

    def claim_base(self, kind: str) -> Object:
        """What every claim says."""
        return {
            "kind": kind,
            "at": time.time(),
            "host": self.here.host,
            "machine": self.here.machine,
            "boot": self.here.boot,
            "epoch": self.epoch,
        }

    def remember(self, mark: str) -> None:
        """Keep the daemon's mark. It tells a state that was put back from a copy; without room that is not told."""
        if mark == self._mark:
            return
        new = self.path + "/mark.new"
        try:
            with open(new, "w", encoding="utf-8") as file:
                file.write(mark)
            crashpoint("mark.written")
            os.rename(new, self.path + "/mark")
        except OSError:
            unlink(new)
        else:
            self._mark = mark

    def win_epoch(self, daemon: str, after: int, earlier: List[str]) -> None:
        """Become the ruling agent: take the number after the highest, and drop those below it.

        after: the last epoch that this daemon has won, 0 if none. Raises Refusal when another has won one since: who
        was frozen, or cut off, must not take back what somebody has taken over.
        earlier: who served the daemon's state before it. They are gone; an epoch of theirs was asked for before.
        """
        while True:
            number = max([0, *self._epochs()]) + 1
            if 0 < after < number - 1 and self._winner(number - 1) not in (None, daemon, *earlier):
                raise self.fencing()
            claim = dict(self.claim_base("epoch"), pid=os.getpid(), daemon=daemon)
            won = win("%s/epoch/%d" % (self.path, number), json.dumps(claim), "epoch", durable=True)
            # An epoch below the highest can be won when its file was dropped meanwhile: it rules nothing.
            if won and max(self._epochs()) == number:
                break
        self.epoch = number
        for old in self._epochs():
            if old < number:
                unlink("%s/epoch/%d" % (self.path, old))
                crashpoint("epoch.dropped")

    def fencing(self) -> Refusal:
        """What a daemon is told that does not rule here any more."""
        return Refusal(
            "Fenced",
            "a newer daemon rules the root %s" % self.path,
            "two copies of one state? stop one of the daemons; to let this one rule again, restart it",
        )

    def _winner(self, number: int) -> Optional[str]:
        """The daemon that won an epoch, "" if nobody can tell; None when it is dropped: then there is a newer one."""
        try:
            with open("%s/epoch/%d" % (self.path, number), encoding="utf-8") as file:
                return str(shapes.object_of(json.load(file), "an epoch").get("daemon", ""))
        except FileNotFoundError:
            return None
        except (ValueError, Refusal):  # not what was written there
            return ""

    def fenced(self) -> bool:
        """True when a newer agent rules this root. Not cached: folder times are too coarse to tell."""
        return any(number > self.epoch for number in self._epochs())

    def superseded(self, now: float) -> bool:
        """True when a newer agent has ruled for a while: then nobody will ask this one for anything any more.

        A line may fall silent without an end, and what holds it open there does not notice for hours. now: monotonic.
        """
        if not self.fenced():
            return False
        self._fenced_at = self._fenced_at or now
        return now - self._fenced_at >= SUPERSEDED_S  # until then whoever asks is told why he is refused

    def _epochs(self) -> List[int]:
        return [int(name) for name in os.listdir(self.path + "/epoch") if name.isdigit()]

    def _own(self) -> None:
        path = self.path + "/OWNER"
        if not os.path.exists(path):
            win(path, self.instance + "\n", "owner", durable=True)
        owner = self.owner()
        if owner != self.instance:
            raise Refusal(
                "ForeignRoot",
                "the root %s belongs to the instance %r, not to %r" % (self.path, owner, self.instance),
                "if the state was lost: `reconciler rebuild`; else give this source another root, or move this one"
                " aside: what ran from it is run anew",
            )


def win(path: str, content: str, label: str, durable: bool = False) -> bool:
    """Make the file `path` with this content unless it exists; True when it was us.

    durable: it is there after a power loss, too. What belongs to one boot need not be.

    A crash may come at `<label>.written`, `<label>.linked` and `<label>.won`.

    The content is complete before the name exists. The number of links decides, or whose the name is, not what link(2)
    returned: on NFS a repeated request may say "exists" to the very one who made it. Raises OSError when nobody won.
    """
    unique = "%s.%d.%s" % (path, os.getpid(), os.urandom(6).hex())
    fd = os.open(unique, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    failure: Optional[OSError] = None
    try:
        write_all(fd, content.encode("utf-8"))
        if durable:
            os.fsync(fd)
        crashpoint(label + ".written")
        try:
            os.link(unique, path)
        except OSError as error:
            failure = error
        crashpoint(label + ".linked")
        won = os.fstat(fd).st_nlink == 2 or _leads_to(path, fd)
    finally:
        os.close(fd)
        unlink(unique)
    if not won and failure is not None and not os.path.exists(path):
        raise failure
    if durable:
        sync_folder(os.path.dirname(path))
    crashpoint(label + ".won")
    return won


def _leads_to(path: str, fd: int) -> bool:
    """Whether the name is that of this very file. A file server's client may answer with attributes that it remembers,
    but not for what it has just opened.
    """
    try:
        there = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        found, ours = os.fstat(there), os.fstat(fd)
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)
    finally:
        os.close(there)


def folders(path: str) -> List["os.DirEntry[str]"]:
    """The folders in a folder. All else there is none of ours: a file server leaves `.nfs…`, and people leave notes."""
    return [entry for entry in os.scandir(path) if entry.is_dir()]


def sync_folder(path: str) -> None:
    """What was made or renamed in it is there after a power loss, as far as this file system can promise that."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(fd)
    except OSError:  # this file system syncs no folders
        pass
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def make_folder(path: str) -> None:
    """One folder, and its parent if need be; no matter who made them."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(path, 0o700, exist_ok=True)


def _make_bell(path: str) -> None:
    try:
        os.mkfifo(path, 0o600)
    except OSError:  # it is there, or this file system has none: it only carries hints
        pass


def _lock_folder() -> str:
    """A folder on this machine's own disk, ours alone: /var/tmp is everybody's."""
    path = "/var/tmp/reconciler-%d" % os.getuid()  # noqa: S108 - checked below
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise Refusal("RootUnusable", "%s is not a private folder of this account" % path, "remove it, or chmod 700")
    return path


def unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
