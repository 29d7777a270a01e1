"""What happened? An attempt and the evidence about it become a transition, or nothing yet.

An end is concluded from positive evidence only, and evidence has an order, strongest first:

    exit record with the claim's nonce  ›  revoked claim  ›  lock held (it lives)  ›  lock free  ›  rebooted  ›  nothing there

Whatever does not prove anything (an unreachable source, a lock that cannot be judged, a look from another host) leaves the
attempt as it is. A terminal attempt absorbs everything; a running one never goes back to queued.

Each kind of evidence is a class, and `_Facts` is filled by an exhaustive match: a new kind does not pass the type checker
until it has been given its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.core.model import Attempt, HostIdentity, Instant
from reconciler.core.wire import Claim, ExitRecord, Found


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
    ExitSeen | Claimed | Revoked | LockHeld | LockFree | Rebooted | WrongHost | Waiting | Absent | RefusedThere | Unreachable
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resubmit:
    """Nothing runs and nothing was claimed: start it again under the same eid (the claim keeps that safe), after a backoff."""

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
    raise NotImplementedError


def resolve(attempt: Attempt, evidence: Sequence[Evidence], now: Instant) -> Resolution | None:
    """The attempt as it now is; or that it may be started again; or that the evidence does not tell; None: nothing new.

    The order of the evidence does not matter. The answer to the attempt that comes back is never that attempt again.
    """
    raise NotImplementedError
