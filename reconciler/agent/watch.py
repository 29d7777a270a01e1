"""Attempts whose shim is not our child, or is dead: looked at every second, and ended when their time is up."""

import signal
import time
from typing import Dict, List, Optional

from . import look, reach, system
from .place import Root
from .shapes import Claim

UNREAD = -1


class Watched:
    """One attempt under watch."""

    __slots__ = ("kill_at", "running_told", "walltime_s")

    def __init__(self) -> None:
        self.running_told = False
        self.kill_at: Optional[float] = None  # monotonic: it has been told to end, and by then it must
        self.walltime_s: Optional[int] = UNREAD


class Watch:
    """All of them, and what must be done about those without a shim."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._watched: Dict[str, Watched] = {}

    def __contains__(self, eid: str) -> bool:
        return eid in self._watched

    def eids(self) -> List[str]:
        return list(self._watched)

    def add(self, eid: str) -> Watched:
        return self._watched.setdefault(eid, Watched())

    def drop(self, eid: str) -> None:
        self._watched.pop(eid, None)

    def tend(self, eid: str, claim: Claim, grace_s: float = 10.0) -> None:
        """Its lock is held: if its shim is dead we are in the shim's place, for the walltime and for the kill."""
        if reach.shim_lives(claim) or not look.is_this_boot(self._root, claim):
            return
        watched = self.add(eid)
        if watched.kill_at is None:
            if self._overdue(eid, watched, claim):
                self.end_leftovers(eid, claim, grace_s)
        elif time.monotonic() >= watched.kill_at:
            reach.signal_leftovers(claim, signal.SIGKILL)

    def end_leftovers(self, eid: str, claim: Claim, grace_s: float) -> bool:
        """TERM to what a dead shim has left, KILL when the grace is over; False when nothing was reached."""
        watched = self.add(eid)
        reached = reach.signal_leftovers(claim, signal.SIGTERM)
        reach.signal_leftovers(claim, signal.SIGCONT)
        if watched.kill_at is None:
            watched.kill_at = time.monotonic() + grace_s
        return reached > 0

    def _overdue(self, eid: str, watched: Watched, claim: Claim) -> bool:
        if watched.walltime_s == UNREAD:
            spec = look.read_json(self._root.attempt(eid) + "/spec.json")
            walltime_s = spec.get("walltime_s") if isinstance(spec, dict) else None
            watched.walltime_s = walltime_s if isinstance(walltime_s, int) else None
        if watched.walltime_s is None:
            return False
        age_s = system.age_s(claim.start) if claim.begun is None else system.uptime_s() - claim.begun
        return age_s > watched.walltime_s
