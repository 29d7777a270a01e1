"""How do we tell it? Conditions, counts and one line for a person: the only place where conditions are set.

Facts go in as plain frozen values; a status comes out; `sweep_json`, `source_json` and `status_json` turn it into the
documented dictionaries at the very edge. POLARITY says of each condition type whether True is the good or the bad news;
a condition whose True is bad is listed only while it is True.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from reconciler.core.fit import Hold
from reconciler.core.model import Commit, Condition, ConditionStatus, Json, Phase, ProjectName, SourceName, SweepName
from reconciler.core.spec import SweepState


class Polarity(StrEnum):
    """What True means for a person."""

    GOOD = "good"  # always listed
    NEUTRAL = "neutral"  # always listed
    BAD = "bad"  # listed only while True


POLARITY: Mapping[str, Polarity] = {
    # of sweeps
    "Ready": Polarity.GOOD,
    "Reconciling": Polarity.NEUTRAL,
    "Stalled": Polarity.BAD,
    "Invalid": Polarity.BAD,
    "PruneBlocked": Polarity.BAD,
    "HistoryRewritten": Polarity.BAD,
    "ProjectInSync": Polarity.GOOD,
    # of sources
    "Up": Polarity.GOOD,
    "Disabled": Polarity.BAD,
    "Fenced": Polarity.BAD,
    "WrongHost": Polarity.BAD,
    "MayMissEnds": Polarity.BAD,
    "QueueStuck": Polarity.BAD,
    "StartsFail": Polarity.BAD,
    "CollectFailed": Polarity.BAD,
    # of both
    "Unresolved": Polarity.BAD,
}
TOLD = (Phase.RUNNING, Phase.QUEUED, Phase.SUCCEEDED, Phase.FAILED, Phase.LOST, Phase.CANCELLED, Phase.WAITING)
BARRED = ("SubmissionRefused", "JobsNotStarting")  # a source takes none of it before somebody does something
NAMED_PROBLEMS = ("Fenced", "WrongHost")  # problems of a source that are conditions of their own, besides Up


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that somebody should know: becomes a condition."""

    reason: str
    message: str


DISABLED = Problem(reason="DisabledByOperator", message="nothing new starts here; what runs goes on")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFacts:
    """The code of one sweep: the sources that are known to hold it as pinned, and those on which it is not ready."""

    project: ProjectName
    pin: Commit
    ready: Sequence[SourceName] = ()
    problems: Mapping[SourceName, Problem] = field(default_factory=dict)


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
    code                 what its tasks run; None: that is not known yet
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
    code: CodeFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """All that is known about one source.

    problem      why it cannot be used (no answer, fenced, wrong host, …)
    stuck        why jobs in its scheduler's queue will not start before somebody does something; "" = none are
    unstarted    whose jobs end there, one submission after the other, before they have started; "" = nobody's
    missed       why ends may be missed of which no record was left; "" = none are
    uncollected  ended attempts whose results are still to come here; uncollectable: what hinders that
    """

    name: SourceName
    enabled: bool
    connected: bool
    slots: int
    active: int = 0
    gpus: int = 0
    gpus_free: int = 0
    unresolved: int = 0
    problem: Problem | None = None
    stuck: str = ""
    unstarted: str = ""
    missed: str = ""
    uncollected: int = 0
    uncollectable: Problem | None = None
    details: Mapping[str, Json] = field(default_factory=dict)  # told as they are


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
    code: CodeFacts | None = None


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
    uncollected: int
    conditions: tuple[Condition, ...]
    details: Mapping[str, Json]


def sweep_status(facts: SweepFacts) -> SweepStatus:
    """Conditions, counts and summary of one sweep."""
    stalled = _stalled(facts)
    conditions = _listed(
        [
            _ready(facts, stalled),
            _reconciling(facts, stalled),
            _when("Stalled", stalled),
            _when("Invalid", facts.invalid),
            _when("PruneBlocked", facts.prune_blocked),
            _when("HistoryRewritten", facts.history_rewritten),
            _when("Unresolved", _unresolved(facts.unresolved)),
            *([] if facts.code is None else [_in_sync(facts.code)]),
        ]
    )
    return SweepStatus(
        name=facts.name,
        state=facts.state,
        generation=facts.generation,
        observed_generation=facts.observed_generation,
        summary=_summary(facts, conditions),
        conditions=conditions,
        tasks={phase: facts.tasks.get(phase, 0) for phase in Phase},
        sources=dict(sorted(facts.sources.items())),
        holds=tuple(facts.holds),
        code=facts.code,
    )


