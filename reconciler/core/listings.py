"""When is a job that is not listed really gone? Never because of one listing, and never because of a failed one.

A job counts as gone after two clean listings without it and a settle time, which covers late arrivals, slow accounting
and the caches of network file systems. A listing in which more than a fifth of the live jobs vanish at once is not
believed before the next one confirms it: a wrapper that swallows an error prints an empty table. What such a listing
does have is believed all the same.

Even then "gone" only permits us to *revoke*, that is to compete with the job for its claim: a wrong settle time costs a
wasted job, never a double run.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType

from reconciler.core.model import Eid

CLEAN_LISTINGS = 2
MASS_FRACTION = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """Since when (monotonic seconds) an attempt is not listed, and in how many clean listings in a row."""

    since: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """What the listings of one source have told so far. A new session begins with an empty one.

    live     listed in the newest listing that was believed
    suspect  those whose vanishing was too much to be believed at once
    unheard  those that ended on nodes which were silent then, and since when these are heard again: inf, not so far
    """

    misses: Mapping[Eid, Miss] = field(default_factory=dict)
    live: frozenset[Eid] = frozenset()
    suspect: frozenset[Eid] = frozenset()
    unheard: Mapping[Eid, float] = field(default_factory=dict)


def heard(
    register: Register,
    *,
    listed: Collection[Eid],
    missing: Collection[Eid],
    at: float,
    nodes: Mapping[Eid, bool] = MappingProxyType({}),
) -> Register:
    """The register after one clean listing at the monotonic time `at`.

    listed/missing: the open attempts that it has, and those that it has not and that have not ended as far as we know.
    nodes: of those of which an end is told, whether their nodes are heard now.
    """
    unheard = {
        eid: _heard_since(register.unheard.get(eid, -math.inf), nodes.get(eid), at)
        for eid in missing
        if eid in register.unheard or nodes.get(eid) is False
    }
    here = frozenset(listed)
    vanished = register.live & frozenset(missing)
    if len(vanished - register.suspect) > MASS_FRACTION * len(register.live):
        kept = {eid: miss for eid, miss in register.misses.items() if eid not in here}
        return Register(misses=kept, live=register.live | here, suspect=vanished, unheard=unheard)
    misses = {eid: _missed(register.misses.get(eid), at) for eid in missing}
    return Register(misses=misses, live=here, unheard=unheard)


def settled(register: Register, *, at: float, settle_s: float) -> Set[Eid]:
    """Those that are gone, as far as listings can tell; at: when the newest listing was asked for. None in doubt."""
    return {
        eid
        for eid in missed(register)
        if register.misses[eid].count >= CLEAN_LISTINGS and at - register.misses[eid].since >= settle_s
    }


def missed(register: Register) -> Set[Eid]:
    """Those that the newest listing should have, and does not. None in doubt."""
    return frozenset() if register.suspect else register.misses.keys()


def doubted(register: Register, *, at: float, settle_s: float) -> Set[Eid]:
    """Those that are said to have ended on nodes which were given up, and may go on there.

    A node that comes back goes on with what it had until it is told to end that, and then for as long as its programs
    are given to do so.
    """
    return {eid for eid, since in register.unheard.items() if at - since < settle_s}


def _heard_since(since: float, heard_now: bool | None, at: float) -> float:
    if heard_now is None:  # nobody could tell
        return since
    return min(since, at) if heard_now else math.inf


def _missed(before: Miss | None, at: float) -> Miss:
    return Miss(since=at, count=1) if before is None else Miss(since=before.since, count=before.count + 1)
