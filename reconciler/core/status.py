"""How do we tell it? Conditions, counts and one line for a person: the only place where conditions are set.

Facts go in as plain frozen values; a status comes out; `sweep_json`, `source_json` and `status_json` turn it into the
documented dictionaries at the very edge. POLARITY says of each condition type whether True is the good or the bad news;
a condition whose True is bad is listed only while it is True.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.core.dispatch import Hold
from reconciler.core.model import Commit, Condition, Json, Phase, SourceName, SweepName, SweepState


class Polarity(StrEnum):
    """What True means for a person."""

    GOOD = "good"  # always listed
    NEUTRAL = "neutral"  # always listed
    BAD = "bad"  # listed only while True


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that somebody should know: becomes a condition."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFacts:
    """All that is known about one sweep.

    generation           counts the accepted spec changes; observed_generation: the one that the tasks reflect
    tasks                desired tasks by phase
    leaving              tasks no longer desired whose attempt is still active
    sources              active attempts by source
    holds                of the last dispatch
    allowed_failures     None: any number
    unresolved           attempts whose fate the evidence does not tell
    invalid              the newest manifest cannot be used: the last good spec stays in force
    prune_blocked        removals that wait for an approval
    history_rewritten    the branch was rewritten: cancellations wait for an approval
    error                the last pass over this sweep failed
    """

    name: SweepName
    state: SweepState
    generation: int
    observed_generation: int
    tasks: Mapping[Phase, int]
    leaving: int = 0
    sources: Mapping[SourceName, int] = field(default_factory=dict)
    holds: Sequence[Hold] = ()
    allowed_failures: int | None = None
    unresolved: int = 0
    invalid: Problem | None = None
    prune_blocked: Problem | None = None
    history_rewritten: Problem | None = None
    error: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """All that is known about one source. `problem`: why it cannot be used (unreachable, fenced, wrong host, foreign root, …)."""

    name: SourceName
    enabled: bool
    connected: bool
    slots: int
    active: int = 0
    gpus: int = 0
    gpus_free: int = 0
    unresolved: int = 0
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStatus:
    """One sweep as it is told."""

    name: SweepName
    state: SweepState
    generation: int
    observed_generation: int
    summary: str
    conditions: tuple[Condition, ...]
    tasks: Mapping[Phase, int]
    sources: Mapping[SourceName, int]
    holds: tuple[Hold, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """One source as it is told."""

    name: SourceName
    up: bool
    enabled: bool
    slots: int
    active: int
    gpus: int
    gpus_free: int
    conditions: tuple[Condition, ...]


def sweep_status(facts: SweepFacts) -> SweepStatus:
    """Conditions, counts and summary of one sweep."""
    raise NotImplementedError


def source_status(facts: SourceFacts) -> SourceStatus:
    """Conditions of one source."""
    raise NotImplementedError


def sweep_json(status: SweepStatus) -> dict[str, Json]:
    """One element of `sweeps` in `status -o json`."""
    raise NotImplementedError


def source_json(status: SourceStatus) -> dict[str, Json]:
    """One element of `sources` in `status -o json`."""
    raise NotImplementedError


def status_json(
    revision: Commit | None, sweeps: Sequence[SweepStatus], sources: Sequence[SourceStatus]
) -> dict[str, Json]:
    """The whole of `status -o json`, sweeps and sources by name."""
    raise NotImplementedError