def source_status(facts: SourceFacts) -> SourceStatus:
    """Conditions of one source."""
    named = facts.problem.reason if facts.problem else ""
    conditions = _listed(
        [
            _up(facts),
            _when("Disabled", None if facts.enabled else DISABLED),
            *(_when(kind, facts.problem if named == kind else None) for kind in NAMED_PROBLEMS),
            _when("QueueStuck", _problem("JobsStuck", facts.stuck)),
            _when("StartsFail", _problem("JobsNotStarting", facts.unstarted)),
            _when("MayMissEnds", _problem("PollTooSlow", facts.missed)),
            _when("CollectFailed", facts.uncollectable),
            _when("Unresolved", _unresolved(facts.unresolved)),
        ]
    )
    return SourceStatus(
        name=facts.name,
        up=facts.connected and facts.problem is None,
        enabled=facts.enabled,
        slots=facts.slots,
        active=facts.active,
        gpus=facts.gpus,
        gpus_free=facts.gpus_free,
        uncollected=facts.uncollected,
        conditions=conditions,
        details=facts.details,
    )


# ---------------------------------------------------------------------------------------------- conditions


def _condition(kind: str, status: ConditionStatus, reason: str, message: str = "") -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message)


def _when(kind: str, problem: Problem | None) -> Condition:
    """A condition that is True while there is such a problem."""
    if problem is None:
        return _condition(kind, ConditionStatus.FALSE, "AsExpected")
    return _condition(kind, ConditionStatus.TRUE, problem.reason, problem.message)


def _problem(reason: str, message: str) -> Problem | None:
    """None when there is nothing to tell."""
    return Problem(reason=reason, message=message) if message else None


