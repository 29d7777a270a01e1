"""What happened? An attempt and the evidence about it become a transition, or nothing yet.

An end is concluded from positive evidence only, and evidence has an order, strongest first:

    1. the exit record with the claim's nonce
    2. a revoked claim: it never ran
    3. the lock is held: it lives, whatever else is said
    4. the lock is free
    5. the source was rebooted, and does not have it in its queue
    6. nothing is there: that ends nothing, but it may be started again

Whatever does not prove anything (an unreachable source, a lock that cannot be judged, a look from another host) leaves
the attempt as it is. A terminal attempt absorbs everything; a running one never goes back to queued.

Each kind of evidence is a class, and `_with` gives each its place by an exhaustive match: a new kind does not pass the
type checker before it has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from reconciler.core.diagnosis import cancelled, lost, recorded
from reconciler.core.model import Attempt, Digest, HostIdentity, Instant, Phase
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
    """We looked from another host: its locks and its boot prove nothing. The source is unhealthy."""

    expected: HostIdentity
    actual: HostIdentity


@dataclass(frozen=True, slots=True)
class Waiting:
    """It waits in the source's own queue, and will start."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Same boot, no claim, not in the source's queue: nothing of the attempt is there, or only its staged files."""


@dataclass(frozen=True, slots=True)
class RefusedThere:
    """The shim could not even claim: nothing ran."""

    message: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer: no news."""


Evidence: TypeAlias = (
    ExitSeen
    | Claimed
    | Revoked
    | LockHeld
    | LockFree
    | LockUnknown
    | Rebooted
    | WrongHost
    | Waiting
    | Absent
    | RefusedThere
    | Unreachable
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resubmit:
    """Nothing of it was claimed: start it again under the same eid, which the claim keeps safe, after a backoff."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """The evidence does not tell; the attempt stays as it is, and somebody should know."""

    reason: str
    message: str


Resolution: TypeAlias = Attempt | Resubmit | Unresolved


def evidence(attempt: Attempt, found: Found, here: HostIdentity) -> tuple[Evidence, ...]:
    """What a look at the source proves about the attempt; `here` is the identity of the host that looked."""
    return (*_files(found), *_life(attempt, found, here))


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
            pass
    if found.refused:
        yield RefusedThere(found.refused)
    if found.waiting:
        yield Waiting()


def _life(attempt: Attempt, found: Found, here: HostIdentity) -> Iterator[Evidence]:
    """Whether anything of the attempt lives: only the host on which it was claimed, or else intended, can tell."""
    home = found.claim.home if found.claim is not None else attempt.home
    if not _same_host(home, here):
        yield WrongHost(home, here)
        return
    if found.lock is Lock.HELD:
        yield LockHeld()
    if home.boot != here.boot:
        yield Rebooted()
    elif found.claim is None:
        if not (found.exit or found.waiting or found.refused or found.lock is Lock.HELD):
            yield Absent()
    elif found.claim.kind is ClaimKind.STARTED and found.lock is not Lock.HELD:
        yield LockFree() if found.lock is Lock.FREE else LockUnknown()


def _same_host(home: HostIdentity, here: HostIdentity) -> bool:
    """A blank identity is not equal to itself: two machines that cannot tell who they are may be two.

    One boot is one machine, though: containers often have no machine id.
    """
    known = "" not in (home.host, home.boot, here.boot) and (home.machine != "" or home.boot == here.boot)
    return known and (home.host, home.machine) == (here.host, here.machine)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """The evidence, by kind; kinds that say nothing beyond themselves are in `signs`."""

    records: tuple[ExitRecord, ...] = ()
    claims: tuple[Claimed, ...] = ()
    revoked: Claim | None = None
    refused: str = ""
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
        case RefusedThere(message):
            return replace(facts, refused=message)
        case WrongHost():
            return replace(facts, wrong_host=piece)
        case LockHeld() | LockFree() | LockUnknown() | Rebooted() | Waiting() | Absent() | Unreachable():
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
    if attempt.accepted_at is None and (facts.claims or Waiting() in facts.signs):
        attempt = replace(attempt, accepted_at=now)
    return attempt


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
    return None


def _unfinished(attempt: Attempt, facts: _Facts) -> Resubmit | Unresolved | None:
    """Nothing changed: is there something to do, or something that somebody should know?"""
    if facts.wrong_host is not None:
        expected, actual = facts.wrong_host.expected, facts.wrong_host.actual
        return Unresolved(
            reason="WrongHost", message=f"it belongs to {_named(expected)}, and {_named(actual)} looked for it"
        )
    if attempt.nonce is None:
        return _not_started(attempt, facts)
    if LockHeld() in facts.signs:
        return None
    if Absent() in facts.signs:
        return Unresolved(reason="Vanished", message="it had started, and its directory is no longer there")
    if LockUnknown() in facts.signs:
        return Unresolved(reason="LockUnknown", message="its lock cannot be judged: it may run, or have ended")
    return None


def _not_started(attempt: Attempt, facts: _Facts) -> Resubmit | Unresolved | None:
    if facts.records:
        return Unresolved(
            reason="RecordWithoutClaim", message="there is an exit record, but no claim that it belongs to"
        )
    if attempt.cancel or facts.signs & {LockHeld(), Waiting()}:
        return None
    if facts.refused:
        return Resubmit(reason="ClaimFailed", message=f"the source could not start it: {facts.refused}")
    if Absent() in facts.signs:
        return Resubmit(reason="NothingThere", message="nothing of it has started on the source")
    return None


def _named(home: HostIdentity) -> str:
    return f"{home.host or 'a host without a name'} (machine {home.machine[:8] or 'unknown'})"
