"""What holds whatever is found: an end needs proof, an end is final, the order of the evidence is nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_makers import HERE, NOW
from core_worlds import ATTEMPTS, FOUND, HOSTS, OPEN_ATTEMPTS, PIECES, POLLED, SCHEDULED, example_of
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.evidence import (
    Claimed,
    Evidence,
    ExitSeen,
    LockFree,
    LockHeld,
    LockUnknown,
    NotListed,
    Rebooted,
    Revoked,
    Unreachable,
    Waiting,
    WrongHost,
    evidence,
)
from reconciler.core.jobs import Listing
from reconciler.core.model import Attempt, Phase
from reconciler.core.resolve import WALLTIME_GRACE_S, GiveUp, Resubmit, resolve
from reconciler.core.wire import ClaimKind, Ended, Lock

EVIDENCE = st.lists(PIECES, max_size=5)


def ended(resolution):
    return isinstance(resolution, Attempt) and resolution.phase.ended


@given(ATTEMPTS, EVIDENCE)
def test_an_ended_attempt_absorbs_everything(subject, pieces):
    if subject.phase.ended:
        assert resolve(subject, pieces, NOW) is None


@given(OPEN_ATTEMPTS, EVIDENCE)
def test_an_end_is_concluded_from_positive_evidence_only(subject, pieces):
    proofs = (ExitSeen, Revoked, LockFree, Rebooted, NotListed)
    silent = [piece for piece in pieces if not isinstance(piece, proofs)]

    assert not ended(resolve(subject, silent, NOW))


@given(OPEN_ATTEMPTS, EVIDENCE, st.randoms(use_true_random=False))
def test_the_order_of_the_evidence_is_nothing(subject, pieces, random):
    one_each = list({type(piece): piece for piece in pieces}.values())
    shuffled = random.sample(one_each, len(one_each))

    assert resolve(subject, one_each, NOW) == resolve(subject, shuffled, NOW)


@given(OPEN_ATTEMPTS, FOUND, HOSTS)
def test_looking_twice_tells_nothing_new(subject, there, here):
    first = resolve(subject, evidence(subject, there, here), NOW)
    if isinstance(first, Attempt):
        assert not isinstance(resolve(first, evidence(first, there, here), NOW + 1), Attempt)


@given(OPEN_ATTEMPTS, EVIDENCE)
def test_the_answer_is_never_the_attempt_itself(subject, pieces):
    assert resolve(subject, pieces, NOW) != subject


@given(OPEN_ATTEMPTS, EVIDENCE)
def test_a_running_attempt_never_goes_back(subject, pieces):
    resolution = resolve(subject, pieces, NOW)
    if isinstance(resolution, Attempt) and subject.phase is Phase.RUNNING:
        assert resolution.phase is not Phase.QUEUED


@given(OPEN_ATTEMPTS, EVIDENCE)
def test_what_an_attempt_is_never_changes(subject, pieces):
    resolution = resolve(subject, pieces, NOW)
    if isinstance(resolution, Attempt):
        names = ("key", "eid", "source", "digest", "home", "resources", "intended_at", "cancel")
        assert [getattr(resolution, name) for name in names] == [getattr(subject, name) for name in names]


@given(OPEN_ATTEMPTS, EVIDENCE)
def test_success_needs_a_record_with_the_nonce_of_the_claim(subject, pieces):
    resolution = resolve(subject, pieces, NOW)
    if isinstance(resolution, Attempt) and resolution.phase is Phase.SUCCEEDED:
        claims = {piece.claim.nonce for piece in pieces if isinstance(piece, Claimed)} | {subject.nonce}
        records = [piece.record for piece in pieces if isinstance(piece, ExitSeen)]
        assert any(each.nonce in claims and each.exit_code == 0 and each.ended_by is Ended.ITSELF for each in records)


@given(OPEN_ATTEMPTS, EVIDENCE)
def test_it_is_lost_only_with_its_lock_free_or_its_source_rebooted_and_never_with_its_lock_held(subject, pieces):
    without_scheduler = [piece for piece in pieces if not isinstance(piece, NotListed)]
    resolution = resolve(subject, without_scheduler, NOW)
    if isinstance(resolution, Attempt) and resolution.phase is Phase.LOST:
        assert LockHeld() not in pieces
        assert Rebooted() in pieces or LockFree() in pieces
        assert resolution.started_at is not None or (Rebooted() in pieces and Waiting() not in pieces)


@given(OPEN_ATTEMPTS, POLLED, HOSTS, SCHEDULED)
def test_under_a_scheduler_an_end_without_a_file_needs_a_start_that_is_gone_and_accounted_or_out_of_time(
    subject, there, here, scheduled
):
    resolution = resolve(subject, evidence(subject, there, here, scheduled), NOW)
    if ended(resolution) and there.exit is None and resolution.reason != "Revoked" and not revoked_there(there):
        assert resolution.started_at is not None
        assert (there.listing, there.job) == (Listing.CLEAN, None)
        assert subject.eid in scheduled.gone
        assert accounted_start(there) or scheduled.clock > resolution.started_at + 60 + WALLTIME_GRACE_S


def revoked_there(there):
    return there.claim is not None and there.claim.kind is ClaimKind.REVOKED


def accounted_start(there):
    claim, told = there.claim, there.account
    return claim and told and told.ceased and (claim.job, claim.restarts) == (told.job, told.restarts)


@given(OPEN_ATTEMPTS, POLLED, HOSTS, SCHEDULED)
def test_what_is_listed_ends_only_by_what_was_written(subject, there, here, scheduled):
    if there.job is not None and ended(resolve(subject, evidence(subject, there, here, scheduled), NOW)):
        assert there.exit is not None or revoked_there(there)


@given(OPEN_ATTEMPTS, POLLED, HOSTS, HOSTS, SCHEDULED)
def test_whence_a_scheduler_is_asked_is_nothing_to_go_by(subject, there, here, elsewhere, scheduled):
    assert evidence(subject, there, here, scheduled) == evidence(subject, there, elsewhere, scheduled)


@given(OPEN_ATTEMPTS, POLLED, HOSTS, SCHEDULED)
def test_under_a_scheduler_nothing_is_started_again_under_the_same_name(subject, there, here, scheduled):
    assert not isinstance(resolve(subject, evidence(subject, there, here, scheduled), NOW), Resubmit)


@given(OPEN_ATTEMPTS, POLLED, HOSTS, SCHEDULED)
def test_only_what_never_started_and_is_gone_and_is_not_being_cancelled_is_given_up(subject, there, here, scheduled):
    if isinstance(resolve(subject, evidence(subject, there, here, scheduled), NOW), GiveUp):
        assert (there.claim, there.exit, there.job, subject.nonce, subject.cancel) == (None, None, None, None, "")
        assert there.listing is Listing.CLEAN
        assert subject.eid in scheduled.gone


@given(OPEN_ATTEMPTS, POLLED, HOSTS, SCHEDULED)
def test_under_a_scheduler_looking_twice_tells_nothing_new(subject, there, here, scheduled):
    first = resolve(subject, evidence(subject, there, here, scheduled), NOW)
    if isinstance(first, Attempt):
        assert not isinstance(resolve(first, evidence(first, there, here, scheduled), NOW + 1), Attempt)


@given(OPEN_ATTEMPTS, EVIDENCE)
def test_it_is_cancelled_only_when_revoked_or_when_we_asked_for_it(subject, pieces):
    resolution = resolve(subject, pieces, NOW)
    if isinstance(resolution, Attempt) and resolution.phase is Phase.CANCELLED:
        assert subject.cancel or any(isinstance(piece, Revoked) for piece in pieces)


@given(OPEN_ATTEMPTS, FOUND, HOSTS)
def test_it_is_started_again_only_where_nothing_was_claimed_recorded_queued_or_cancelled(subject, there, here):
    if isinstance(resolve(subject, evidence(subject, there, here), NOW), Resubmit):
        assert (there.claim, there.exit, there.waiting, subject.nonce, subject.cancel) == (None, None, False, None, "")
        assert there.lock is not Lock.HELD
        assert here == subject.home


@given(OPEN_ATTEMPTS, FOUND)
def test_another_host_never_ends_it_without_a_file_that_says_so(subject, there):
    elsewhere = replace(HERE, machine="m3")
    resolution = resolve(subject, evidence(subject, there, elsewhere), NOW)
    if there.exit is None and there.claim is None:
        assert not ended(resolution)
    assert not (isinstance(resolution, Attempt) and resolution.phase is Phase.LOST)


@given(OPEN_ATTEMPTS, FOUND, st.sets(st.sampled_from([HERE, replace(HERE, boot="b2"), replace(HERE, machine="m2")])))
def test_another_host_gives_up_only_what_nobody_has_begun_or_cancels_and_whose_files_it_shares(
    subject, there, neighbours
):
    elsewhere = replace(HERE, machine="m3")
    if isinstance(resolve(subject, evidence(subject, there, elsewhere, None, neighbours), NOW), GiveUp):
        assert (there.claim, there.exit, there.torn) == (None, None, False)
        assert (subject.phase, subject.nonce, subject.cancel) == (Phase.QUEUED, None, "")
        assert subject.home in neighbours


@given(OPEN_ATTEMPTS, EVIDENCE)
def test_unknown_concludes_nothing(subject, pieces):
    unknown = [Unreachable(), LockUnknown(), WrongHost(HERE, replace(HERE, machine="m3"))]
    without = resolve(subject, pieces, NOW)
    resolution = resolve(subject, [*pieces, *unknown], NOW)

    assert isinstance(resolution, Attempt) == isinstance(without, Attempt)
    if isinstance(without, Attempt):
        assert resolution == without


REASONS = [
    "Completed", "Resume", "UserError", "Timeout", "OutOfMemory", "CancelledExternally", "LaunchFailure", "Lost",
    "Revoked", "Removed", "ClaimFailed", "NothingThere", "WrongHost", "Vanished", "LockUnknown", "RecordWithoutClaim",
    "ClaimMismatch", "ClaimTorn",
]  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_the_generators_reach_each_reason(reason):
    def reached(world):
        subject, there, here = world
        resolution = resolve(subject, evidence(subject, there, here), NOW)
        return resolution is not None and resolution.reason == reason

    worlds = st.tuples(OPEN_ATTEMPTS, FOUND, HOSTS)
    assert reached(example_of(worlds, reached))


UNDER_A_SCHEDULER = [
    *(set(REASONS) - {"ClaimFailed", "NothingThere", "WrongHost", "Vanished", "LockUnknown"}),
    "NotListed", "NoRecord", "NodeFailure", "Preempted",
]  # fmt: skip


@pytest.mark.parametrize("reason", sorted(UNDER_A_SCHEDULER))
def test_the_generators_reach_each_reason_under_a_scheduler(reason):
    def reached(world):
        subject, there, here, scheduled = world
        resolution = resolve(subject, evidence(subject, there, here, scheduled), NOW)
        return resolution is not None and resolution.reason == reason

    worlds = st.tuples(OPEN_ATTEMPTS, POLLED, HOSTS, SCHEDULED)
    assert reached(example_of(worlds, reached))


@pytest.mark.parametrize("kind", Evidence.__args__)
def test_the_generators_reach_each_kind_of_evidence(kind):
    def reached(pieces):
        return any(isinstance(piece, kind) for piece in pieces)

    assert reached(example_of(EVIDENCE, reached))
