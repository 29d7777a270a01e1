"""What a dialect is: the questions that a scheduler understands, each with how to read its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.core.model import Eid
from reconciler.core.wire import AttemptSpec, CancelOutcome, Exchange, Found, StartOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a scheduler bears.

    batch_max   attempts in one submission
    settle_s    how long "nothing is there" must hold before we may give up on a submission of unknown outcome
    prefetch    the source keeps a queue of its own beyond its slots, so that ends need no round trip to be followed
    """

    batch_max: int
    settle_s: float
    prefetch: bool


class Dialect(Protocol):
    """How one kind of scheduler is spoken to."""

    @property
    def limits(self) -> Limits: ...

    def submit(self, batch: Sequence[AttemptSpec]) -> Exchange[Mapping[Eid, StartOutcome]]: ...

    def inspect(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, Found]]: ...

    def cancel(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, CancelOutcome]]: ...
