"""What happened? An attempt and the evidence about it become a transition, or nothing yet.

An end is concluded from positive evidence only, and evidence has an order, strongest first:

    1. the exit record with the claim's nonce
    2. a revoked claim: it never ran
    3. the lock is held: it lives, whatever else is said
    4. the lock is free
    5. the source was rebooted, and does not have it in its queue
    6. nothing is there: that ends nothing, but it may be started again

Where a scheduler keeps the queue, locks and boots of the host that looks prove nothing. There it is

    3. the scheduler lists it: it lives, or will
    4. it is listed no more, for good (see `core.listings`), and the accounting knows the end of the start that we know,
       on a node that was heard since
    5. it is listed no more, and its walltime, which the shim enforces if nobody else does, has long passed
    6. it is listed no more, and never started: that ends nothing, but we may give it up by winning its claim

What was meant for another host of the same files, and has not begun, may be given up like that, too.

Whatever does not prove anything (an unreachable source, a lock that cannot be judged, a look from another host) leaves
the attempt as it is. A terminal attempt absorbs everything; a running one never goes back to queued.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from reconciler.core.diagnosis import accounted, cancelled, lost, recorded
from reconciler.core.evidence import (
    Absent,
    Accounted,
    Claimed,
    ClaimTorn,
    Evidence,
    ExitSeen,
    Listed,
    LockFree,
    LockHeld,
    LockUnknown,
    NotListed,
    Rebooted,
    RefusedThere,
    Revoked,
    Unreachable,
    Waiting,
    WrongHost,
)
from reconciler.core.jobs import Account
from reconciler.core.lifecycle import NOT_LISTED
from reconciler.core.model import Attempt, Digest, HostIdentity, Instant, Phase
from reconciler.core.wire import Claim, ExitRecord

WALLTIME_GRACE_S = 600.0  # schedulers end jobs a little after their walltime, and clocks differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Resubmit:
    """Nothing of it was claimed: start it again under the same eid, which the claim keeps safe, after a backoff."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """It will not start any more, as far as can be told: compete with it for its claim, and only then go on."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """The evidence does not tell; the attempt stays as it is, and somebody should know."""

    reason: str
    message: str


Resolution: TypeAlias = Attempt | Resubmit | GiveUp | Unresolved


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """The evidence, by kind; kinds that say nothing beyond themselves are in `signs`."""

    records: tuple[ExitRecord, ...] = ()
    claims: tuple[Claimed, ...] = ()
    revoked: Claim | None = None
    refused: str = ""
    differs: bool = False
    account: Account | None = None
    listed: bool = False
    unlisted: NotListed | None = None  # and missed
    gone: NotListed | None = None  # settled
    wrong_host: WrongHost | None = None
    signs: frozenset[Evidence] = frozenset()


def _gathered(evidence: Sequence[Evidence]) -> _Facts:
    facts = _Facts()
    for piece in evidence:
        facts = _with(facts, piece)
    return facts


def _with(facts: _Facts, piece: Evidence) -> _Facts:
    match piece:
        case ExitSeen(record):
            return replace(facts, records=(*facts.records, record))
        case Claimed():
            return replace(facts, claims=(*facts.claims, piece))
        case Revoked(claim):
            return replace(facts, revoked=claim)
        case RefusedThere(message, differs=differs):
            return replace(facts, refused=message, differs=differs)
        case WrongHost():
            return replace(facts, wrong_host=piece)
        case Listed():
            return replace(facts, listed=True)
        case Accounted(account):
            return replace(facts, account=account)
        case NotListed(settled=settled, missed=missed):
            gone, unlisted = piece if settled else facts.gone, piece if missed else facts.unlisted
            return replace(facts, gone=gone, unlisted=unlisted)
        case ClaimTorn() | LockHeld() | LockFree() | LockUnknown() | Rebooted() | Waiting() | Absent() | Unreachable():
            return replace(facts, signs=facts.signs | {piece})
        case _:
            assert_never(piece)


def resolve(attempt: Attempt, evidence: Sequence[Evidence], now: Instant) -> Resolution | None:
    """The attempt as it now is; or that it may be started again; or that the evidence does not tell; None: nothing new.

    The order of the evidence does not matter. The answer to the attempt that comes back is never that attempt again.
    """
    if attempt.phase.ended:
        return None
    facts = _gathered(evidence)
    if (contradiction := _contradiction(attempt, facts)) is not None:
        return contradiction
    known = _informed(attempt, facts, now)
    resolved = _ended(known, facts, now) or known
    return resolved if resolved != attempt else _unfinished(attempt, facts)


def _contradiction(attempt: Attempt, facts: _Facts) -> Unresolved | None:
    """A claim is won once and never changes: two winners mean that somebody else wrote there."""
    nonces = {claimed.claim.nonce for claimed in facts.claims}
    if attempt.nonce is not None:
        nonces.add(attempt.nonce)
    if len(nonces) + (facts.revoked is not None) <= 1:
        return None
    return Unresolved(reason="ClaimMismatch", message="two different claims were seen for one attempt")


def _informed(attempt: Attempt, facts: _Facts, now: Instant) -> Attempt:
    """The attempt with what its claim, or its place in the source's queue, tells about it.

    A state that was copied, or put back from a backup, gives a number again that was given before, perhaps for other
    work: the claim says what really ran, and that is judged as outdated wherever it matters.

    A torn claim is one, too, as far as anybody can tell: nothing else can start under its name, and a person who knows
    that nothing of it lives may say so.
    """
    if facts.claims and attempt.nonce is None:
        claimed = facts.claims[0]
        attempt = replace(
            attempt,
            phase=Phase.RUNNING,
            digest=Digest(claimed.claim.digest) if claimed.claim.digest else attempt.digest,
            started_at=claimed.claim.at,
            nonce=claimed.claim.nonce,
            gpus=claimed.claim.gpus,
            directory=claimed.directory or attempt.directory,
        )
    torn = ClaimTorn() in facts.signs and facts.revoked is None
    if torn and attempt.phase is Phase.QUEUED:
        attempt = replace(attempt, phase=Phase.RUNNING)
    if attempt.accepted_at is None and (facts.claims or torn or facts.listed or Waiting() in facts.signs):
        attempt = replace(attempt, accepted_at=now)
    since = _unlisted_at(attempt, facts)
    return attempt if since == attempt.unlisted_at else replace(attempt, unlisted_at=since)


def _unlisted_at(attempt: Attempt, facts: _Facts) -> Instant | None:
    """Remembered beyond the session: whoever is killed again and again must get on, too."""
    if facts.listed or attempt.phase is not Phase.QUEUED:
        return None
    if attempt.unlisted_at is None and facts.unlisted is not None:
        return facts.unlisted.at
    return attempt.unlisted_at


def _ended(attempt: Attempt, facts: _Facts, now: Instant) -> Attempt | None:
    """The attempt's end, if the evidence proves one, by the strongest piece that does."""
    for record in facts.records:
        if record.nonce == attempt.nonce:
            return recorded(attempt, record)
    if facts.revoked is not None:
        return cancelled(attempt, facts.revoked.at, attempt.cancel or "Revoked", "it was given up before it started")
    if LockHeld() in facts.signs:
        return None
    if LockFree() in facts.signs and attempt.nonce is not None:
        return lost(attempt, now, "none of its processes lives, and it left no record")
    if Rebooted() in facts.signs and Waiting() not in facts.signs:
        return lost(attempt, now, "the source was rebooted, and it left no record")
    if attempt.nonce is not None and facts.gone is not None and not facts.listed:
        return _gone(attempt, facts, facts.gone.at, now)
    return None


