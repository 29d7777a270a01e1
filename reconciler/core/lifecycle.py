"""The small machine of a task: what it is after its newest attempt changed.

A task mirrors its newest attempt while that is active. When the attempt has ended, `settle` decides between an end
and another wait: it is the only place where retries, their budget and their backoff are decided.

The budget belongs to (task, digest): an attempt of another digest starts it afresh. Only started attempts that failed
count against `retry.limit`; what never started, what says "resume me" and what a rule excuses is uncounted, and capped by
UNCOUNTED_MAX, so that nothing is retried for ever. What we cancelled or revoked ourselves is neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from reconciler.core.model import (
    Attempt,
    Backoff,
    Digest,
    Instant,
    MaxFailures,
    Phase,
    Resources,
    RetryAction,
    RetryPolicy,
    RetryRule,
    Task,
    UpdatePolicy,
)

UNCOUNTED_MAX = 20
RESUME = "Resume"  # the reason of an attempt that ended with exit code 75: it wants to go on in another attempt


def settle(task: Task, attempt: Attempt, *, retry: RetryPolicy, desired: bool, rerun: bool, now: Instant) -> Task:
    """The task after its newest attempt changed. Also records a new intent: its attempt is queued, with the next number.

    desired  git wants this task to run: its point is in the manifest, and the sweep is not Cancelled
    rerun    the attempt's end does not stand, because its digest is outdated: see `reruns`

    An attempt older than the newest, or one whose end was settled before, changes nothing.
    """
    raise NotImplementedError


def reruns(attempt: Attempt, *, digest: Digest, policy: UpdatePolicy) -> bool:
    """Whether the end of this attempt does not stand, because it ran under another digest than the desired one."""
    raise NotImplementedError


def scaled(resources: Resources, task: Task, retry: RetryPolicy) -> Resources:
    """The resources of the task's next attempt: what the manifest asks for, times the factors earned, within the rules' limits.

    Whole numbers, rounded up. What the manifest leaves open (None) stays open. A field is capped by the largest limit
    that any rule sets for it, never below what the manifest itself asks for.
    """
    raise NotImplementedError


def allowed_failures(max_failures: MaxFailures | None, desired: int) -> int | None:
    """How many of the desired tasks may fail before nothing new starts; None means any number. Percentages round down."""
    raise NotImplementedError


def backoff_s(backoff: Backoff, retry: int) -> float:
    """Seconds before the k-th retry, k from 1: duration · factor^(k-1), at most max."""
    raise NotImplementedError
