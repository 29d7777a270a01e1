"""What a dialect is: the questions that a scheduler understands, each with how to read its answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from reconciler.core.jobs import Site
from reconciler.core.model import Eid
from reconciler.core.wire import AttemptSpec, CancelOutcome, Exchange, Found, RevokeOutcome, StartOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a scheduler bears.

    batch_max    attempts in one submission
    inspect_max  attempts in one look
    settle_s     how long "nothing is there" must hold before we may give up on a submission of unknown outcome
    poll_s       how often it is asked for all its jobs; None: there is no scheduler, and the agent tells by itself
    adaptive     it is asked less often while its answers stay the same, and not at the same moments as by others
    submit_every_s  at least so long between two submissions
    prefetch     the source keeps a queue of its own beyond its slots, so that ends need no round trip to be followed
    """

    batch_max: int
    inspect_max: int
    settle_s: float = 0.0
    poll_s: float | None = None
    adaptive: bool = False
    submit_every_s: float = 0.0
    prefetch: bool = False

    @property
    def scheduled(self) -> bool:
        """Whether a scheduler keeps the queue: then a submission must not be repeated, and where we look from is
        nothing to go by."""
        return self.poll_s is not None


class Opinion(StrEnum):
    """What a scheduler thinks of a submission that it is asked about and that nobody makes."""

    TAKEN = "taken"
    REFUSED = "refused"  # and will be, until somebody changes something
    LATER = "later"  # not now
    UNKNOWN = "unknown"  # it did not say, or not in words that we know


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The opinion of a scheduler, in its own words.

    at: what is at fault, as a path from the manifest's root, or `options` and a name of those of the source; () when
    that cannot be told.
    """

    opinion: Opinion
    message: str
    hint: str = ""
    at: tuple[str, ...] = ()


class Dialect(Protocol):
    """How one kind of scheduler is spoken to.

    Where a scheduler keeps the queue, `submit` raises Refused or Busy when it has certainly taken nothing, and leaves
    out of its answer whatever it cannot tell.
    """

    @property
    def limits(self) -> Limits: ...

    def submit(self, batch: Sequence[AttemptSpec]) -> Exchange[Mapping[Eid, StartOutcome]]: ...

    def inspect(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, Found]]: ...

    def revoke(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, RevokeOutcome]]: ...

    def cancel(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, CancelOutcome]]: ...


@runtime_checkable
class Restricting(Protocol):
    """A dialect whose scheduler can be told how many jobs of a batch may run at once.

    restrict: limits by any one attempt of each batch, 0 = any number; the attempts whose batches were told.
    """

    def restrict(self, limits: Mapping[Eid, int]) -> Exchange[Collection[Eid]]: ...


@runtime_checkable
class Surveyed(Protocol):
    """A dialect that can find out what its scheduler bears, and heed it."""

    def survey(self) -> Exchange[Site | None]: ...

    def within(self, site: Site) -> Dialect: ...
