"""What happened where a scheduler keeps the queue? One row for each rule of evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_makers import ELSEWHERE, HERE, NOW, REBOOTED, account, attempt, found, record, revoked, started

from reconciler.core.evidence import Scheduled, evidence
from reconciler.core.jobs import Job, JobState, Listing, Verdict
from reconciler.core.model import Phase, Resources
from reconciler.core.resolve import WALLTIME_GRACE_S, GiveUp, Resubmit, Unresolved, resolve
from reconciler.core.wire import Ended, Lock

QUEUED = attempt(sent_at=110.0)
RUNNING = attempt(Phase.RUNNING, sent_at=110.0)
JOB = Job(id="7", state=JobState.RUNNING)
CLEAN, FAILED = Listing.CLEAN, Listing.FAILED
GONE = frozenset({QUEUED.eid})


def looked(subject, there, *, gone=(), clock=NOW, here=HERE):
    return resolve(subject, evidence(subject, there, here, Scheduled(gone=frozenset(gone), clock=clock)), NOW)


def told(resolution):
    if resolution is None:
        return None
    if isinstance(resolution, Resubmit | GiveUp | Unresolved):
        return type(resolution).__name__, resolution.reason
    return resolution.phase.value, resolution.reason


NOT_STARTED = {
    "listed: it will start": (found(listing=CLEAN, job=JOB), (), ("queued", "")),
    "a listing that failed tells nothing": (found(listing=FAILED), GONE, None),
    "whoever was not asked tells nothing": (found(), GONE, None),
    "not listed once: it may be late": (found(listing=CLEAN), (), None),
    "not listed for good: compete with it for its claim": (found(listing=CLEAN), GONE, ("GiveUp", "NotListed")),
    "listed again after all": (found(listing=CLEAN, job=JOB), GONE, ("queued", "")),
    "its staged files change nothing": (found(staged=True, listing=CLEAN), (), None),
    "claimed: it has started, listed or not": (found(claim=started(), listing=CLEAN), (), ("running", "")),
    "claimed and recorded": (found(claim=started(), exit=record(), listing=CLEAN), (), ("succeeded", "Completed")),
    "revoked: it never will start": (found(claim=revoked(), listing=CLEAN), (), ("cancelled", "Revoked")),
    "revoked, though its job waits": (found(claim=revoked(), listing=CLEAN, job=JOB), (), ("cancelled", "Revoked")),
    "a record without a claim proves nothing": (
        found(exit=record(), listing=CLEAN), GONE, ("Unresolved", "RecordWithoutClaim")
    ),
    "accounted, but it never won its claim": (found(listing=CLEAN, account=account()), GONE, ("GiveUp", "NotListed")),
    "a shim could not claim: its scheduler may start it again": (found(refused="disk full", listing=CLEAN), (), None),
    "a shim could not claim, and it is gone": (found(refused="full", listing=CLEAN), GONE, ("GiveUp", "NotListed")),
}  # fmt: skip


@pytest.mark.parametrize(("there", "gone", "expected"), NOT_STARTED.values(), ids=NOT_STARTED)
def test_an_attempt_that_has_not_started(there, gone, expected):
    assert expected == told(looked(QUEUED, there, gone=gone))


@pytest.mark.parametrize("here", [ELSEWHERE, REBOOTED, replace(HERE, machine="")])
@pytest.mark.parametrize(("there", "gone", "expected"), NOT_STARTED.values(), ids=NOT_STARTED)
def test_whence_we_look_is_nothing_to_go_by(there, gone, expected, here):
    assert expected == told(looked(QUEUED, there, gone=gone, here=here))


AN_END = account(verdict=Verdict.OUT_OF_MEMORY)
STARTED = {
    "listed: it lives": (found(claim=started(), listing=CLEAN, job=JOB), (), None),
    "listed: it lives, whatever the accounting says": (
        found(claim=started(), listing=CLEAN, job=JOB, account=AN_END), GONE, None
    ),
    "not listed once": (found(claim=started(), listing=CLEAN, account=AN_END), (), None),
    "the listing failed": (found(claim=started(), listing=FAILED, account=AN_END), GONE, None),
    "gone, and accounted": (found(claim=started(), listing=CLEAN, account=AN_END), GONE, ("failed", "OutOfMemory")),
    "gone, and nobody tells how": (found(claim=started(), listing=CLEAN), GONE, ("Unresolved", "NoRecord")),
    "accounted, but its node may go on with it": (
        found(claim=started(), listing=CLEAN, account=replace(AN_END, ceased=False)), GONE, ("Unresolved", "NoRecord")
    ),
    "the accounting of another start of its job": (
        found(claim=started(), listing=CLEAN, account=replace(AN_END, restarts=1)), GONE, ("Unresolved", "NoRecord")
    ),
    "the accounting of another job": (
        found(claim=started(), listing=CLEAN, account=replace(AN_END, job="8")), GONE, ("Unresolved", "NoRecord")
    ),
    "accounted, but its claim cannot be seen": (found(listing=CLEAN, account=AN_END), GONE, ("Unresolved", "NoRecord")),
    "its record wins over the accounting": (
        found(claim=started(), exit=record(exit_code=3), listing=CLEAN, account=AN_END), GONE, ("failed", "UserError")
    ),
    "its record wins over the listing": (
        found(claim=started(), exit=record(), listing=CLEAN, job=JOB), (), ("succeeded", "Completed")
    ),
    "a free lock where we look proves nothing": (found(claim=started(), lock=Lock.FREE, listing=CLEAN), (), None),
    "a held one neither": (
        found(claim=started(), lock=Lock.HELD, listing=CLEAN, account=AN_END), GONE, ("failed", "OutOfMemory")
    ),
}  # fmt: skip


@pytest.mark.parametrize(("there", "gone", "expected"), STARTED.values(), ids=STARTED)
def test_an_attempt_that_has_started(there, gone, expected):
    assert expected == told(looked(RUNNING, there, gone=gone))


@pytest.mark.parametrize("here", [ELSEWHERE, REBOOTED])
@pytest.mark.parametrize(("there", "gone", "expected"), STARTED.values(), ids=STARTED)
def test_a_login_node_that_was_rebooted_or_is_another_one_ends_nothing(there, gone, expected, here):
    assert expected == told(looked(RUNNING, there, gone=gone, here=here))


VERDICTS = {
    Verdict.TIMEOUT: ("failed", "Timeout"),
    Verdict.OUT_OF_MEMORY: ("failed", "OutOfMemory"),
    Verdict.NODE_FAILURE: ("failed", "NodeFailure"),
    Verdict.PREEMPTED: ("failed", "Preempted"),
    Verdict.CANCELLED: ("failed", "CancelledExternally"),
    Verdict.FAILED: ("lost", "Lost"),
    Verdict.COMPLETED: ("lost", "Lost"),  # never a success: what it has made may not be there
}


@pytest.mark.parametrize(("verdict", "expected"), VERDICTS.items())
def test_what_the_accounting_says_of_an_end_without_a_record(verdict, expected):
    there = found(claim=started(), listing=CLEAN, account=account(verdict=verdict))

    assert expected == told(looked(RUNNING, there, gone=GONE))


def test_each_verdict_has_a_row():
    assert set(Verdict) == set(VERDICTS)


@pytest.mark.parametrize("verdict", Verdict)
def test_what_we_wanted_cancelled_is_cancelled_whatever_the_accounting_calls_it(verdict):
    there = found(claim=started(), listing=CLEAN, account=account(verdict=verdict))
    subject = replace(RUNNING, cancel="Removed", cancel_at=250.0)

    assert ("cancelled", "Removed") == told(looked(subject, there, gone=GONE))


def test_an_end_by_accounting_has_the_scheduler_s_time_and_words():
    there = found(claim=started(), listing=CLEAN, account=account(ended_at=321.0, raw="CANCELLED by 0"))
    ended = looked(RUNNING, there, gone=GONE)

    assert (321.0, "the scheduler says CANCELLED by 0, and it left no record") == (ended.ended_at, ended.message)


# its walltime of 60 s began at 200
OVER = 200.0 + 60 + WALLTIME_GRACE_S
WALLED = replace(RUNNING, resources=Resources(walltime_s=60))


@pytest.mark.parametrize(("clock", "expected"), [(OVER, ("Unresolved", "NoRecord")), (OVER + 1, ("lost", "Lost"))])
def test_without_a_record_it_is_lost_only_when_its_walltime_has_long_passed(clock, expected):
    assert expected == told(looked(WALLED, found(claim=started(), listing=CLEAN), gone=GONE, clock=clock))


@pytest.mark.parametrize(
    ("there", "gone"),
    [
        (found(claim=started(), listing=CLEAN, job=JOB), GONE),
        (found(claim=started(), listing=CLEAN), ()),
        (found(claim=started(), listing=FAILED), GONE),
    ],
    ids=["listed", "not listed once", "the listing failed"],
)
def test_a_walltime_that_has_passed_ends_nothing_that_may_be_listed(there, gone):
    assert None is told(looked(WALLED, there, gone=gone, clock=OVER + 1e6))


def test_the_walltime_is_measured_by_the_clock_of_the_source_whatever_ours_says():
    there = found(claim=started(), listing=CLEAN)
    proofs = evidence(WALLED, there, HERE, Scheduled(gone=GONE, clock=OVER - 1))

    assert ("Unresolved", "NoRecord") == told(resolve(WALLED, proofs, NOW + 86_400))


def test_without_a_walltime_nothing_but_a_person_ends_it():
    assert ("Unresolved", "NoRecord") == told(
        looked(RUNNING, found(claim=started(), listing=CLEAN), gone=GONE, clock=1e9)
    )


@pytest.mark.parametrize("state", JobState)
def test_each_state_in_the_queue_is_a_life_and_none_is_an_end(state):
    there = found(claim=started(), listing=CLEAN, job=Job(id="7", state=state), account=AN_END)

    assert None is looked(RUNNING, there, gone=GONE)


LONG_UNLISTED = {
    "not listed for long, over several sessions": (found(listing=CLEAN), GONE, ("GiveUp", "NotListed")),
    "nobody misses it yet in this session": (found(listing=CLEAN), (), None),
    "listed again": (found(listing=CLEAN, job=JOB), GONE, ("queued", "")),
    "a listing that failed tells nothing": (found(listing=FAILED), GONE, None),
    "claimed: its end is for one session to tell": (
        found(claim=started(), listing=CLEAN, account=account()), GONE, ("running", "")
    ),
    "its claim is torn: it may run": (found(torn=True, listing=CLEAN), GONE, ("running", "")),
}  # fmt: skip


@pytest.mark.parametrize(("there", "missed", "expected"), LONG_UNLISTED.values(), ids=LONG_UNLISTED)
def test_an_attempt_that_no_session_has_seen_listed(there, missed, expected):
    subject = replace(QUEUED, unlisted_at=NOW - 180)
    scheduled = Scheduled(gone=frozenset(), clock=NOW, asked_at=NOW, missed=frozenset(missed), settle_s=180)

    assert expected == told(resolve(subject, evidence(subject, there, HERE, scheduled), NOW))


def test_since_when_it_is_not_listed_is_remembered_by_the_clock_of_its_source():
    scheduled = Scheduled(gone=frozenset(), clock=77.0, asked_at=76.0, missed=GONE, settle_s=180)
    learned = resolve(QUEUED, evidence(QUEUED, found(listing=CLEAN), HERE, scheduled), NOW)
    again = replace(scheduled, clock=300.0, asked_at=200.0)

    assert 77.0 == learned.unlisted_at
    assert None is resolve(learned, evidence(learned, found(listing=CLEAN), HERE, again), NOW)


@pytest.mark.parametrize("there", [found(listing=CLEAN, job=JOB), found(claim=started(), listing=CLEAN)])
def test_who_is_listed_or_has_started_is_missed_no_more(there):
    subject = replace(QUEUED, unlisted_at=NOW)
    scheduled = Scheduled(gone=frozenset(), clock=NOW, asked_at=NOW, missed=GONE, settle_s=180)

    assert None is resolve(subject, evidence(subject, there, HERE, scheduled), NOW).unlisted_at


CANCELLED = {
    "it never started, and is gone: the cancel itself wins its claim": (found(listing=CLEAN), GONE, None),
    "it never started, and waits": (found(listing=CLEAN, job=JOB), (), ("queued", "")),
    "it did as told": (
        found(claim=started(), exit=record(signal=15, ended_by=Ended.CANCEL)), (), ("cancelled", "Removed")
    ),
    "it had succeeded before": (found(claim=started(), exit=record(), listing=CLEAN), GONE, ("succeeded", "Completed")),
    "its claim was won": (found(claim=revoked(), listing=CLEAN, job=JOB), (), ("cancelled", "Removed")),
    "it has started, and nobody tells how it ended": (found(claim=started(), listing=CLEAN), GONE, ("running", "")),
}  # fmt: skip


@pytest.mark.parametrize(("there", "gone", "expected"), CANCELLED.values(), ids=CANCELLED)
def test_an_attempt_that_we_cancel(there, gone, expected):
    assert expected == told(looked(replace(QUEUED, cancel="Removed", cancel_at=250.0), there, gone=gone))


def test_being_listed_is_being_accepted():
    assert NOW == looked(QUEUED, found(listing=CLEAN, job=JOB)).accepted_at
