"""The loop of a source whose scheduler keeps the queue: told once, polled, and given up by winning the claim."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from scheduler_lab import LOGIN, SchedulerLab

from reconciler.core.errors import Busy, Fenced, Garbled, NoReply, NotSent, Refused
from reconciler.core.jobs import Account, Listing, Verdict
from reconciler.core.model import Phase, SweepName
from reconciler.core.wire import Claim, ClaimKind, Ended, ExitRecord, Found

GIVEN_UP_MIN = 5.0  # two listings, the settle time, and the pauses between polls


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[SchedulerLab]:
    lab = SchedulerLab(tmp_path)
    yield lab
    await lab.close()


# ---------------------------------------------------------------------------------------------- told once


async def test_each_submission_is_written_down_before_it_is_sent(lab: SchedulerLab) -> None:
    seen = []
    lab.far.at_submission = lambda eids: seen.extend(lab.attempt(eid).sent_at for eid in eids)

    await lab.start(3)

    assert [lab.time.now()] * 3 == seen


UNCERTAIN = [
    NoReply("NoReply", "lost"), Garbled("Garbled", "?"), Fenced("Fenced", "newer"), RuntimeError("a defect"), [],
]  # fmt: skip


@pytest.mark.parametrize("answer", UNCERTAIN, ids=lambda answer: type(answer).__name__)
async def test_whatever_may_have_happened_is_never_sent_again(lab: SchedulerLab, answer: object) -> None:
    lab.far.answers = [answer]
    eids = await lab.start(2)

    await lab.minutes(GIVEN_UP_MIN + 10)  # fenced daemons come back after five

    assert sorted(eids) == sorted(lab.far.named("submit"))


CERTAIN = [NotSent("NotSent", "no link"), Busy("Busy", "at most 10 jobs"), Refused("Refused", "no such partition")]


@pytest.mark.parametrize("answer", CERTAIN, ids=lambda answer: type(answer).__name__)
async def test_what_was_certainly_not_taken_is_sent_again(lab: SchedulerLab, answer: Exception) -> None:
    lab.far.answers = [answer]
    eids = await lab.start(2)
    assert [None, None] == [lab.attempt(eid).sent_at for eid in eids]

    await lab.minutes(0.5)
    lab.loop.kick()
    await lab.time.settle()

    assert sorted(eids * 2) == sorted(lab.far.named("submit"))
    assert set(eids) == lab.far.jobs


async def test_who_says_later_is_left_in_peace_and_told_so(lab: SchedulerLab) -> None:
    lab.far.answers = [Busy("Busy", "at most 10 jobs")]

    await lab.start(1)

    assert lab.loop.problem is not None
    assert ("CannotStage", "at most 10 jobs", False) == (
        lab.loop.problem.reason,
        lab.loop.problem.message,
        lab.loop.ready,
    )


async def test_a_part_that_was_not_accounted_for_is_not_sent_again(lab: SchedulerLab) -> None:
    await lab.accept(2)
    lab.intend()
    first, second = (attempt.eid for attempt in lab.open())
    lab.far.answers = [[first]]

    await lab.dispatch()
    await lab.minutes(1)

    assert sorted([first, second]) == sorted(lab.far.named("submit"))
    assert (True, False) == (lab.attempt(first).accepted_at is not None, lab.attempt(second).accepted_at is not None)


async def test_a_daemon_that_dies_with_a_submission_on_its_lips_does_not_send_it_again(lab: SchedulerLab) -> None:
    lab.far.submission_s = 1e6
    eids = await lab.start(1)

    await lab.crash()
    lab.far.submission_s = 0.0
    await lab.minutes(GIVEN_UP_MIN)

    assert eids == lab.far.named("submit")
    assert ("cancelled", "NotListed") == (lab.attempt(eids[0]).phase, lab.attempt(eids[0]).reason)


async def test_a_daemon_that_dies_after_the_intent_sends_it(lab: SchedulerLab) -> None:
    await lab.accept(1)
    lab.intend()

    await lab.crash()
    await lab.time.settle()

    assert [attempt.eid for attempt in lab.open()] == lab.far.named("submit")


async def test_what_is_cancelled_before_it_is_sent_never_is(lab: SchedulerLab) -> None:
    await lab.accept(1)
    lab.intend()
    (attempt,) = lab.open()
    lab.store.intend_cancel([attempt.eid], "Removed", lab.time.now())

    lab.loop.kick()
    await lab.time.settle()

    assert ([], "cancelled") == (lab.far.named("submit"), lab.attempt(attempt.eid).phase)


# ---------------------------------------------------------------------------------------------- polled


async def test_one_question_per_poll_whatever_the_number_of_attempts(lab: SchedulerLab) -> None:
    await lab.start(100)
    before = len(lab.far.asked)

    await lab.minutes(5)

    questions = [eids for op, eids in lab.far.asked[before:] if op == "inspect"]
    assert [100] * 10 == [len(eids) for eids in questions]


async def test_what_vanished_before_it_started_is_given_up_and_goes_on_under_the_next_number(lab: SchedulerLab) -> None:
    (lost,) = await lab.start(1)
    lab.far.jobs.clear()

    await lab.minutes(GIVEN_UP_MIN)
    await lab.dispatch()

    (attempt,) = lab.open()
    assert (2, "NotListed") == (attempt.key.number, lab.attempt(lost).reason)
    assert ClaimKind.REVOKED is lab.far.claims[lost].kind


async def test_what_is_listed_late_is_not_given_up(lab: SchedulerLab) -> None:
    lab.far.answers = [[]]
    (late,) = await lab.start(1)
    await lab.minutes(2.5)

    lab.far.jobs.add(late)
    await lab.minutes(20)

    assert ([], True) == (lab.far.named("revoke"), lab.attempt(late).accepted_at is not None)


async def test_a_listing_that_failed_is_no_absence(lab: SchedulerLab) -> None:
    await lab.start(1)
    lab.far.listing = Listing.FAILED

    await lab.minutes(60)

    assert [] == lab.far.named("revoke")


async def test_empty_listings_now_and_then_give_nobody_up(lab: SchedulerLab) -> None:
    await lab.start(10)
    polls = iter(range(10_000))
    lab.far.shown = lambda jobs: jobs if next(polls) // 10 % 2 else set()

    await lab.minutes(60)

    assert [] == lab.far.named("revoke")


async def test_who_started_in_the_very_moment_we_gave_it_up_is_taken_up_again(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    lab.far.jobs.clear()
    await lab.minutes(2.9)
    shown = lab.far.claims
    lab.far.start(eid)
    hidden, lab.far.claims = shown[eid], _Hidden(shown, lab)

    await lab.minutes(GIVEN_UP_MIN)

    assert ([eid], Phase.RUNNING) == (lab.far.named("revoke")[:1], lab.attempt(eid).phase)
    assert hidden is lab.far.claims[eid]


class _Hidden(dict):
    """Claims that an old directory does not show before somebody competes for them."""

    def __init__(self, claims: dict, lab: SchedulerLab) -> None:
        super().__init__(claims)
        self._lab = lab

    def get(self, key, default=None):
        return super().get(key, default) if self._lab.far.named("revoke") else default


async def test_a_submission_that_takes_long_is_not_missing_while_it_lasts(lab: SchedulerLab) -> None:
    lab.far.submission_s = 600.0
    (eid,) = await lab.start(1)

    await lab.minutes(11)

    assert ([], {eid}) == (lab.far.named("revoke"), lab.far.jobs)


async def test_an_answer_that_waited_long_is_as_old_as_its_question(lab: SchedulerLab) -> None:
    await lab.start(1)
    lab.far.jobs.clear()
    await lab.minutes(0.6)
    lab.far.inspection_s = 3600.0  # as when the daemon is stopped for an hour, with the answer on its way

    await lab.minutes(60.5)

    assert [] == lab.far.named("revoke")


async def test_what_a_restored_state_does_not_know_as_sent_is_polled_once_it_was_seen(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)

    def put_back() -> None:
        with sqlite3.connect(lab.folder / "state/state.db") as state:
            state.execute("UPDATE attempts SET sent_at = NULL, accepted_at = NULL")

    await lab.crash(meanwhile=put_back)
    lab.far.jobs.clear()

    await lab.minutes(GIVEN_UP_MIN)

    assert (1, "NotListed") == (lab.far.named("submit").count(eid), lab.attempt(eid).reason)


async def test_intents_that_were_not_sent_are_not_polled(lab: SchedulerLab) -> None:
    lab.far.answers = [Busy("Busy", "later")] * 1000
    await lab.start(1)
    before = len(lab.far.asked)

    await lab.minutes(10)

    assert [] == [eids for op, eids in lab.far.asked[before:] if op == "inspect"]


# ---------------------------------------------------------------------------------------------- ends


def _over(eid: str, code: int = 0) -> ExitRecord:
    return ExitRecord(nonce=f"nonce {eid}", started_at=1.0, ended_at=2.0, ended_by=Ended.ITSELF, exit_code=code)


async def test_a_record_ends_it_and_is_acknowledged_once_it_is_committed(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    lab.far.start(eid)
    lab.far.exits[eid] = _over(eid)

    await lab.minutes(1)

    assert (Phase.SUCCEEDED, [eid]) == (lab.attempt(eid).phase, lab.far.named("ack"))


async def test_a_page_that_the_agent_pushes_is_not_judged_by_the_host_that_it_runs_on(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    before_the_boot = Claim(kind=ClaimKind.STARTED, at=1.0, home=replace(LOGIN, boot="b0"), nonce="n", job="7")

    lab.far.news.put_nowait([Found(eid=eid, staged=True, claim=before_the_boot)])
    await lab.minutes(0.1)

    assert (Phase.RUNNING, 0) == (lab.attempt(eid).phase, lab.loop.unresolved())


async def test_what_left_no_trace_stays_unresolved_without_a_break_until_a_person_speaks(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    lab.far.start(eid)
    lab.far.jobs.clear()
    await lab.minutes(GIVEN_UP_MIN)

    told = []
    for _ in range(20):
        await lab.minutes(0.25)
        told.append(lab.loop.unresolved(SweepName("s")))

    assert ([1] * 20, Phase.RUNNING) == (told, lab.attempt(eid).phase)


async def test_the_accounting_tells_how_it_ended_once_it_is_gone(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    lab.far.start(eid)
    lab.far.jobs.clear()
    verdict = Account(job="7", restarts=0, verdict=Verdict.TIMEOUT, ended_at=7.0, raw="TIMEOUT", ceased=True)
    lab.far.accounts[eid] = verdict
    await lab.minutes(1)
    assert Phase.RUNNING is lab.attempt(eid).phase

    await lab.minutes(GIVEN_UP_MIN)

    assert (Phase.FAILED, "Timeout") == (lab.attempt(eid).phase, lab.attempt(eid).reason)


async def test_a_walltime_does_not_pass_because_our_clock_jumps(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1, resources="{walltime: 1h}")
    lab.far.start(eid)
    lab.far.jobs.clear()
    await lab.minutes(GIVEN_UP_MIN)

    lab.time.jump(86_400)
    await lab.minutes(30)
    assert Phase.RUNNING is lab.attempt(eid).phase

    await lab.minutes(40)
    assert Phase.LOST is lab.attempt(eid).phase


async def test_a_cancel_wins_the_claim_of_what_has_not_started(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    lab.store.intend_cancel([eid], "Removed", lab.time.now())

    lab.loop.kick()
    await lab.time.settle()

    assert ("cancelled", "Removed") == (lab.attempt(eid).phase, lab.attempt(eid).reason)
    assert ClaimKind.REVOKED is lab.far.claims[eid].kind


async def test_who_wins_the_claim_of_what_had_started_has_ended_nothing(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    lab.far.start(eid)
    await lab.minutes(1)
    lab.far.claims.clear()  # somebody has tidied up
    lab.store.intend_cancel([eid], "Removed", lab.time.now())

    lab.loop.kick()
    await lab.minutes(1)

    assert (ClaimKind.REVOKED, Phase.RUNNING, 1) == (
        lab.far.claims[eid].kind,
        lab.attempt(eid).phase,
        lab.loop.unresolved(),
    )


async def test_a_cancel_that_comes_while_it_is_being_submitted_is_carried_out_afterwards(lab: SchedulerLab) -> None:
    lab.far.submission_s = 100.0
    (eid,) = await lab.start(1)
    lab.store.intend_cancel([eid], "Removed", lab.time.now())
    lab.loop.kick()

    await lab.minutes(2)

    assert ("cancelled", [eid]) == (lab.attempt(eid).phase, lab.far.named("cancel"))


async def test_the_sweep_may_vanish_while_its_attempt_is_given_up(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    lab.far.jobs.clear()
    lab.commit(s=None, other="{x: [1]}")
    await lab.acceptance.run()

    await lab.minutes(GIVEN_UP_MIN)

    assert ("cancelled", []) == (lab.attempt(eid).phase, lab.open())
