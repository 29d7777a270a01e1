"""What a look at a source proves about an attempt, as values: `core.resolve` weighs them.

Each kind of evidence is a class, and `resolve` gives each its place by an exhaustive match: a new kind does not pass
the type checker before it has one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from typing import TypeAlias

from reconciler.core.jobs import Account, Job, Listing
from reconciler.core.listings import Register, doubted, missed, settled
from reconciler.core.model import Attempt, Eid, HostIdentity, Instant
from reconciler.core.wire import Claim, ClaimKind, ExitRecord, Found, Lock


@dataclass(frozen=True, slots=True)
class ExitSeen:
    """The shim's exit record; counts only if its nonce is the claim's."""

    record: ExitRecord


@dataclass(frozen=True, slots=True)
class Claimed:
    """The attempt started: its shim won the claim."""

    claim: Claim
    directory: str = ""


@dataclass(frozen=True, slots=True)
class ClaimTorn:
    """Something lies where its claim should be, and cannot be understood: nobody can tell whether it started."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """Somebody gave up on the attempt and won its claim: it never ran and never will."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class LockHeld:
    """Some process of the attempt lives."""


@dataclass(frozen=True, slots=True)
class LockFree:
    """No process of the attempt lives. Looked at before the exit record was read."""


@dataclass(frozen=True, slots=True)
class LockUnknown:
    """The lock of a started attempt cannot be judged: no file, or not the claim's inode. Proves nothing."""


@dataclass(frozen=True, slots=True)
class Rebooted:
    """The same host runs another boot than the one in which the attempt was claimed or intended."""


@dataclass(frozen=True, slots=True)
class WrongHost:
    """We looked from another host: its locks and its boot prove nothing. The source is unhealthy.

    shared: nobody has claimed it, and both hosts have the same files: whoever claims it does so where we looked.
    """

    expected: HostIdentity
    actual: HostIdentity
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """It waits in the source's own queue, and will start."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Same boot, no claim, not in the source's queue: nothing of the attempt is there, or only its staged files."""


@dataclass(frozen=True, slots=True)
class RefusedThere:
    """The shim could not even claim, or would not, because its code differs from what was verified: nothing ran."""

    message: str
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """The scheduler has it, under our tag."""

    job: Job


@dataclass(frozen=True, slots=True)
class NotListed:
    """A clean listing does not have it. `settled`: nor did others, for so long that it will not come any more.

    missed: it should have it, whereas it may be older than a submission, and one in which many vanish is not believed.
    at: the source's own clock at that time: ours may jump.
    said: what its job said that ended before it claimed anything, as far as that is known; it proves nothing.
    """

    settled: bool
    at: Instant
    said: str = ""
    missed: bool = False


@dataclass(frozen=True, slots=True)
class Accounted:
    """The accounting tells how a start of its job ended."""

    account: Account


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer: no news."""


Evidence: TypeAlias = (
    ExitSeen
    | Claimed
    | ClaimTorn
    | Revoked
    | LockHeld
    | LockFree
    | LockUnknown
    | Rebooted
    | WrongHost
    | Waiting
    | Absent
    | RefusedThere
    | Listed
    | NotListed
    | Accounted
    | Unreachable
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A scheduler keeps the source's queue. Then the host that looks is any of several, and proves nothing.

    gone      those that it has no more, for good, as far as `core.listings` can tell
    clock     the source's own clock
    doubted   those that may still be at work on nodes which were given up, and are heard again
    missed    those that its newest listing should have, and does not
    asked_at  when that was asked for, by the source's own clock
    settle_s  how long that must hold: as measured in one session, or over several, as the attempt remembers it
    """

    gone: Set[Eid]
    clock: Instant
    doubted: Set[Eid] = frozenset()
    missed: Set[Eid] = frozenset()
    asked_at: Instant = -math.inf
    settle_s: float = math.inf

    @classmethod
    def of(cls, register: Register, *, at: float, settle_s: float, clock: Instant, elapsed: float) -> Scheduled:
        """As its listings tell; at: when the newest was asked for, elapsed: now, both monotonic."""
        return cls(
            gone=settled(register, at=at, settle_s=settle_s),
            clock=clock,
            doubted=doubted(register, at=at, settle_s=settle_s),
            missed=missed(register),
            asked_at=clock - (elapsed - at),
            settle_s=settle_s,
        )


