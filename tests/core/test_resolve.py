"""What happened? One row for each rule of evidence: what lies on the source, and what follows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_makers import ELSEWHERE, HERE, NOW, REBOOTED, attempt, found, record, revoked, started

from reconciler.core.evidence import Absent, Claimed, LockFree, LockHeld, Revoked, Unreachable, evidence
from reconciler.core.model import FailureClass, HostIdentity, Phase, Resources
from reconciler.core.resolve import GiveUp, Resubmit, Unresolved, resolve
from reconciler.core.wire import Ended, Lock

RUNNING = attempt(Phase.RUNNING)


def looked(subject, there, here=HERE):
    return resolve(subject, evidence(subject, there, here), NOW)


def told(resolution):
    """The part of a resolution that a table can name: phase or kind, and reason."""
    if resolution is None:
        return None
    if isinstance(resolution, GiveUp | Resubmit | Unresolved):
        return type(resolution).__name__, resolution.reason
    return resolution.phase.value, resolution.reason


QUEUED = {
    "a started claim means it runs": (found(claim=started(), lock=Lock.HELD), ("running", "")),
    "a started claim means it runs, even if its lock cannot be judged": (found(claim=started()), ("running", "")),
    "an exit record with the claim's nonce ends it": (
        found(claim=started(), exit=record()),
        ("succeeded", "Completed"),
    ),
    "an exit record wins over a free lock": (
        found(claim=started(), exit=record(exit_code=3), lock=Lock.FREE),
        ("failed", "UserError"),
    ),
    "an exit record wins over a held lock": (
        found(claim=started(), exit=record(), lock=Lock.HELD),
        ("succeeded", "Completed"),
    ),
    "an exit record of another nonce is nothing: it runs": (
        found(claim=started("n1"), exit=record("n2"), lock=Lock.HELD),
        ("running", ""),
    ),
    "an exit record of another nonce is nothing: it is lost": (
        found(claim=started("n1"), exit=record("n2"), lock=Lock.FREE),
        ("lost", "Lost"),
    ),
    "an exit record without a claim proves nothing": (found(exit=record()), ("Unresolved", "RecordWithoutClaim")),
    "a revoked claim gives it back": (found(claim=revoked()), ("cancelled", "Revoked")),
    "a free lock after a start proves the end": (found(claim=started(), lock=Lock.FREE), ("lost", "Lost")),
    "a free lock without a claim proves no end": (found(lock=Lock.FREE), ("Resubmit", "NothingThere")),
    "a held lock without a claim is a start in the making": (found(staged=True, lock=Lock.HELD), None),
    "nothing there: it may be started again": (found(), ("Resubmit", "NothingThere")),
    "its claim is torn: it may run, and nothing else can start": (found(torn=True), ("running", "")),
    "only staged: it may be started again": (found(staged=True), ("Resubmit", "NothingThere")),
    "in the source's queue: accepted": (found(staged=True, waiting=True), ("queued", "")),
    "the shim could not claim: it may be started again": (
        found(staged=True, refused="No space left on device"),
        ("Resubmit", "ClaimFailed"),
    ),
}


@pytest.mark.parametrize(("there", "expected"), QUEUED.values(), ids=QUEUED)
def test_a_queued_attempt(there, expected):
    assert told(looked(attempt(), there)) == expected


AFTER_REBOOT = {
    "no claim: the claim may be lost with the power, but it does not run": (attempt(), found(), ("lost", "Lost")),
    "claimed in the boot before": (attempt(), found(claim=started()), ("lost", "Lost")),
    "running in the boot before": (RUNNING, found(claim=started()), ("lost", "Lost")),
    "running, its claim lost with the power": (RUNNING, found(), ("lost", "Lost")),
    "its claim torn by the power": (attempt(), found(torn=True), ("lost", "Lost")),
    "its exit record survived": (RUNNING, found(claim=started(), exit=record()), ("succeeded", "Completed")),
    "claimed in this boot": (attempt(), found(claim=started(home=REBOOTED)), ("running", "")),
    "in the source's queue again": (attempt(), found(staged=True, waiting=True), ("queued", "")),
    "a held lock: it lives, whatever the boot": (RUNNING, found(claim=started(), lock=Lock.HELD), None),
}


@pytest.mark.parametrize(("subject", "there", "expected"), AFTER_REBOOT.values(), ids=AFTER_REBOOT)
def test_after_a_reboot(subject, there, expected):
    assert told(looked(subject, there, REBOOTED)) == expected


FROM_ANOTHER_HOST = {
    "nothing there proves nothing": (attempt(), found(), ("Unresolved", "WrongHost")),
    "a free lock proves nothing": (RUNNING, found(claim=started(), lock=Lock.FREE), ("Unresolved", "WrongHost")),
    "a claim is a claim": (attempt(), found(claim=started(), lock=Lock.FREE), ("running", "")),
    "a record is a record": (RUNNING, found(claim=started(), exit=record()), ("succeeded", "Completed")),
    "a revoked claim is one": (attempt(), found(claim=revoked()), ("cancelled", "Revoked")),
}


@pytest.mark.parametrize("here", [ELSEWHERE, replace(HERE, machine="m2"), replace(HERE, host="login2")])
@pytest.mark.parametrize(("subject", "there", "expected"), FROM_ANOTHER_HOST.values(), ids=FROM_ANOTHER_HOST)
def test_a_look_from_another_host(subject, there, expected, here):
    assert told(looked(subject, there, here)) == expected


OF_SHARED_FILES = {
    "not begun: given up": (attempt(), found(), ("GiveUp", "WrongHost")),
    "staged, and not begun: given up": (attempt(), found(staged=True), ("GiveUp", "WrongHost")),
    "a claim is a claim": (attempt(), found(claim=started(), lock=Lock.FREE), ("running", "")),
    "begun: its lock proves nothing": (RUNNING, found(claim=started(), lock=Lock.FREE), ("Unresolved", "WrongHost")),
    "being cancelled: that ends it": (attempt(cancel="Removed"), found(), ("Unresolved", "WrongHost")),
    "a record without a claim": (attempt(), found(exit=record()), ("Unresolved", "WrongHost")),
    "its claim is torn: it may run": (attempt(), found(torn=True), ("running", "")),
}


@pytest.mark.parametrize(("subject", "there", "expected"), OF_SHARED_FILES.values(), ids=OF_SHARED_FILES)
def test_a_look_from_another_host_of_the_same_files(subject, there, expected):
    proofs = evidence(subject, there, ELSEWHERE, neighbours={HERE})

    assert told(resolve(subject, proofs, NOW)) == expected


def test_files_are_shared_with_that_very_boot_of_the_other_host():
    proofs = evidence(attempt(), found(), ELSEWHERE, neighbours={REBOOTED})

    assert told(resolve(attempt(), proofs, NOW)) == ("Unresolved", "WrongHost")


@pytest.mark.parametrize("blank", ["host", "machine", "boot"])
def test_a_host_that_cannot_tell_who_it_is_proves_nothing(blank):
    here = replace(REBOOTED, **{blank: ""})
    subject = attempt(home=replace(HERE, **{blank: ""}))

    assert told(looked(subject, found(), here)) == ("Unresolved", "WrongHost")


def test_the_claim_says_which_work_really_ran():
    there = found(claim=started(digest="b" * 16), exit=record())

    assert looked(attempt(), there).digest == "b" * 16


def test_one_boot_is_one_machine_though_it_has_no_machine_id():
    here = replace(HERE, machine="")
    subject = attempt(home=here)

    assert told(looked(subject, found(), here)) == ("Resubmit", "NothingThere")


UNREADABLE = attempt(Phase.RUNNING, nonce=None)
TORN = {
    "and still is: somebody should know": (found(torn=True), ("Unresolved", "ClaimTorn")),
    "and is gone: it does not start once more": (found(), ("Unresolved", "Vanished")),
    "and can be read now": (found(claim=started(), exit=record()), ("succeeded", "Completed")),
    "and was given up, as can be read now": (found(claim=revoked()), ("cancelled", "Revoked")),
}


@pytest.mark.parametrize(("there", "expected"), TORN.values(), ids=TORN)
def test_an_attempt_whose_claim_was_torn(there, expected):
    assert told(looked(UNREADABLE, there)) == expected


RUNNING_ROWS = {
    "its lock is held": (found(claim=started(), lock=Lock.HELD), None),
    "its lock cannot be judged": (found(claim=started()), ("Unresolved", "LockUnknown")),
    "its lock is free": (found(claim=started(), lock=Lock.FREE), ("lost", "Lost")),
    "its directory is gone": (found(), ("Unresolved", "Vanished")),
    "its claim is torn": (found(torn=True), ("Unresolved", "ClaimTorn")),
    "its claim is torn, but the record has its nonce": (found(torn=True, exit=record()), ("succeeded", "Completed")),
    "its claim is another one": (found(claim=started("n2"), lock=Lock.FREE), ("Unresolved", "ClaimMismatch")),
    "its claim is suddenly revoked": (found(claim=revoked()), ("Unresolved", "ClaimMismatch")),
    "its claim is gone, but the record has its nonce": (found(exit=record()), ("succeeded", "Completed")),
    "it is back in a queue": (found(staged=True, waiting=True), None),
}


@pytest.mark.parametrize(("there", "expected"), RUNNING_ROWS.values(), ids=RUNNING_ROWS)
def test_a_running_attempt(there, expected):
    assert told(looked(RUNNING, there)) == expected


ENDS = {
    "exit code 0": (record(exit_code=0), ("succeeded", "Completed")),
    "another exit code": (record(exit_code=2), ("failed", "UserError")),
    "exit code 75 asks to be resumed": (record(exit_code=75), ("failed", "Resume")),
    "exit code 75 at the walltime, too": (record(exit_code=75, ended_by=Ended.WALLTIME), ("failed", "Resume")),
    "a crash": (record(signal=11), ("failed", "UserError")),
    "a kill far from the memory limit": (record(signal=9, max_rss_mib=10), ("failed", "CancelledExternally")),
    "a kill at the memory limit": (record(signal=9, max_rss_mib=99), ("failed", "OutOfMemory")),
    "processes killed for memory, whatever it made of that": (
        record(exit_code=3, oom_kills=2),
        ("failed", "OutOfMemory"),
    ),
    "killed by the system for memory": (record(signal=9, oom_kills=1), ("failed", "OutOfMemory")),
    "a success in spite of a killed process": (record(exit_code=0, oom_kills=1), ("succeeded", "Completed")),
    "a crash at the memory limit": (record(signal=11, max_rss_mib=99), ("failed", "UserError")),
    "a TERM from outside": (record(signal=15), ("failed", "CancelledExternally")),
    "the walltime": (record(signal=9, ended_by=Ended.WALLTIME), ("failed", "Timeout")),
    "the walltime, politely": (record(exit_code=0, ended_by=Ended.WALLTIME), ("failed", "Timeout")),
    "a cancel that was not ours": (record(signal=15, ended_by=Ended.CANCEL), ("failed", "CancelledExternally")),
    "a command that cannot be started": (record(launch_error="no such file"), ("failed", "LaunchFailure")),
}


@pytest.mark.parametrize(("end", "expected"), ENDS.values(), ids=ENDS)
def test_how_it_ended(end, expected):
    subject = attempt(Phase.RUNNING, resources=Resources(memory_mib=100, walltime_s=60))

    assert told(looked(subject, found(claim=started(), exit=end))) == expected


def test_a_failure_has_its_class_and_a_resume_has_none():
    failed = looked(RUNNING, found(claim=started(), exit=record(exit_code=2)))
    resumed = looked(RUNNING, found(claim=started(), exit=record(exit_code=75)))

    assert (failed.failure, resumed.failure) == (FailureClass.USER_ERROR, None)


CANCELLED = {
    "it did as told": (found(claim=started(), exit=record(signal=15, ended_by=Ended.CANCEL)), ("cancelled", "Removed")),
    "it did as told, politely": (
        found(claim=started(), exit=record(exit_code=0, ended_by=Ended.CANCEL)),
        ("cancelled", "Removed"),
    ),
    "it did as told, and would resume": (
        found(claim=started(), exit=record(exit_code=75, ended_by=Ended.CANCEL)),
        ("cancelled", "Removed"),
    ),
    "it had succeeded before": (found(claim=started(), exit=record()), ("succeeded", "Completed")),
    "it had failed before": (found(claim=started(), exit=record(exit_code=1)), ("failed", "UserError")),
    "it never started": (found(claim=revoked()), ("cancelled", "Removed")),
    "it ended without a record": (found(claim=started(), lock=Lock.FREE), ("cancelled", "Removed")),
    "it still runs": (found(claim=started(), lock=Lock.HELD), ("running", "")),
    "nothing is there: it is not started again": (found(), None),
    "the source could not start it: it is not started again": (found(refused="disk full"), None),
}


@pytest.mark.parametrize(("there", "expected"), CANCELLED.values(), ids=CANCELLED)
def test_an_attempt_that_we_cancel(there, expected):
    assert told(looked(attempt(cancel="Removed", cancel_at=250.0), there)) == expected


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.ended])
def test_an_ended_attempt_absorbs_everything(phase):
    assert looked(attempt(phase), found(claim=started("n2"), exit=record("n2"), lock=Lock.FREE)) is None


def test_a_start_brings_its_facts():
    there = found(claim=started(gpus=(1, 3)), lock=Lock.HELD, directory="/r/attempts/x")

    assert looked(attempt(), there) == attempt(
        Phase.RUNNING, accepted_at=NOW, gpus=(1, 3), directory="/r/attempts/x", started_at=200.0, nonce="n1"
    )


def test_an_end_brings_its_facts():
    end = record(exit_code=2, cpu_s=1.5, max_rss_mib=20.0)
    ended = looked(RUNNING, found(claim=started(), exit=end))

    assert (ended.ended_at, ended.exit_code, ended.signal, ended.cpu_s, ended.max_rss_mib) == (
        300.0,
        2,
        None,
        1.5,
        20.0,
    )


def test_an_end_without_a_record_is_dated_when_it_was_noticed():
    assert looked(RUNNING, found(claim=started(), lock=Lock.FREE)).ended_at == NOW


def test_an_accepted_attempt_stays_accepted_when_it_was():
    subject = attempt(accepted_at=120.0)

    assert looked(subject, found(claim=started(), lock=Lock.HELD)).accepted_at == 120.0


def test_no_answer_is_no_news():
    assert resolve(RUNNING, [Unreachable()], NOW) is None


def test_a_claim_that_was_won_twice_is_not_believed():
    twice = resolve(attempt(), [Claimed(started("n1")), Claimed(started("n2")), LockFree()], NOW)

    assert told(twice) == ("Unresolved", "ClaimMismatch")


def test_a_claim_that_was_both_started_and_revoked_is_not_believed():
    assert told(resolve(attempt(), [Claimed(started()), Revoked(revoked())], NOW)) == ("Unresolved", "ClaimMismatch")


def test_a_free_lock_and_a_held_one_mean_that_it_lives():
    assert resolve(RUNNING, [LockFree(), LockHeld()], NOW) is None


def test_a_queued_attempt_is_not_lost_by_a_free_lock_alone():
    assert told(resolve(attempt(), [LockFree(), Absent()], NOW)) == ("Resubmit", "NothingThere")


def test_another_host_is_named():
    subject = attempt(home=HostIdentity(host="node1", machine="", boot="b1"))

    assert looked(subject, found()).message == (
        "it belongs to node1 (machine unknown), and laptop (machine m1) looked for it"
    )