def _gone(attempt: Attempt, facts: _Facts, there: Instant, now: Instant) -> Attempt | None:
    """The end of a started attempt that its scheduler has no more and that left no record, if somebody can tell it.

    The accounting counts only for the very start that won the claim: the same id may be another's job by now, and
    another start of the same job lost the claim and did nothing. there: the clock of the source, as its start was.
    """
    starts = {(claimed.claim.job, claimed.claim.restarts) for claimed in facts.claims}
    account = facts.account
    if account is not None and account.ceased and (account.job, account.restarts) in starts:
        return accounted(attempt, account)
    walltime_s, started_at = attempt.resources.walltime_s, attempt.started_at
    if walltime_s is not None and started_at is not None and there > started_at + walltime_s + WALLTIME_GRACE_S:
        return lost(attempt, now, "it is not listed, its walltime has long passed, and it left no record")
    return None


def _unfinished(attempt: Attempt, facts: _Facts) -> Resubmit | GiveUp | Unresolved | None:
    """Nothing changed: is there something to do, or something that somebody should know?"""
    if facts.wrong_host is not None:
        return _elsewhere(attempt, facts, facts.wrong_host)
    if ClaimTorn() in facts.signs:
        return Unresolved(reason="ClaimTorn", message="what lies where its claim should be cannot be understood")
    if attempt.phase is not Phase.RUNNING:
        return _not_started(attempt, facts)
    if LockHeld() in facts.signs:
        return None
    if Absent() in facts.signs:
        return Unresolved(reason="Vanished", message="it had started, and its directory is no longer there")
    if facts.gone is not None and not facts.listed:
        return Unresolved(reason="NoRecord", message="the scheduler lists it no more, and it left no record")
    if LockUnknown() in facts.signs:
        return Unresolved(reason="LockUnknown", message="its lock cannot be judged: it may run, or have ended")
    return None


def _elsewhere(attempt: Attempt, facts: _Facts, seen: WrongHost) -> GiveUp | Unresolved:
    """What is of another host stays as it is, unless it has not begun, and can only begin in the files that we see."""
    expected, actual = _named(seen.expected), _named(seen.actual)
    if seen.shared and attempt.phase is Phase.QUEUED and not (attempt.cancel or facts.records):
        message = f"it was meant for {expected}, had not started there, and {actual} answers now"
        return GiveUp(reason="WrongHost", message=message)
    return Unresolved(reason="WrongHost", message=f"it belongs to {expected}, and {actual} looked for it")


def _not_started(attempt: Attempt, facts: _Facts) -> Resubmit | GiveUp | Unresolved | None:
    if facts.records:
        return Unresolved(
            reason="RecordWithoutClaim", message="there is an exit record, but no claim that it belongs to"
        )
    if attempt.cancel or facts.listed or facts.signs & {LockHeld(), Waiting()}:
        return None
    if facts.gone is not None:
        said = f": {facts.gone.said}" if facts.gone.said else ""
        return GiveUp(reason=NOT_LISTED, message=f"the scheduler does not have it, and it has not started{said}")
    if facts.refused and facts.differs:
        return Resubmit(reason="ProjectDiffers", message=f"the code there is not what was verified: {facts.refused}")
    if facts.refused:
        return Resubmit(reason="ClaimFailed", message=f"the source could not start it: {facts.refused}")
    if Absent() in facts.signs:
        return Resubmit(reason="NothingThere", message="nothing of it has started on the source")
    return None


def _named(home: HostIdentity) -> str:
    return f"{home.host or 'a host without a name'} (machine {home.machine[:8] or 'unknown'})"
