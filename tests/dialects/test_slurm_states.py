"""The words of Slurm: all 24 states, how starts ended, and why jobs wait."""

from __future__ import annotations

import pytest

from reconciler.core.jobs import JobState, Verdict
from reconciler.dialects.slurm_states import WAITS, state_of, verdict_of, wait_of

STATES = {
    "BOOT_FAIL": None,
    "CANCELLED": None,
    "COMPLETED": None,
    "CONFIGURING": JobState.WAITING,
    "COMPLETING": JobState.ENDING,
    "DEADLINE": None,
    "FAILED": None,
    "NODE_FAIL": None,
    "OUT_OF_MEMORY": None,
    "PENDING": JobState.WAITING,
    "PREEMPTED": JobState.ENDING,
    "RUNNING": JobState.RUNNING,
    "RESV_DEL_HOLD": JobState.WAITING,
    "REQUEUE_FED": JobState.WAITING,
    "REQUEUE_HOLD": JobState.WAITING,
    "REQUEUED": JobState.WAITING,
    "RESIZING": JobState.RUNNING,
    "REVOKED": JobState.UNKNOWN,
    "SIGNALING": JobState.RUNNING,
    "SPECIAL_EXIT": JobState.WAITING,
    "STAGE_OUT": JobState.ENDING,
    "STOPPED": JobState.RUNNING,
    "SUSPENDED": JobState.RUNNING,
    "TIMEOUT": None,
}


@pytest.mark.parametrize(("word", "expected"), STATES.items())
def test_each_state_of_squeue_has_its_place_in_the_queue_or_is_an_end(word: str, expected: JobState | None) -> None:
    assert expected == state_of(word)


@pytest.mark.parametrize("word", ["", "EXPEDITING", "POWER_UP_NODE", "completed", "0", "NODE_FAILED_NOT"])
def test_a_state_that_nobody_knows_is_no_end(word: str) -> None:
    assert JobState.UNKNOWN == state_of(word)
    assert verdict_of(word) is None


@pytest.mark.parametrize(
    "word", ["PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "REVOKED", "RESIZING", "REQUEUE_HOLD"]
)
def test_what_has_not_ended_has_no_verdict(word: str) -> None:
    assert verdict_of(word) is None


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("COMPLETED", Verdict.COMPLETED),
        ("CANCELLED by 1000", Verdict.CANCELLED),
        ("CANCELLED+", Verdict.CANCELLED),
        ("DEADLINE", Verdict.TIMEOUT),
        ("BOOT_FAIL", Verdict.NODE_FAILURE),
        ("PREEMPTED", Verdict.PREEMPTED),
        ("REQUEUED", Verdict.PREEMPTED),
    ],
)
def test_the_accounting_tells_how_one_start_ended(word: str, expected: Verdict) -> None:
    assert expected == verdict_of(word)


@pytest.mark.parametrize(
    ("reason", "meaning", "stuck"),
    [
        ("Priority", "others with a higher priority are before it", False),
        ("(Resources)", "it is next when what it asks for becomes free", False),
        ("ReqNodeNotAvail, UnavailableNodes:n1", "nodes that it needs are down, drained or reserved", False),
        ("launch failed requeued held", "it could not be started on its node, and is held", True),
        ("JobHeldAdmin", "an administrator of the cluster holds it", True),
        ("AssocMaxJobsLimit", "a limit of its account or QOS is reached", False),
        ("QOSMaxSubmitJobPerUserLimit", "a limit of its account or QOS is reached", False),
        (
            "QOSMaxWallDurationPerJobLimit",
            "it asks for more than a limit of its account or QOS gives to one job",
            True,
        ),
        ("BeforeTheMoonRises", "Slurm gives this reason, which is not known here", False),
        ("", "Slurm gives this reason, which is not known here", False),
    ],
)
def test_the_reason_of_a_pending_job_is_told_in_words(reason: str, meaning: str, *, stuck: bool) -> None:
    wait = wait_of(reason)
    assert (meaning, stuck) == (wait.meaning, wait.stuck)


def test_whoever_is_stuck_is_told_what_to_do() -> None:
    assert [] == [reason for reason, wait in WAITS.items() if wait.stuck and not wait.action]
