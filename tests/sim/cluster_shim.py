"""The shim of an attempt on a compute node: it wins the claim, or leaves; it runs the task, and writes down its end."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from reconciler.core.model import Eid, HostIdentity
from reconciler.core.wire import Claim, ClaimKind, Ended, ExitRecord
from tests.sim.cluster_jobs import Element, Start
from tests.sim.cluster_root import Root
from tests.sim.oracle import Oracle, Truth
from tests.sim.programs import RESUME, Habits

CLAIM_LOST, NO_ROOM, NOT_FOUND = 97, 98, 127  # exit codes
TERM, KILL = 15, 9
KILL_WAIT_S = 10.0
WALLTIME_SLACK_S = (0.0, 0.0, 90.0)  # when the shim itself ends its task: before the scheduler does, or in its place


@dataclass
class Site:
    """What all shims of a cluster have in common. skew_s: how far a node's clock is off."""

    name: str
    root: Root
    oracle: Oracle
    habits: Habits
    dice: random.Random
    now: Callable[[], float]
    wall: Callable[[], float]
    later: Callable[[float, Callable[[], None]], object]
    skew_s: dict[str, float]
    count: Callable[[str], None]


def job_id(element: Element) -> str:
    """As the scheduler prints it."""
    return f"{element.array}_{element.index}"


class Shim:
    """One start of one attempt: see `cluster_jobs.Run`."""

    def __init__(self, site: Site, eid: Eid, start: Start, over: Callable[[int], None]) -> None:
        self.site = site
        self.eid = eid
        self.start = start
        self.alive = True
        self.endless = False
        self.truth: Truth | None = None
        self._over = over
        self._nonce = ""
        self._began_at = 0.0
        self._deaf = self._ending = False
        self._after(site.dice.choice((0.05, 0.3, 3.0)) * site.dice.random(), self._claim)

    # -- what the scheduler does to it

    def kill(self, *, gently: bool) -> None:
        """See `Run`. Told gently, it tells its task, and writes down how that ended, if there is time."""
        if not self.alive:
            return
        if self.truth is not None:
            self.truth.told_to_end = True
        if gently and self.truth is not None:
            self._after(KILL_WAIT_S, self._die)
            if not self._deaf:
                self._after(self.site.dice.random(), lambda: self._end(TERM, Ended.CANCEL))
        else:
            self._die()

    def vanish(self) -> None:
        """See `Run`."""
        if self.alive:
            self.alive = False
            if self.truth is not None:
                self.truth.told_to_end = True
            self._task_over(KILL)

    def let_end(self) -> None:
        """Whatever runs for ever, does so no more."""
        if self.endless:
            self.endless = False
            self._after(1.0, lambda: self._end(0, Ended.ITSELF))

    # -- what it does

    def _claim(self) -> None:
        site, node = self.site, self.start.node
        self._nonce = f"{site.dice.getrandbits(64):016x}"
        folder = site.root.folders[self.eid]
        assert folder.spec is not None
        if node.unfit:
            site.count("starts-without-python")
            folder.said = "exec: python3: not found"
            self._leave(NOT_FOUND)
            return
        claim = Claim(
            kind=ClaimKind.STARTED,
            at=self._wall(),
            home=HostIdentity(host=node.name, machine=node.name, boot=f"{node.name}-{node.boots}"),
            nonce=self._nonce,
            digest=folder.spec.digest,
            job=job_id(self.start.element),
            restarts=self.start.restarts,
            pid=2,
        )
        try:
            won = site.root.claim(self.eid, claim)
        except OSError:
            site.count("claims-without-room")
            self._leave(NO_ROOM)
            return
        if won:
            self._after(0.1 * site.dice.random(), self._begin)
        else:
            site.count("claims-lost")
            self._leave(CLAIM_LOST)

    def _begin(self) -> None:
        site, spec = self.site, self.site.root.folders[self.eid].spec
        assert spec is not None
        self._began_at = self._wall()
        self.truth = site.oracle.started(site.name, self.eid, (spec.sweep, spec.task), spec.argv)
        self.truth.family.add(self)
        dice, habits = site.dice, site.habits
        self._deaf = dice.random() < habits.deaf
        if dice.random() < habits.endless:
            self.endless = True
        else:
            length = habits.length_s * (0.1 + dice.expovariate(1.0))
            status = _status(dice, habits)
            self._after(length, lambda: self._end(status, Ended.ITSELF))
        if spec.walltime_s is not None:
            self._after(spec.walltime_s + dice.choice(WALLTIME_SLACK_S), self._out_of_time)

    def _out_of_time(self) -> None:
        if self.truth is not None and not self._ending:
            self.truth.told_to_end = True
            self._end(KILL if self._deaf else TERM, Ended.WALLTIME)

    def _end(self, status: int, by: Ended) -> None:
        """The task is over; its record is written."""
        if self._ending:
            return
        self._ending = True
        self._task_over(status)
        self._after(0.3 * self.site.dice.random(), lambda: self._record(status, by))

    def _record(self, status: int, by: Ended) -> None:
        signal, code = (status, None) if status < 256 and status else (None, status >> 8)
        record = ExitRecord(
            nonce=self._nonce,
            started_at=self._began_at,
            ended_at=self._wall(),
            ended_by=by,
            exit_code=code,
            signal=signal,
            cpu_s=0.1,
            max_rss_mib=1.0,
        )
        self.site.root.record(self.eid, record)
        self._after(0.1 * self.site.dice.random(), lambda: self._leave(code or 0))

    def _die(self) -> None:
        """All of it is killed."""
        self._task_over(KILL)
        self._leave(128 + KILL)

    def _task_over(self, status: int) -> None:
        truth = self.truth
        if truth is not None and self in truth.family:
            self.site.oracle.ended(truth, status)
            truth.family.discard(self)
            if not truth.family:
                self.site.oracle.gone(truth)

    def _leave(self, code: int) -> None:
        self.alive = False
        self._over(code)

    def _wall(self) -> float:
        return self.site.wall() + self.site.skew_s[self.start.node.name]

    def _after(self, delay: float, call: Callable[[], None]) -> None:
        self.site.later(delay, lambda: call() if self.alive else None)


def _status(dice: random.Random, habits: Habits) -> int:
    fate = dice.random()
    if fate < habits.fails:
        return int(dice.choice((1, 1, 2, 97, 98))) << 8
    if fate < habits.fails + habits.crashes:
        return int(dice.choice((KILL, 11, 6)))
    return RESUME << 8 if fate < habits.fails + habits.crashes + habits.resumes else 0


class Other:
    """What strangers run: it takes its time. Nobody of ours may end it."""

    def __init__(self, site: Site, over: Callable[[int], None]) -> None:
        self.alive = True
        self._over = over
        site.later(site.dice.expovariate(1 / 120.0), self._leave)

    def kill(self, *, gently: bool) -> None:
        """See `Run`."""
        self._leave()

    def vanish(self) -> None:
        """See `Run`."""
        self.alive = False

    def _leave(self) -> None:
        if self.alive:
            self.alive = False
            self._over(0)
