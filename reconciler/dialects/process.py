"""The dialect of a machine without a scheduler: the agent itself keeps the queue, forks the shims and watches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.model import Eid
from reconciler.core.wire import (
    PAGE,
    AttemptSpec,
    CancelOutcome,
    Exchange,
    Found,
    Reply,
    Request,
    RevokeOutcome,
    StartOutcome,
)
from reconciler.core.wire_json import outcomes_from_json, page_from_json, spec_to_json
from reconciler.dialects.base import Limits

LIMITS = Limits(batch_max=PAGE, inspect_max=PAGE, prefetch=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessDialect:
    """Plain processes on the source.

    grace_s: seconds between TERM and KILL when the agent itself must end what is left of an attempt without a shim.
    """

    grace_s: float = 10.0
    limits: Limits = LIMITS

    def submit(self, batch: Sequence[AttemptSpec]) -> Exchange[Mapping[Eid, StartOutcome]]:
        """Start these attempts, as soon as slots are free. Repeatable: the claim decides."""
        request = Request(op="start", body={"attempts": [spec_to_json(spec) for spec in batch]})
        return Exchange(request=request, parse=_start_outcomes)

    def inspect(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, Found]]:
        """What lies on the source about these attempts; from then on the agent reports their changes."""
        return Exchange(request=Request(op="inspect", body={"eids": list(eids)}), parse=_findings)

    def revoke(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, RevokeOutcome]]:
        """Give these attempts up, unless they have started: then nothing happens."""
        return Exchange(request=Request(op="revoke", body={"eids": list(eids)}), parse=_revoke_outcomes)

    def cancel(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, CancelOutcome]]:
        """End these attempts: one that has not started never will, one that runs is told to end."""
        request = Request(op="cancel", body={"eids": list(eids), "grace_s": self.grace_s})
        return Exchange(request=request, parse=_cancel_outcomes)


def _start_outcomes(reply: Reply) -> Mapping[Eid, StartOutcome]:
    return outcomes_from_json(StartOutcome, reply.body.get("outcomes"))


def _revoke_outcomes(reply: Reply) -> Mapping[Eid, RevokeOutcome]:
    return outcomes_from_json(RevokeOutcome, reply.body.get("outcomes"))


def _cancel_outcomes(reply: Reply) -> Mapping[Eid, CancelOutcome]:
    return outcomes_from_json(CancelOutcome, reply.body.get("outcomes"))


def _findings(reply: Reply) -> Mapping[Eid, Found]:
    return page_from_json(reply.body.get("found"))
