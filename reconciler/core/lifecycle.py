"""The small machine of a task: what it is after its newest attempt changed.

A task mirrors its newest attempt while that is active. When the attempt has ended, `settle` decides between an end
and another wait: it is the only place where retries, their budget and their backoff are decided.

The budget belongs to (task, digest): an attempt of another digest starts it afresh. Only started attempts that failed
count against `retry.limit`; what never started, what says "resume me" and what a rule excuses is uncounted, and capped
by UNCOUNTED_MAX, so that nothing is retried for ever. What we cancelled or revoked ourselves is neither; but what was
given up because its scheduler has it no more is not submitted again at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from reconciler.core.model import Attempt, Digest, Instant, Phase, Resources, Task
from reconciler.core.spec import Backoff, MaxFailures, RetryAction, RetryPolicy, RetryRule, UpdatePolicy

UNCOUNTED_MAX = 20
SCALE_MAX = 1e6  # times what the manifest asks for: beyond any machine, and still a number
ROUNDING = 1e-9  # what binary fractions may be off by: 7 % of 100 is 7, not 6.999…
GIVE_UPS_MAX = UNCOUNTED_MAX // 2
NOT_LISTED = "NotListed"  # the reason of an attempt that was given up: its scheduler has it no more, and it never began
RESUME = "Resume"  # the reason of an attempt that ended with exit code 75: it wants to go on in another attempt


def settle(task: Task, attempt: Attempt, *, retry: RetryPolicy, desired: bool, rerun: bool, now: Instant) -> Task:
    """The task after its newest attempt changed. Also records an intent: its attempt is queued, with the next number.

    desired  git wants this task to run: its point is in the manifest, and the sweep is not Cancelled
    rerun    the attempt's end does not stand, because its digest is outdated: see `reruns`

    An attempt older than the newest, or one whose end was settled before, changes nothing.
    """
    if _settled_before(task, attempt):
        return task
    task = _mirrored(task, attempt)
    if attempt.phase.active:
        return task
    if desired and rerun:
        return replace(task, phase=Phase.WAITING, reason="Outdated", failures=0, uncounted=0, scale={})
    match attempt.phase:
        case Phase.FAILED | Phase.LOST:
            return _after_failure(task, attempt, retry, desired, now)
        case Phase.CANCELLED:
            if desired and attempt.reason == NOT_LISTED:
                return _after_giving_up(task, retry, now)
            return replace(task, phase=Phase.WAITING) if desired else task
        case Phase.SUCCEEDED | Phase.WAITING | Phase.QUEUED | Phase.RUNNING:
            return task
        case _:
            assert_never(attempt.phase)


def reruns(attempt: Attempt, *, digest: Digest, policy: UpdatePolicy) -> bool:
    """Whether the end of this attempt does not stand, because it ran under another digest than the desired one."""
    if attempt.digest == digest:
        return False
    match policy:
        case UpdatePolicy.KEEP:
            return attempt.phase is not Phase.SUCCEEDED
        case UpdatePolicy.RERUN | UpdatePolicy.REPLACE:
            return True
        case _:
            assert_never(policy)


def scaled(resources: Resources, task: Task, retry: RetryPolicy) -> Resources:
    """The resources of the task's next attempt: what the manifest asks for, times the factors earned, within limits.

    Names are those of `Resources`; whole numbers, rounded up; what the manifest leaves open (None) stays open. A field
    is capped by the largest limit that any rule sets for it, never below what the manifest itself asks for.
    """
    if not task.scale:
        return resources

    def grown(name: str, asked: int) -> int:
        return _grown(asked, task.scale.get(name, 1.0), _limit(retry, name))

    memory, walltime = resources.memory_mib, resources.walltime_s
    return replace(
        resources,
        cpus=grown("cpus", resources.cpus),
        gpus=grown("gpus", resources.gpus),
        memory_mib=None if memory is None else grown("memory_mib", memory),
        walltime_s=None if walltime is None else grown("walltime_s", walltime),
        nodes=grown("nodes", resources.nodes),
        tasks_per_node=grown("tasks_per_node", resources.tasks_per_node),
    )


def allowed_failures(max_failures: MaxFailures | None, desired: int) -> int | None:
    """How many desired tasks may fail; with more, nothing new starts. None: any number. Percentages round down."""
    if max_failures is None:
        return None
    if max_failures.percent is not None:
        return int(desired * max_failures.percent / 100 + ROUNDING)
    return max_failures.count


def backoff_s(backoff: Backoff, retry: int) -> float:
    """Seconds before the k-th retry, k from 1: duration · factor^(k-1), at most max."""
    try:
        wait = backoff.duration_s * backoff.factor ** (retry - 1)
    except OverflowError:
        return backoff.max_s
    return min(wait, backoff.max_s)


def _settled_before(task: Task, attempt: Attempt) -> bool:
    if attempt.key.number != task.attempts:
        return attempt.key.number < task.attempts
    return attempt.phase.ended and not task.phase.active


def _mirrored(task: Task, attempt: Attempt) -> Task:
    """The task with the attempt's phase; a digest that it has not run under yet starts the budget afresh."""
    if attempt.digest != task.digest:
        task = replace(task, failures=0, uncounted=0, scale={})
    return replace(
        task,
        phase=attempt.phase,
        reason=attempt.reason,
        attempts=attempt.key.number,
        digest=attempt.digest,
        source=attempt.source,
        not_before=None,
    )


