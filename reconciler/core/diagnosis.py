"""How an attempt ended, and why it failed: one place turns an end into a phase, a reason and a failure class.

The class is decided from several signals: who ended the task, how it ended, and what it had used by then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from reconciler.core.jobs import Account, Verdict
from reconciler.core.lifecycle import RESUME
from reconciler.core.model import Attempt, FailureClass, Instant, Phase, Resources
from reconciler.core.wire import Ended, ExitRecord

EX_TEMPFAIL = 75  # the exit code by which a task asks to be resumed
KILL = 9
OUTSIDE = frozenset({1, 2, 3, KILL, 15})  # HUP INT QUIT KILL TERM: a program does not send them to itself by mistake
MEMORY_FULL = 0.95  # the share of the requested memory at which a kill is believed to be for memory


def cancelled(attempt: Attempt, at: Instant, reason: str, message: str) -> Attempt:
    """The attempt as ended by us."""
    return replace(attempt, phase=Phase.CANCELLED, ended_at=at, reason=reason, message=message)


def lost(attempt: Attempt, now: Instant, message: str) -> Attempt:
    """Ended without a record: lost, unless it is what we wanted anyway."""
    if attempt.cancel:
        return cancelled(attempt, now, attempt.cancel, message)
    reason = FailureClass.LOST.value
    return replace(attempt, phase=Phase.LOST, ended_at=now, reason=reason, message=message, failure=FailureClass.LOST)


def recorded(attempt: Attempt, record: ExitRecord) -> Attempt:
    """The end that the record tells. Exit code 75 is asked for: it wins over the signal that prompted it."""
    attempt = replace(
        attempt,
        started_at=record.started_at,
        exit_code=record.exit_code,
        signal=record.signal,
        cpu_s=record.cpu_s,
        max_rss_mib=record.max_rss_mib,
    )
    if attempt.cancel and record.ended_by is Ended.CANCEL:
        return cancelled(attempt, record.ended_at, attempt.cancel, "it was told to end, and did")
    if record.exit_code == EX_TEMPFAIL:
        ended = replace(attempt, phase=Phase.FAILED, reason=RESUME, message="it asked to be resumed (exit code 75)")
    elif record.exit_code == 0 and record.ended_by is Ended.ITSELF:
        ended = replace(attempt, phase=Phase.SUCCEEDED, reason="Completed")
    else:
        failure, message = _diagnosed(attempt, record)
        ended = replace(attempt, phase=Phase.FAILED, reason=failure.value, message=message, failure=failure)
    return replace(ended, ended_at=record.ended_at)


def accounted(attempt: Attempt, account: Account) -> Attempt:
    """The end that the accounting tells of a start that left no record. It never tells a success: nothing was kept."""
    told = f"the scheduler says {account.raw or account.verdict.value}, and it left no record"
    attempt = replace(
        attempt,
        cpu_s=attempt.cpu_s if account.cpu_s is None else account.cpu_s,
        max_rss_mib=attempt.max_rss_mib if account.max_rss_mib is None else account.max_rss_mib,
    )
    if attempt.cancel:
        return cancelled(attempt, account.ended_at, attempt.cancel, told)
    failure = _accounted_class(account.verdict)
    if failure is FailureClass.LOST:
        return lost(attempt, account.ended_at, told)
    return replace(
        attempt, phase=Phase.FAILED, ended_at=account.ended_at, reason=failure.value, message=told, failure=failure
    )


def _accounted_class(verdict: Verdict) -> FailureClass:
    match verdict:
        case Verdict.TIMEOUT:
            return FailureClass.TIMEOUT
        case Verdict.OUT_OF_MEMORY:
            return FailureClass.OUT_OF_MEMORY
        case Verdict.NODE_FAILURE:
            return FailureClass.NODE_FAILURE
        case Verdict.PREEMPTED:
            return FailureClass.PREEMPTED
        case Verdict.CANCELLED:
            return FailureClass.CANCELLED_EXTERNALLY
        case Verdict.COMPLETED | Verdict.FAILED:  # it would have written its record: what became of it is not known
            return FailureClass.LOST
        case _:
            assert_never(verdict)


def _diagnosed(attempt: Attempt, record: ExitRecord) -> tuple[FailureClass, str]:
    """Why it failed: who ended it, then how."""
    match record.ended_by:
        case Ended.WALLTIME:
            return FailureClass.TIMEOUT, f"it reached its walltime of {attempt.resources.walltime_s} s"
        case Ended.CANCEL:
            return FailureClass.CANCELLED_EXTERNALLY, "it was told to end, but not by us"
        case Ended.ITSELF:
            return _diagnosed_itself(attempt, record)
        case _:
            assert_never(record.ended_by)


def _diagnosed_itself(attempt: Attempt, record: ExitRecord) -> tuple[FailureClass, str]:
    if record.launch_error is not None:
        return FailureClass.LAUNCH_FAILURE, f"it could not be started: {record.launch_error}"
    if record.signal is None:
        ended = f"it exited with code {record.exit_code}"
    else:
        ended = f"it was ended by signal {record.signal}"
    if record.oom_kills:  # whatever it made of that
        killed = "a process" if record.oom_kills == 1 else f"{record.oom_kills} processes"
        return FailureClass.OUT_OF_MEMORY, f"{ended}, after the system had killed {killed} of it for want of memory"
    if record.signal is None:
        return FailureClass.USER_ERROR, ended
    if record.signal == KILL and _filled_its_memory(attempt.resources, record):
        return FailureClass.OUT_OF_MEMORY, f"{ended} at {record.max_rss_mib:.0f} MiB of memory"
    if record.signal in OUTSIDE:
        return FailureClass.CANCELLED_EXTERNALLY, f"{ended}, sent from outside"
    return FailureClass.USER_ERROR, f"it crashed: {ended}"


def _filled_its_memory(resources: Resources, record: ExitRecord) -> bool:
    """A kill alone does not tell who killed; a kill at the memory limit does."""
    return resources.memory_mib is not None and record.max_rss_mib >= MEMORY_FULL * resources.memory_mib