def _listed(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    """Bad news is listed only while it is news."""
    return tuple(
        condition
        for condition in conditions
        if POLARITY[condition.type] is not Polarity.BAD or condition.status is ConditionStatus.TRUE
    )


def _unresolved(attempts: int) -> Problem | None:
    if not attempts:
        return None
    return Problem(reason="NoProof", message=f"{attempts} attempts may run or have ended: the evidence does not tell")


def _in_sync(code: CodeFacts) -> Condition:
    """True: it lies as pinned wherever it was looked for. Unknown: nobody has looked, or it is on its way."""
    shown = f"{code.project} {code.pin[:12]}"
    if not code.problems:
        if not code.ready:
            return _condition("ProjectInSync", ConditionStatus.UNKNOWN, "NotLookedAt", f"{shown} was not needed so far")
        return _condition("ProjectInSync", ConditionStatus.TRUE, "AsPinned", f"{shown} on {', '.join(code.ready)}")
    wrong = [problem for problem in code.problems.values() if problem.reason != "ProjectComing"]
    told = wrong or list(code.problems.values())
    status = ConditionStatus.FALSE if wrong else ConditionStatus.UNKNOWN
    return _condition("ProjectInSync", status, told[0].reason, "; ".join(problem.message for problem in told))


def _stalled(facts: SweepFacts) -> Problem | None:
    """Why no more will be achieved until a person acts; None while it goes on by itself, or has nothing to do."""
    failed = _count(facts, Phase.FAILED, Phase.LOST)
    waiting, active = _count(facts, Phase.WAITING), _count(facts, Phase.QUEUED, Phase.RUNNING)
    if facts.allowed_failures is not None and failed > facts.allowed_failures:
        return Problem(
            reason="MaxFailuresReached",
            message=f"{failed} tasks failed, {facts.allowed_failures} may: nothing new starts",
        )
    if active or facts.state is not SweepState.ACTIVE:
        return None
    unfit = sum(hold.tasks for hold in facts.holds if hold.reason == "NoSourceFits")
    if waiting and unfit >= waiting:
        return Problem(reason="NoSourceFits", message=f"no source could ever take the {waiting} waiting tasks")
    barred = [hold for hold in facts.holds if hold.reason in BARRED]
    backing_off = sum(hold.tasks for hold in facts.holds if hold.reason == "Backoff")
    if barred and sum(hold.tasks for hold in barred) + backing_off >= waiting:
        return Problem(reason=barred[0].reason, message=barred[0].message)
    if failed and not waiting:
        return Problem(reason="TasksFailed", message=f"{failed} tasks failed for good, and nothing else is left to run")
    return None


def _ready(facts: SweepFacts, stalled: Problem | None) -> Condition:
    """True: the world is what the newest manifest says, and every task succeeded."""
    if facts.observed_generation < facts.generation:
        return _condition("Ready", ConditionStatus.UNKNOWN, "NewGeneration", "the newest spec is not yet looked at")
    if facts.error is not None:
        return _condition("Ready", ConditionStatus.UNKNOWN, facts.error.reason, facts.error.message)
    problem = facts.invalid or facts.prune_blocked or facts.history_rewritten or stalled
    if problem is not None:
        return _condition("Ready", ConditionStatus.FALSE, problem.reason, problem.message)
    left = sum(facts.tasks.values()) - _count(facts, Phase.SUCCEEDED) + facts.leaving
    if not left:
        return _condition("Ready", ConditionStatus.TRUE, "AllSucceeded")
    return _condition("Ready", ConditionStatus.FALSE, _going(facts), f"{left} tasks to go")


def _reconciling(facts: SweepFacts, stalled: Problem | None) -> Condition:
    """True: something is being done, or will be without anybody asking."""
    if facts.observed_generation < facts.generation:
        return _condition("Reconciling", ConditionStatus.TRUE, "NewGeneration")
    if facts.error is not None:
        return _condition("Reconciling", ConditionStatus.TRUE, facts.error.reason, "it is tried again")
    waits = _count(facts, Phase.WAITING) and stalled is None and facts.state is SweepState.ACTIVE
    if waits or facts.leaving or _count(facts, Phase.QUEUED, Phase.RUNNING):
        return _condition("Reconciling", ConditionStatus.TRUE, "Progressing")
    return _condition("Reconciling", ConditionStatus.FALSE, stalled.reason if stalled else "Steady")


def _going(facts: SweepFacts) -> str:
    match facts.state:
        case SweepState.ACTIVE:
            return "Progressing"
        case SweepState.PAUSED:
            return "Paused"
        case SweepState.CANCELLED:
            return "SweepCancelled"
        case _:
            assert_never(facts.state)


def _up(facts: SourceFacts) -> Condition:
    if facts.problem is not None:
        return _condition("Up", ConditionStatus.FALSE, facts.problem.reason, facts.problem.message)
    if not facts.connected:
        return _condition("Up", ConditionStatus.UNKNOWN, "NotConnected", "no answer yet")
    return _condition("Up", ConditionStatus.TRUE, "Connected")


def _count(facts: SweepFacts, *phases: Phase) -> int:
    return sum(facts.tasks.get(phase, 0) for phase in phases)


# ---------------------------------------------------------------------------------------------- for a person


def _summary(facts: SweepFacts, conditions: Sequence[Condition]) -> str:
    """`12 running, 88 waiting: ParallelismReached; Invalid`: the counts, what most waiting tasks wait for, bad news."""
    counts = [f"{facts.leaving} leaving"] if facts.leaving else []
    counts += [f"{facts.tasks[phase]} {phase}" for phase in TOLD if facts.tasks.get(phase)]
    summary = ", ".join(counts) or "no tasks"
    if facts.tasks.get(Phase.WAITING) and facts.holds:
        summary += f": {max(facts.holds, key=lambda hold: (hold.tasks, hold.reason)).reason}"
    bad = [condition.type for condition in conditions if POLARITY[condition.type] is Polarity.BAD]
    return "; ".join([summary, ", ".join(bad)] if bad else [summary])
