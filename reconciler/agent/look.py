"""Everything that lies here about an attempt, read in an order that overlooks no end.

A shim writes its exit record before it lets go of its lock. So the lock is tried first and the record is read after
it: a free lock without a record means that there will never be one.
"""

import errno
import fcntl
import json
import os
from typing import NamedTuple, Optional

from .place import Place
from .shapes import Claim, Json, LockId, Object, Refusal, claim_of, record_of

MAX_BYTES = 1 << 20


class Sight(NamedTuple):
    """What was seen of one attempt."""

    staged: bool
    claim: Optional[Claim]
    lock: str  # held, free, unknown
    exit: Optional[Object]
    directory: str
    torn: bool  # something lies where the claim should be, and is none

    @property
    def ended(self) -> bool:
        """An exit record counts only with the nonce of the claim."""
        return self.exit is not None and self.claim is not None and self.exit.get("nonce") == self.claim.nonce

    @property
    def runs(self) -> bool:
        return self.claim is not None and self.lock == "held" and not self.ended

    def told(self, waiting: bool = False, refused: str = "") -> Object:
        """As it travels."""
        return {
            "staged": self.staged,
            "waiting": waiting,
            "claim": None if self.claim is None else self.claim.raw,
            "lock": self.lock,
            "torn": self.torn,
            "exit": self.exit,
            "refused": refused,
            "directory": self.directory,
        }


def look(root: Place, eid: str) -> Sight:
    """Raises OSError when something is there and cannot be read: that is no news, and not absence."""
    directory = root.attempt(eid)
    claim = read_claim(directory)
    lock = "unknown"
    if claim is not None and claim.lock is not None and is_here(root, claim):
        lock = lock_state(claim.lock)
    record = read_record(directory)
    staged = claim is not None or os.path.exists(directory + "/spec.json")
    torn = claim is None and os.path.lexists(directory + "/claim")
    return Sight(staged, claim, lock, record, directory, torn)


def is_here(root: Place, claim: Claim) -> bool:
    """True when the claim was made on this very machine, by its id and by its name."""
    return claim.machine == root.here.machine and claim.host == root.here.host


def is_this_boot(root: Place, claim: Claim) -> bool:
    return is_here(root, claim) and claim.boot == root.here.boot


def is_torn_since(sight: Sight, booted_at: float) -> bool:
    """Whether a power loss took the content of its claim: who wrote that had started before this machine did."""
    try:
        return sight.torn and os.stat(sight.directory + "/claim").st_mtime < booted_at
    except FileNotFoundError:
        return False


def read_claim(directory: str) -> Optional[Claim]:
    """None when there is none, and when it is torn: a power loss does that, and a changed boot tells it better."""
    try:
        claim = claim_of(read_json(directory + "/claim"))
    except Refusal:
        return None
    return claim if claim.kind == "revoked" or claim.eid == os.path.basename(directory) else None


def read_record(directory: str) -> Optional[Object]:
    """None when there is none, and when it is torn, or something else of that name."""
    try:
        return record_of(read_json(directory + "/exit.json"))
    except Refusal:
        return None


def read_json(path: str) -> Json:
    """The value in a file; None when it is not there, is torn, or cannot be told. Raises OSError: it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        data = os.read(fd, MAX_BYTES)
    finally:
        os.close(fd)
    try:
        value: Json = json.loads(data.decode("utf-8"))
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return value


def lock_state(lock: LockId) -> str:
    """held, free, or unknown. The file is never made here, and only its very inode counts."""
    try:
        fd = os.open(lock.path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return "unknown"
    try:
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) != (lock.dev, lock.ino):
            return "unknown"
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return "free"
    except OSError as error:
        return "held" if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN) else "unknown"
    finally:
        os.close(fd)