def _after_failure(task: Task, attempt: Attempt, retry: RetryPolicy, desired: bool, now: Instant) -> Task:
    """Charge the budget, and decide whether the task waits for another attempt."""
    rule = _rule(retry, attempt)
    counted = _started(attempt) and attempt.reason != RESUME and (rule is None or rule.count)
    task = replace(task, failures=task.failures + counted, uncounted=task.uncounted + (not counted))
    exhausted = task.failures > retry.limit if counted else task.uncounted > UNCOUNTED_MAX
    if not desired or exhausted or (rule is not None and rule.action is RetryAction.FAIL):
        return task
    if attempt.reason == RESUME:  # it asked to go on: nothing failed, so nothing is waited for
        return replace(task, phase=Phase.WAITING, reason=RESUME)
    return replace(
        task,
        phase=Phase.WAITING,
        reason="Backoff",
        not_before=now + backoff_s(retry.backoff, task.failures + task.uncounted),
        scale=_multiplied(task.scale, rule.scale if rule else {}),
    )


def _after_giving_up(task: Task, retry: RetryPolicy, now: Instant) -> Task:
    """Nothing ran, and it never will: the task waits, longer each time, and is never lost for it.

    So of the uncounted failures that it may have, give-ups use up a half at most.
    """
    uncounted = max(task.uncounted, min(task.uncounted + 1, GIVE_UPS_MAX))
    wait_s = backoff_s(retry.backoff, task.failures + uncounted)
    return replace(task, phase=Phase.WAITING, reason="Backoff", uncounted=uncounted, not_before=now + wait_s)


def _started(attempt: Attempt) -> bool:
    return attempt.started_at is not None


def _rule(retry: RetryPolicy, attempt: Attempt) -> RetryRule | None:
    """The first rule that names the attempt's failure class."""
    return next((rule for rule in retry.rules if attempt.failure in rule.classes), None)


def _multiplied(scale: Mapping[str, float], by: Mapping[str, float]) -> Mapping[str, float]:
    return {**scale, **{name: min(scale.get(name, 1.0) * factor, SCALE_MAX) for name, factor in by.items()}}


def _limit(retry: RetryPolicy, name: str) -> int | None:
    limits = [rule.limit[name] for rule in retry.rules if name in rule.limit]
    return max(limits, default=None)


def _grown(asked: int, factor: float, limit: int | None) -> int:
    grown = math.ceil(asked * factor - ROUNDING)
    return grown if limit is None else max(asked, min(grown, limit))
