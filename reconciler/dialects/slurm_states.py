"""The words of Slurm for where a job stands, how it ended and why it waits, and what they mean here.

A state that is in none of these tables is never an end: new versions bring new words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.core.jobs import JobState, Verdict, Wait

IN_QUEUE: Mapping[str, JobState] = {
    "PENDING": JobState.WAITING,
    "CONFIGURING": JobState.WAITING,  # its nodes are still booting
    "REQUEUED": JobState.WAITING,
    "REQUEUE_FED": JobState.WAITING,
    "REQUEUE_HOLD": JobState.WAITING,
    "RESV_DEL_HOLD": JobState.WAITING,
    "SPECIAL_EXIT": JobState.WAITING,
    "RUNNING": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "SUSPENDED": JobState.RUNNING,
    "STOPPED": JobState.RUNNING,
    "COMPLETING": JobState.ENDING,
    "STAGE_OUT": JobState.ENDING,
    "PREEMPTED": JobState.ENDING,  # while it is listed it may be started again
    "REVOKED": JobState.UNKNOWN,  # another cluster of a federation has it
}

ENDS: Mapping[str, Verdict] = {
    "COMPLETED": Verdict.COMPLETED,
    "FAILED": Verdict.FAILED,
    "TIMEOUT": Verdict.TIMEOUT,
    "DEADLINE": Verdict.TIMEOUT,
    "OUT_OF_MEMORY": Verdict.OUT_OF_MEMORY,
    "NODE_FAIL": Verdict.NODE_FAILURE,
    "BOOT_FAIL": Verdict.NODE_FAILURE,
    "LAUNCH_FAILED": Verdict.NODE_FAILURE,
    "RECONFIG_FAIL": Verdict.NODE_FAILURE,
    "CANCELLED": Verdict.CANCELLED,
}

ACCOUNTED: Mapping[str, Verdict] = {  # of one start of a job, which may have been started again
    **ENDS,
    "PREEMPTED": Verdict.PREEMPTED,
    "REQUEUED": Verdict.PREEMPTED,  # somebody sent it back to the queue
}


def state_of(word: str) -> JobState | None:
    """Where a listed job stands; None: it has ended, and is listed for a while only."""
    first = _first(word)
    return None if first in ENDS else IN_QUEUE.get(first, JobState.UNKNOWN)


def verdict_of(word: str) -> Verdict | None:
    """How a start ended, as "CANCELLED by 1000" tells; None: it has not, as far as anybody can tell."""
    return ACCOUNTED.get(_first(word))


def _first(word: str) -> str:
    return word.partition(" ")[0].rstrip("+")


_LIMIT = "Wait for jobs of yours to end, or ask the cluster's administrators to raise the limit."
_NEVER = "Ask for less under `resources`, or name another partition in `schedulerOptions`."
_ADMIN = "Ask the cluster's administrators."
_OPTIONS = "Correct it in `schedulerOptions`, or in the source's `options`."

WAITS: Mapping[str, Wait] = {
    "None": Wait("None", "the scheduler has not looked at it so far"),
    "Priority": Wait("Priority", "others with a higher priority are before it"),
    "Resources": Wait("Resources", "it is next when what it asks for becomes free"),
    "BeginTime": Wait("BeginTime", "its time to start has not come"),
    "Cleaning": Wait("Cleaning", "it is being cleared away, and starts again"),
    "JobArrayTaskLimit": Wait(
        "JobArrayTaskLimit",
        "as many elements of its array run as may at once",
        "Raise `parallelism` or the source's `maxJobs`.",
    ),
    "Licenses": Wait("Licenses", "it waits for a licence"),
    "NodeDown": Wait("NodeDown", "a node that it needs is down", _ADMIN),
    "ReqNodeNotAvail": Wait(
        "ReqNodeNotAvail",
        "nodes that it needs are down, drained or reserved",
        "See `sinfo -R`, and whether a maintenance reservation begins before its walltime would end.",
    ),
    "Reservation": Wait("Reservation", "its reservation has not begun"),
    "Prolog": Wait("Prolog", "what the cluster runs before a job is still running"),
    "Dependency": Wait("Dependency", "it waits for another job"),
    "DependencyNeverSatisfied": Wait(
        "DependencyNeverSatisfied", "the job that it waits for cannot succeed any more", _OPTIONS, stuck=True
    ),
    "JobHeldUser": Wait(
        "JobHeldUser",
        "somebody with this account holds it",
        "`scontrol release` it, or cancel the task with the manifest.",
        stuck=True,
    ),
    "JobHeldAdmin": Wait("JobHeldAdmin", "an administrator of the cluster holds it", _ADMIN, stuck=True),
    "BadConstraints": Wait("BadConstraints", "no node has what it asks for", _NEVER, stuck=True),
    "PartitionConfig": Wait("PartitionConfig", "no node of the partition has what it asks for", _NEVER, stuck=True),
    "PartitionDown": Wait("PartitionDown", "the partition starts no jobs at the moment", _ADMIN),
    "PartitionInactive": Wait("PartitionInactive", "the partition starts no jobs at the moment", _ADMIN),
    "PartitionNodeLimit": Wait(
        "PartitionNodeLimit", "it asks for more nodes than the partition gives to a job", _NEVER, stuck=True
    ),
    "PartitionTimeLimit": Wait(
        "PartitionTimeLimit", "its walltime is longer than the partition allows", _NEVER, stuck=True
    ),
    "AccountNotAllowed": Wait("AccountNotAllowed", "the account may not use the partition", _OPTIONS, stuck=True),
    "QOSNotAllowed": Wait("QOSNotAllowed", "the account may not use that QOS", _OPTIONS, stuck=True),
    "InvalidAccount": Wait("InvalidAccount", "the account is not valid", _OPTIONS, stuck=True),
    "InvalidQOS": Wait("InvalidQOS", "the QOS is not valid", _OPTIONS, stuck=True),
    "ReservationDeleted": Wait("ReservationDeleted", "its reservation was removed", _OPTIONS, stuck=True),
    "JobLaunchFailure": Wait("JobLaunchFailure", "it could not be started on its node", _ADMIN, stuck=True),
    "NonZeroExitCode": Wait("NonZeroExitCode", "it ended with an error before"),
    "SystemFailure": Wait("SystemFailure", "the scheduler itself has failed", _ADMIN),
    "InactiveLimit": Wait("InactiveLimit", "it did nothing for too long"),
    "MaxRequeueLimit": Wait("MaxRequeueLimit", "it was sent back to the queue too often", _ADMIN, stuck=True),
    "launch failed requeued held": Wait(
        "launch failed requeued held", "it could not be started on its node, and is held", _ADMIN, stuck=True
    ),
    "job requeued in held state": Wait(
        "job requeued in held state", "it was sent back to the queue and is held", "`scontrol release` it.", stuck=True
    ),
}


def wait_of(reason: str) -> Wait:
    """What a pending job's reason means, as Slurm writes it: "ReqNodeNotAvail, UnavailableNodes:n1", "(Priority)".

    The limits of associations and QOS have a hundred names: those of one job never let it start, the others do when
    something of the same account has ended.
    """
    told = reason.strip().strip("()")
    word = told.partition(",")[0]
    if (known := WAITS.get(told) or WAITS.get(word)) is not None:
        return replace(known, word=told)
    if word.startswith(("Assoc", "QOS")) or "Limit" in word:
        if "PerJob" in word:
            return Wait(
                told, "it asks for more than a limit of its account or QOS gives to one job", _NEVER, stuck=True
            )
        return Wait(told, "a limit of its account or QOS is reached", _LIMIT)
    return Wait(told, "Slurm gives this reason, which is not known here")
