"""What the listings of a scheduler have told in one session, and what can be said of it now."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from reconciler.core.evidence import Scheduled
from reconciler.core.jobs import Job, Listing
from reconciler.core.listings import Register, heard
from reconciler.core.model import Eid, Instant
from reconciler.core.wire import Found
from reconciler.dialects.base import Limits


class Hearsay:
    """Of one source. All times are elapsed (monotonic) seconds, but for the source's own clock."""

    def __init__(self) -> None:
        self._register = Register()
        self._asked_at = 0.0  # for the newest clean listing
        self._clock_there = 0.0  # the source's own clock, less our elapsed time

    def begin(self, clock: Instant, elapsed: float) -> None:
        """A new session, in which nothing has been heard. clock: what the source's own says."""
        self._register = Register()
        self._clock_there = clock - elapsed

    def take(
        self, page: Mapping[Eid, Found], *, flying: Collection[Eid], asked_at: float, elapsed: float
    ) -> Mapping[Eid, Job] | None:
        """The jobs of a clean listing, after it has added to what others have told; None: any other adds nothing.

        Who is missing is so since the answer came, and until the question was asked: the answer may have waited long.
        flying: who is just being submitted, and is not missing yet.
        """
        found = page.values()
        if any(each.listing is not Listing.CLEAN for each in found):
            return None
        jobs = {each.eid: each.job for each in found if each.job is not None}
        missing = [each.eid for each in found if each.job is None and each.exit is None and each.eid not in flying]
        nodes = {each.eid: each.account.ceased for each in found if each.account is not None}
        self._register = heard(self._register, listed=jobs, missing=missing, at=elapsed, nodes=nodes)
        self._asked_at = asked_at
        return jobs

    def scheduled(self, limits: Limits, elapsed: float) -> Scheduled | None:
        """What is known of the source's scheduler, if it has one."""
        if not limits.scheduled:
            return None
        clock = self._clock_there + elapsed
        return Scheduled.of(self._register, at=self._asked_at, settle_s=limits.settle_s, clock=clock, elapsed=elapsed)
