"""Everything about attempts: what is asked of them, what becomes of them, and what is told about them.

An end is noticed in four ways, each of which is enough: our own shim rings on its pipe, our own shim dies (CHLD), a
shim of an earlier agent rings the bell, or a look finds it. All four end in `news`, once for each attempt.
"""

import errno
import os
import signal
import time
from collections import deque
from typing import Deque, Dict, List, Optional, Set

from . import shapes, shim, side
from .crash import crashpoint
from .look import Sight, is_this_boot, look, read_claim
from .news import News
from .pipes import MAX_PIECE
from .place import Root, make_folder, unlink, win
from .pool import Pool
from .reach import shim_lives, signal_shim
from .shapes import Object, Order, Spec
from .supervise import AWAITED
from .system import status_words
from .takeover import Takeover
from .watch import Watch

LOOKS_AT_ONCE = 100
TOMBSTONE_S = 30 * 86400.0


class Worker:
    """A shim that is our child."""

    __slots__ = ("eid", "orders", "pid")

    def __init__(self, pid: int, orders: int, eid: str) -> None:
        self.pid = pid
        self.orders = orders  # the writing end of its pipe
        self.eid = eid  # the attempt in hand; "" when it has told its end


class Desk:
    """The attempts of one root."""

    def __init__(self, root: Root, slots: int, gpus: List[int]) -> None:
        self.root = root
        self.pool = Pool(slots, gpus)
        self.watch = Watch(root)
        self.news = News()
        self.to_look: Deque[str] = deque()
        self.takeover: Optional[Takeover] = None
        self._seated = False  # whether all that ran before this session has its slot
        self._workers: Dict[int, Worker] = {}  # by pid
        self._own: Dict[str, Worker] = {}  # by the attempt in hand
        self._idle: List[Worker] = []
        self._told: Set[str] = set()  # ends told in this session and not acknowledged

    # ------------------------------------------------------------------------------------------ requests

    def start(self, specs: List[Spec]) -> Object:
        """What becomes of each; those accepted wait for a slot. One that cannot be read is left out."""
        outcomes: Object = {}
        for spec in specs:
            try:
                outcomes[spec.eid] = self._start(spec)
            except OSError:
                continue
        return outcomes

    def inspect(self, eids: List[str]) -> Object:
        """What lies here about each. One that cannot be read is left out: an error is not an answer."""
        found: Object = {}
        for eid in eids:
            try:
                sight = look(self.root, eid)
            except OSError:
                continue
            self._keep(eid, sight)
            if sight.claim is not None and eid in self.watch:
                self.watch.add(eid).running_told = True
            found[eid] = sight.told(waiting=self._is_ours(eid) and sight.claim is None)
        return found

    def revoke(self, eids: List[str]) -> Object:
        """Who has won each claim; one that cannot be made is left out."""
        outcomes: Object = {}
        for eid in eids:
            try:
                outcomes[eid] = "revoked" if self._revoke(eid) else "claimed"
            except OSError:
                continue
        return outcomes

    def cancel(self, eids: List[str], grace_s: float) -> Object:
        """What became of each."""
        outcomes: Object = {}
        for eid in eids:
            try:
                outcomes[eid] = self._cancel(eid, grace_s)
            except OSError:
                outcomes[eid] = "unknown"
        return outcomes

    def acknowledge(self, eids: List[str]) -> None:
        for eid in eids:
            unlink("%s/%s" % (self.root.outbox, eid))
            crashpoint("outbox.acknowledged")
            self._told.discard(eid)

    def forget(self, eids: List[str]) -> int:
        """Move folders to the trash: ended ones that are ours. Returns how many."""
        return sum(self._forget(eid) for eid in eids)

    # ------------------------------------------------------------------------------------------ the life of attempts

    def take_over(self, now: float) -> None:
        """What runs has its seat, what is old and of no use goes, and ends that were not acknowledged are told."""
        self.takeover = Takeover(self.root.path + "/attempts")
        side.abandon(self.root.path + "/projects", self.root.trash, now)
        self.list_outbox()

    def go_on(self, seconds: float) -> None:
        """With what `take_over` has begun."""
        if self.takeover is not None and self.takeover.go_on(self._take_over, seconds):
            self.takeover, self._seated = None, True

    def list_outbox(self) -> None:
        """Ends whose bell was not heard."""
        self.to_look.extend(eid for eid in os.listdir(self.root.outbox) if shapes.is_eid(eid) and eid not in self._told)

    def pump(self) -> bool:
        """Fill the free slots; False when the machine could not fork and it is worth trying later."""
        while self._seated:
            taken = self.pool.take()
            if taken is None:
                return True
            spec, gpus = taken
            try:
                if self.root.fenced():
                    self.pool.release(spec.eid)
                    self.pool.clear()
                    return True
                self._assign(Order(spec, gpus))
            except OSError:
                self.pool.put_back(spec)
                return False
        return True

    def dismiss(self) -> None:
        """Let the idle shims go."""
        while self._idle:
            worker = self._idle.pop()
            os.close(worker.orders)
            worker.orders = -1

    def heard(self, line: str) -> None:
        """A line from one of our own shims: what it says is what it has just put on disk."""
        kind, eid, words = line[:1], line[1:16], line[17:]
        if not shapes.is_eid(eid):
            return
        if kind == "!":
            self._settle(eid)
            self._refused(eid, words)
        elif kind == "?":
            self._settle(eid)
            self._refused(eid, words, differs=True)
        elif kind == "-":
            worker = self._settle(eid)
            if worker is not None:
                self._idle.append(worker)
            self._ended(eid, words)
        elif kind == "+" and words:
            self.news.tell(eid, words)

    def hinted(self, line: str) -> None:
        """A line on the bell: somebody says that something happened."""
        eid = line[1:16]
        if shapes.is_eid(eid):
            self.to_look.append(eid)

    def reaped(self, pid: int, status: int) -> None:
        """One of our shims has ended, and all that it had to say has been heard."""
        worker = self._workers.pop(pid, None)
        if worker is None:
            return
        if worker in self._idle:
            self._idle.remove(worker)
        if worker.orders >= 0:
            os.close(worker.orders)
        eid = worker.eid
        if not eid:
            return
        del self._own[eid]
        try:
            sight = look(self.root, eid)
        except OSError:
            self.watch.add(eid)
            return
        self.pool.release(eid)
        if sight.claim is None:
            self._refused(eid, "the shim ended before it could claim (%s)" % status_words(status))
        else:
            self._seen(eid, sight)

    def _settle(self, eid: str) -> Optional[Worker]:
        """Its shim has told the end of it."""
        worker = self._own.pop(eid, None)
        if worker is not None:
            worker.eid = ""
        self.pool.release(eid)
        self.watch.drop(eid)
        return worker

    def look_around(self) -> None:
        """A bounded number of the looks that are due."""
        for _ in range(min(LOOKS_AT_ONCE, len(self.to_look))):
            eid = self.to_look.popleft()
            if self._is_ours(eid):
                continue  # it will tell us itself
            try:
                sight = look(self.root, eid)
            except OSError:
                continue
            self._seen(eid, sight)

    # ------------------------------------------------------------------------------------------ one attempt

    def _is_ours(self, eid: str) -> bool:
        """In our queue, or under a living shim that is our child."""
        return self.pool.waits(eid) or eid in self._own

    def _start(self, spec: Spec) -> str:
        if self._is_ours(spec.eid):
            return "accepted"
        directory = self.root.attempt(spec.eid)
        if os.path.lexists(directory + "/claim"):
            claim = read_claim(directory)
            if claim is None:
                raise OSError(errno.EIO, "not a claim", directory + "/claim")
            if claim.kind == "revoked":
                return "revoked"
            self.watch.add(spec.eid)
            self.to_look.append(spec.eid)
            return "claimed"
        if spec.gpus > len(self.pool.gpus):
            self._refused(spec.eid, "asks for %d GPUs; this source has %d" % (spec.gpus, len(self.pool.gpus)))
        else:
            self.pool.add(spec)
        return "accepted"

    def _assign(self, order: Order) -> None:
        """To an idle shim, or to a new one. Raises OSError when the machine cannot fork."""
        line = order.line()
        worker = None
        while self._idle and worker is None and len(line) <= MAX_PIECE:
            worker = self._idle.pop()
            try:
                os.write(worker.orders, line)
            except OSError:  # it was killed; its end will be heard of
                worker = None
        if worker is None:
            worker = self._fork(order)
            self._workers[worker.pid] = worker
        worker.eid = order.spec.eid
        self._own[worker.eid] = worker

    def _fork(self, order: Order) -> Worker:
        """Signals wait from before the fork, so that none is lost or handled by the wrong one."""
        read_end, write_end = os.pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
        try:
            pid = os.fork()
            if pid == 0:
                shim.run(self.root, order, bool(self.pool.gpus), read_end)
            crashpoint("shim.forked")
        except OSError:
            os.close(write_end)
            raise
        finally:
            os.close(read_end)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.set_blocking(write_end, False)
        return Worker(pid, write_end, order.spec.eid)

    def _revoke(self, eid: str) -> bool:
        """Win its claim, so that it never starts; False when it has started. Raises OSError."""
        directory = self.root.attempt(eid)
        if not os.path.lexists(directory + "/claim"):
            make_folder(directory)
            if win(directory + "/claim", shapes.dumps(self.root.claim_base("revoked")), "revoke"):
                self.pool.drop(eid)
                self.watch.drop(eid)
                return True
        claim = read_claim(directory)
        return claim is not None and claim.kind == "revoked"

    def _cancel(self, eid: str, grace_s: float) -> str:
        self.pool.drop(eid)
        if self._revoke(eid):
            return "revoked"
        sight = look(self.root, eid)
        claim = sight.claim
        if claim is None:
            return "unknown"
        if sight.ended:
            return "ended"
        self._keep(eid, sight)
        if not is_this_boot(self.root, claim):
            return "unknown"
        if signal_shim(claim, signal.SIGTERM):
            crashpoint("shim.signalled")
            return "signalled"
        if sight.lock == "held" and self.watch.end_leftovers(eid, claim, grace_s):
            crashpoint("leftovers.signalled")
            return "signalled"
        return "ended" if look(self.root, eid).ended else "unknown"

    def _forget(self, eid: str) -> bool:
        directory = self.root.attempt(eid)
        sight = look(self.root, eid)
        if self._is_ours(eid) or sight.runs or not sight.staged:
            return False
        if sight.claim is not None and sight.claim.kind == "revoked":
            return False  # the tombstone stays
        self._bury(eid, sight)
        return os.path.lexists(directory) is False

    def _bury(self, eid: str, sight: Sight) -> None:
        self.watch.drop(eid)
        self._told.discard(eid)
        unlink("%s/%s" % (self.root.outbox, eid))
        crashpoint("attempt.unhinted")
        lock = None if sight.claim is None else sight.claim.lock
        if lock is not None and os.path.dirname(lock.path) == self.root.locks:
            unlink(lock.path)
        crashpoint("attempt.unlocked")
        try:
            os.rename(sight.directory, "%s/%s.%s" % (self.root.trash, eid, os.urandom(4).hex()))
        except FileNotFoundError:
            pass
        crashpoint("attempt.buried")

    def _take_over(self, eid: str) -> None:
        try:
            sight = look(self.root, eid)
            if sight.claim is not None and sight.claim.kind == "revoked":
                if time.time() - os.stat(sight.directory + "/claim").st_mtime > TOMBSTONE_S:
                    self._bury(eid, sight)
            elif sight.runs:
                self._keep(eid, sight)
        except OSError:
            self.watch.add(eid)

    def _keep(self, eid: str, sight: Sight) -> None:
        """Watch what may still change, and give it its seat while it runs."""
        if self._is_ours(eid) or sight.ended or (sight.claim is not None and sight.claim.kind == "revoked"):
            return
        if sight.claim is not None and sight.lock == "free":
            return
        self.watch.add(eid)
        if sight.runs and sight.claim is not None and is_this_boot(self.root, sight.claim):
            self.pool.sit(eid, sight.claim.gpus)

    def _seen(self, eid: str, sight: Sight) -> None:
        """Act on a look at an attempt that is not under a living shim of ours."""
        claim = sight.claim
        if claim is None or (claim.kind == "started" and sight.lock == "unknown" and not sight.ended):
            return  # nothing, or nothing that can be known from here
        if not sight.runs:
            self.watch.drop(eid)
            self.pool.release(eid)
            if sight.ended:
                self._ended(eid, shapes.dumps(sight.told()))
            else:
                self.news.tell(eid, shapes.dumps(sight.told()))
            return
        self._keep(eid, sight)
        watched = self.watch.add(eid)
        if not watched.running_told:
            watched.running_told = True
            self.news.tell(eid, shapes.dumps(sight.told()))
        if not shim_lives(claim):
            self.watch.tend(eid, claim)

    # ------------------------------------------------------------------------------------------ telling

    def _ended(self, eid: str, found: str) -> None:
        """Tell an end, once a session."""
        if eid in self._told:
            return
        if not found:  # too long for one ring
            found = shapes.dumps(look(self.root, eid).told())
        self._told.add(eid)
        self.news.tell(eid, found)

    def _refused(self, eid: str, words: str, differs: bool = False) -> None:
        sight = Sight(False, None, "unknown", None, self.root.attempt(eid), False)
        found = dict(sight.told(refused=words or "no reason given"), differs=differs)
        self.news.tell(eid, shapes.dumps(found))
