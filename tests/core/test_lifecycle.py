"""What a task is after its newest attempt changed: ends that stand, retries and their budget, backoff, resources."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_makers import NOW, attempt, task
from core_worlds import DIGESTS, RETRIES, ends, example_of
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.lifecycle import (
    GIVE_UPS_MAX,
    NOT_LISTED,
    UNCOUNTED_MAX,
    allowed_failures,
    backoff_s,
    reruns,
    scaled,
    settle,
)
from reconciler.core.model import Digest, FailureClass, Phase, Resources
from reconciler.core.spec import Backoff, MaxFailures, RetryAction, RetryPolicy, RetryRule, UpdatePolicy

TWICE = RetryPolicy(limit=2, backoff=Backoff(duration_s=10, factor=3, max_s=100))
NEVER = RetryPolicy()
FAILED = attempt(Phase.FAILED, failure=FailureClass.USER_ERROR, reason="UserError")


def settled(before, after, *, retry=TWICE, desired=True, rerun=False):
    return settle(before, after, retry=retry, desired=desired, rerun=rerun, now=NOW)


def rule(failure, action=RetryAction.RETRY, **fields):
    return RetryRule(classes=(failure,), action=action, **fields)


def with_rules(*rules, limit=2):
    return replace(TWICE, rules=rules, limit=limit)


LOST = attempt(Phase.LOST, failure=FailureClass.LOST, reason="Lost")
RESUME = attempt(Phase.FAILED, reason="Resume")
REVOKED = attempt(Phase.CANCELLED, reason="Revoked", started_at=None)
GIVEN_UP = attempt(Phase.CANCELLED, reason=NOT_LISTED, started_at=None)
REMOVED = attempt(Phase.CANCELLED, reason="Removed")
NOT_STARTED = attempt(Phase.LOST, failure=FailureClass.LOST, reason="Lost", started_at=None)
SPENT = task(failures=2)

RULES = {
    "a queued attempt makes a queued task": (task(Phase.WAITING, attempts=0), attempt(), {}, ("queued", 0, 0)),
    "a running attempt makes a running task": (task(), attempt(Phase.RUNNING), {}, ("running", 0, 0)),
    "a success is an end": (task(), attempt(Phase.SUCCEEDED), {}, ("succeeded", 0, 0)),
    "a success is an end, even if no longer desired": (
        task(),
        attempt(Phase.SUCCEEDED),
        {"desired": False},
        ("succeeded", 0, 0),
    ),
    "a failure within the limit waits": (task(), FAILED, {}, ("waiting", 1, 0)),
    "a failure beyond the limit stands": (SPENT, FAILED, {}, ("failed", 3, 0)),
    "without a limit the first failure stands": (task(), FAILED, {"retry": NEVER}, ("failed", 1, 0)),
    "a failure of what is no longer desired stands": (task(), FAILED, {"desired": False}, ("failed", 1, 0)),
    "lost within the limit waits": (task(), LOST, {}, ("waiting", 1, 0)),
    "lost beyond the limit stays lost": (SPENT, LOST, {}, ("lost", 3, 0)),
    "what never started burns no attempt": (task(), NOT_STARTED, {"retry": NEVER}, ("waiting", 0, 1)),
    "a resume burns no attempt": (task(), RESUME, {"retry": NEVER}, ("waiting", 0, 1)),
    "uncounted failures have a cap": (task(uncounted=UNCOUNTED_MAX), NOT_STARTED, {}, ("lost", 0, UNCOUNTED_MAX + 1)),
    "the last uncounted one still waits": (task(uncounted=UNCOUNTED_MAX - 1), RESUME, {}, ("waiting", 0, 20)),
    "resumes have the same cap": (task(uncounted=UNCOUNTED_MAX), RESUME, {}, ("failed", 0, 21)),
    "a rule may excuse a failure": (
        SPENT,
        FAILED,
        {"retry": with_rules(rule(FailureClass.USER_ERROR, count=False))},
        ("waiting", 2, 1),
    ),
    "a rule may make a failure final": (
        task(),
        FAILED,
        {"retry": with_rules(rule(FailureClass.USER_ERROR, RetryAction.FAIL))},
        ("failed", 1, 0),
    ),
    "the first rule that names the class decides": (
        task(),
        FAILED,
        {
            "retry": with_rules(
                rule(FailureClass.LOST, RetryAction.FAIL),
                rule(FailureClass.USER_ERROR, count=False),
                rule(FailureClass.USER_ERROR, RetryAction.FAIL),
            )
        },
        ("waiting", 0, 1),
    ),
    "no rule names a resume": (
        task(),
        RESUME,
        {"retry": with_rules(*(rule(each, RetryAction.FAIL) for each in FailureClass))},
        ("waiting", 0, 1),
    ),
    "a revoked attempt is no failure": (task(), REVOKED, {}, ("waiting", 0, 0)),
    "what its scheduler does not have was never started, and is not submitted again at once": (
        task(),
        GIVEN_UP,
        {},
        ("waiting", 0, 1),
    ),
    "however often that happens": (task(uncounted=GIVE_UPS_MAX), GIVEN_UP, {}, ("waiting", 0, GIVE_UPS_MAX)),
    "even after so many others": (task(uncounted=UNCOUNTED_MAX), GIVEN_UP, {}, ("waiting", 0, UNCOUNTED_MAX)),
    "given up, and no longer desired: an end": (task(), GIVEN_UP, {"desired": False}, ("cancelled", 0, 0)),
    "cancelled, and no longer desired: an end": (task(), REMOVED, {"desired": False}, ("cancelled", 0, 0)),
    "cancelled, and desired again: waits": (task(), REMOVED, {}, ("waiting", 0, 0)),
    "an outdated failure runs again, afresh": (SPENT, FAILED, {"rerun": True}, ("waiting", 0, 0)),
    "an outdated success runs again when the policy says so": (
        task(),
        attempt(Phase.SUCCEEDED),
        {"rerun": True},
        ("waiting", 0, 0),
    ),
    "what is outdated and not desired does not run again": (
        task(),
        REMOVED,
        {"rerun": True, "desired": False},
        ("cancelled", 0, 0),
    ),
    "another digest starts the budget afresh": (
        task(failures=2, uncounted=9, digest=Digest("d0")),
        FAILED,
        {},
        ("waiting", 1, 0),
    ),
}


@pytest.mark.parametrize(("before", "after", "world", "expected"), RULES.values(), ids=RULES)
def test_settle(before, after, world, expected):
    result = settled(before, after, **world)

    assert (result.phase.value, result.failures, result.uncounted) == expected


def test_what_fails_a_thousand_times_never_asks_for_more_than_a_number_can_be():
    retry = with_rules(rule(FailureClass.USER_ERROR, count=False, scale={"memory_mib": 1000.0}))
    before = task(scale={"memory_mib": 1e300})

    assert {"memory_mib": 1e6} == settled(before, FAILED, retry=retry).scale


def test_a_new_intent_makes_the_task_its_mirror():
    waiting = task(Phase.WAITING, attempts=1, not_before=5.0, reason="Backoff", source=None, digest=None)

    assert settled(waiting, attempt(number=2)) == task(Phase.QUEUED, attempts=2)


def test_an_older_attempt_changes_nothing():
    newer = task(Phase.RUNNING, attempts=2)

    assert settled(newer, FAILED) == newer


def test_an_end_is_charged_once():
    once = settled(task(), FAILED)

    assert settled(once, FAILED) == once


def test_the_reason_of_an_end_is_the_attempts():
    assert settled(task(), FAILED, retry=NEVER).reason == "UserError"


def test_the_reason_of_a_wait_is_why_it_waits():
    waits = [settled(task(), each).reason for each in (FAILED, RESUME, REVOKED)]
    outdated = settled(task(), FAILED, rerun=True).reason

    assert [*waits, outdated] == ["Backoff", "Resume", "Revoked", "Outdated"]


@pytest.mark.parametrize(("failures", "wait"), [(0, 10.0), (1, 30.0)])
def test_a_failure_backs_off_longer_each_time(failures, wait):
    assert settled(task(failures=failures), FAILED).not_before == NOW + wait


def test_what_was_given_up_backs_off_longer_each_time():
    assert [NOW + 10.0, NOW + 30.0] == [settled(task(uncounted=n), GIVEN_UP).not_before for n in (0, 1)]


def test_uncounted_failures_back_off_too():
    assert settled(task(uncounted=1), NOT_STARTED).not_before == NOW + 30.0


@pytest.mark.parametrize("after", [RESUME, REVOKED, REMOVED], ids=lambda each: each.reason)
def test_what_did_not_fail_does_not_back_off(after):
    assert settled(task(), after).not_before is None


def test_an_end_waits_for_nothing():
    assert settled(task(not_before=5.0), attempt(Phase.SUCCEEDED)).not_before is None


@pytest.mark.parametrize(
    ("retry", "wait"), [(1, 10.0), (2, 20.0), (3, 40.0), (7, 600.0), (10_000, 600.0)], ids=lambda value: str(value)
)
def test_backoff_grows_by_its_factor_up_to_its_maximum(retry, wait):
    assert backoff_s(Backoff(), retry) == wait


OUT_OF_MEMORY = attempt(Phase.FAILED, failure=FailureClass.OUT_OF_MEMORY, reason="OutOfMemory")
MORE_MEMORY = with_rules(rule(FailureClass.OUT_OF_MEMORY, scale={"memory_mib": 2}, limit={"memory_mib": 300}))


def test_a_rule_earns_the_next_attempt_more_resources():
    waiting = settled(task(), OUT_OF_MEMORY, retry=MORE_MEMORY)

    assert scaled(Resources(cpus=3, memory_mib=100), waiting, MORE_MEMORY) == Resources(cpus=3, memory_mib=200)


def test_scales_multiply_up_to_the_limit():
    second = task(scale={"memory_mib": 2.0})
    waiting = settled(second, OUT_OF_MEMORY, retry=MORE_MEMORY)

    assert waiting.scale == {"memory_mib": 4.0}
    assert scaled(Resources(memory_mib=100), waiting, MORE_MEMORY) == Resources(memory_mib=300)


def test_a_limit_never_takes_away_what_the_manifest_asks_for():
    waiting = task(scale={"memory_mib": 2.0})

    assert scaled(Resources(memory_mib=500), waiting, MORE_MEMORY) == Resources(memory_mib=500)


def test_every_number_of_the_resources_can_grow():
    asked = Resources(cpus=1, memory_mib=10, gpus=1, gpu_type="a100", walltime_s=7, nodes=1, tasks_per_node=1)
    names = ("cpus", "memory_mib", "gpus", "walltime_s", "nodes", "tasks_per_node")
    grown = scaled(asked, task(scale=dict.fromkeys(names, 1.5)), NEVER)

    assert grown == Resources(cpus=2, memory_mib=15, gpus=2, gpu_type="a100", walltime_s=11, nodes=2, tasks_per_node=2)


def test_what_the_manifest_leaves_open_stays_open():
    assert scaled(Resources(), task(scale={"memory_mib": 2.0, "walltime_s": 2.0}), NEVER) == Resources()


def test_a_new_digest_forgets_what_was_earned():
    waiting = task(Phase.WAITING, scale={"memory_mib": 2.0}, failures=1)

    assert settled(waiting, attempt(number=2, digest=Digest("d2"))).scale == {}


@pytest.mark.parametrize(
    ("allowed", "desired", "expected"),
    [
        (None, 100, None),
        (MaxFailures(count=3), 100, 3),
        (MaxFailures(count=0), 100, 0),
        (MaxFailures(percent=10.0), 100, 10),
        (MaxFailures(percent=10.0), 19, 1),
        (MaxFailures(percent=7.0), 100, 7),
        (MaxFailures(percent=0.1), 100, 0),
    ],
)
def test_allowed_failures(allowed, desired, expected):
    assert allowed_failures(allowed, desired) == expected


@pytest.mark.parametrize(
    ("policy", "phase", "expected"),
    [
        (UpdatePolicy.KEEP, Phase.SUCCEEDED, False),
        (UpdatePolicy.KEEP, Phase.FAILED, True),
        (UpdatePolicy.RERUN, Phase.SUCCEEDED, True),
        (UpdatePolicy.REPLACE, Phase.SUCCEEDED, True),
    ],
)
def test_an_outdated_end_stands_only_where_the_policy_keeps_it(policy, phase, expected):
    outdated = attempt(phase, digest=Digest("d1"))

    assert reruns(outdated, digest=Digest("d2"), policy=policy) is expected
    assert reruns(outdated, digest=Digest("d1"), policy=policy) is False


# ------------------------------------------------------------------------------------------------ whatever happens

HISTORIES = st.lists(ends(), max_size=30)


def lived(history, retry):
    """A task through a history of ends, numbered in order; stops where the task does not wait for another attempt."""
    subject = task(Phase.WAITING, attempts=0, digest=None)
    for number, end in enumerate(history, start=1):
        if subject.phase is not Phase.WAITING:
            break
        end = replace(end, key=end.key._replace(number=number))
        intended = settled(subject, replace(end, phase=Phase.QUEUED, reason="", failure=None), retry=retry)
        subject = settled(intended, end, retry=retry)
        yield subject, end


@given(HISTORIES, RETRIES)
def test_a_success_is_final(history, retry):
    for subject, end in lived(history, retry):
        assert (end.phase is Phase.SUCCEEDED) == (subject.phase is Phase.SUCCEEDED)


@given(HISTORIES, RETRIES)
def test_no_task_waits_beyond_its_budget(history, retry):
    for subject, _ in lived(history, retry):
        if subject.phase is Phase.WAITING:
            assert subject.failures <= retry.limit
            assert subject.uncounted <= UNCOUNTED_MAX


@given(HISTORIES, RETRIES)
def test_only_what_started_and_failed_is_counted(history, retry):
    before = 0
    for subject, end in lived(history, retry):
        if subject.failures > before and subject.failures > 1:
            assert end.phase in (Phase.FAILED, Phase.LOST)
            assert end.started_at is not None
            assert end.reason != "Resume"
        before = subject.failures


@given(HISTORIES, RETRIES)
def test_our_own_cancels_cost_nothing(history, retry):
    used = (0, 0)
    digest = None
    for subject, end in lived(history, retry):
        if end.phase is Phase.CANCELLED and end.digest == digest:
            assert (subject.failures, subject.uncounted) == used
        used, digest = (subject.failures, subject.uncounted), end.digest


@given(HISTORIES, RETRIES)
def test_a_backoff_is_never_longer_than_its_maximum_and_belongs_to_a_wait(history, retry):
    for subject, _ in lived(history, retry):
        if subject.not_before is not None:
            assert subject.phase is Phase.WAITING
            assert NOW <= subject.not_before <= NOW + retry.backoff.max_s


@given(ends(), RETRIES, st.booleans(), st.booleans())
def test_settling_twice_is_settling_once(end, retry, desired, rerun):
    once = settle(task(), end, retry=retry, desired=desired, rerun=rerun, now=NOW)

    assert settle(once, end, retry=retry, desired=desired, rerun=rerun, now=NOW + 5) == once


@given(ends(), RETRIES, st.booleans())
def test_what_is_not_desired_never_waits(end, retry, rerun):
    assert settled(task(), end, retry=retry, desired=False, rerun=rerun).phase is end.phase


@given(ends(), DIGESTS, RETRIES)
def test_a_budget_belongs_to_a_digest(end, digest, retry):
    before = task(failures=3, uncounted=3, digest=digest)
    after = settled(before, end, retry=retry)

    assert after.failures + after.uncounted <= (7 if end.digest == digest else 1)


@pytest.mark.parametrize("reason", ["Backoff", "Resume", "Revoked", "Removed", "Lost", "UserError", "Timeout"])
def test_the_generators_reach_each_reason(reason):
    def reached(world):
        return any(subject.reason == reason for subject, _ in lived(*world))

    world = example_of(st.tuples(HISTORIES, RETRIES), reached)
    assert reached(world)