def evidence(
    attempt: Attempt,
    found: Found,
    here: HostIdentity,
    scheduled: Scheduled | None = None,
    neighbours: Set[HostIdentity] = frozenset(),
) -> tuple[Evidence, ...]:
    """What a look at the source proves about the attempt.

    here        the identity of the host that looked
    neighbours  those that have the same files, for certain
    """
    if scheduled is None:
        return (*_files(found), *_own_queue(found), *_life(attempt, found, here, neighbours))
    return (*_files(found), *_queue(attempt, found, scheduled))


def _queue(attempt: Attempt, found: Found, scheduled: Scheduled) -> Iterator[Evidence]:
    """What the scheduler says. Who was not asked, or failed, says nothing, not even that something is missing."""
    if found.job is not None:
        yield Listed(found.job)
    elif found.listing is Listing.CLEAN:
        missed_now = found.eid in scheduled.missed
        settled = found.eid in scheduled.gone or (missed_now and _unlisted_for_long(attempt, found, scheduled))
        yield NotListed(settled=settled, at=scheduled.clock, said=found.said, missed=missed_now)
    if found.account is not None:
        ceased = found.account.ceased and found.eid not in scheduled.doubted
        yield Accounted(replace(found.account, ceased=ceased))


def _unlisted_for_long(attempt: Attempt, found: Found, scheduled: Scheduled) -> bool:
    """Over several sessions: good enough to compete for its claim, not to say how ended what has started."""
    since = attempt.unlisted_at if (found.claim, found.torn, attempt.nonce) == (None, False, None) else None
    return since is not None and scheduled.asked_at - since >= scheduled.settle_s


def _files(found: Found) -> Iterator[Evidence]:
    """What was written about the attempt: true whoever reads it, wherever."""
    if found.exit is not None:
        yield ExitSeen(found.exit)
    match found.claim:
        case Claim(kind=ClaimKind.STARTED) as claim:
            yield Claimed(claim, found.directory)
        case Claim() as claim:
            yield Revoked(claim)
        case None:
            if found.torn:
                yield ClaimTorn()


def _own_queue(found: Found) -> Iterator[Evidence]:
    """Where the agent itself keeps the queue, and starts what is in it."""
    if found.refused:
        yield RefusedThere(found.refused, differs=found.differs)
    if found.waiting:
        yield Waiting()


def _life(attempt: Attempt, found: Found, here: HostIdentity, neighbours: Set[HostIdentity]) -> Iterator[Evidence]:
    """Whether anything of the attempt lives: only the host on which it was claimed, or else intended, can tell."""
    home = found.claim.home if found.claim is not None else attempt.home
    if not _same_host(home, here):
        yield WrongHost(home, here, shared=found.claim is None and home in neighbours)
        return
    if found.lock is Lock.HELD:
        yield LockHeld()
    if home.boot != here.boot:
        yield Rebooted()
    elif found.claim is None:
        if not (found.exit or found.waiting or found.refused or found.torn or found.lock is Lock.HELD):
            yield Absent()
    elif found.claim.kind is ClaimKind.STARTED and found.lock is not Lock.HELD:
        yield LockFree() if found.lock is Lock.FREE else LockUnknown()


def _same_host(home: HostIdentity, here: HostIdentity) -> bool:
    """A blank identity is not equal to itself: two machines that cannot tell who they are may be two.

    One boot is one machine, though: containers often have no machine id.
    """
    known = "" not in (home.host, home.boot, here.boot) and (home.machine != "" or home.boot == here.boot)
    return known and (home.host, home.machine) == (here.host, here.machine)
