"""Every reason word, what it means and what to do about it: one vocabulary for status, `why`, events and documents.

Here stand the reasons of sweeps, tasks, attempts and sources; those of refused input and of the operator's surroundings
stand in `refusals`, those of code on sources in `code_reasons`, those of the way to them in
`link_reasons`.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.code_reasons import CODE
from reconciler.core.link_reasons import LINK_REASONS
from reconciler.core.refusals import REFUSALS, Reason

__all__ = ["REASONS", "Reason", "what_to_do"]


def what_to_do(reason: str) -> str:
    """What to do about a reason; "" when there is nothing to do, or the word is not known."""
    return REASONS[reason].action if reason in REASONS else ""


REASONS: Mapping[str, Reason] = {
    **REFUSALS,
    **CODE,
    **LINK_REASONS,
    "Accepted": Reason("A new generation of the sweep was read from git, checked and accepted.", ""),
    "Active": Reason("The task is queued or running, and still desired: it is left alone.", ""),
    "ActiveOutdated": Reason(
        "The task runs with an older spec of its sweep, and the update policy lets it finish.",
        "Set `updatePolicy: Replace` to cancel it and run it with the new spec.",
    ),
    "AllSucceeded": Reason("Every desired task of the sweep has succeeded, and nothing else of it is active.", ""),
    "ApprovalNeeded": Reason(
        "The change would remove so much at once that it waits until a person has agreed.",
        "Read `reconciler plan`; then `reconciler approve PLAN`, or restore the manifests with a commit.",
    ),
    "AsExpected": Reason("The condition does not hold, as it should be.", ""),
    "AsPinned": Reason("The code on the source is exactly what the sweep is pinned to.", ""),
    "Backoff": Reason(
        "The last attempt failed, and the next one starts when the wait of `retry.backoff` has passed.",
        "Look at the logs of the last attempt; `reconciler retry` ends the wait.",
    ),
    "Cancelled": Reason(
        "The task was cancelled, and nothing asks for that any more: it waits for an attempt again.",
        "",
    ),
    "CancelledExternally": Reason(
        "The attempt was ended from outside: by a signal or a cancel that did not come from here.",
        "Ask who may end processes on that source; a retry rule for this class runs it again.",
    ),
    "Cancelling": Reason("The attempt was told to end; the task changes when its end is proven.", ""),
    "ClaimFailed": Reason(
        "The source could not start the attempt, and nothing of it ran; it is tried again after a wait.",
        "Make room on the source's disk, or check the permissions of its root, as the message says.",
    ),
    "ClaimMismatch": Reason(
        "Two different claims were seen for one attempt, so somebody else wrote in its directory.",
        "Find out who writes in the source's root; then `reconciler retry SWEEP TASK --assume-dead`.",
    ),
    "ClaimTorn": Reason(
        "What lies where the attempt's claim should be cannot be understood: nobody can tell whether it started.",
        "Look on the source, and at its disk; then `reconciler retry SWEEP TASK --assume-dead`.",
    ),
    "CollectFailed": Reason(
        "What an attempt has written could not be brought here; it is tried again, and later again.",
        "The message says which file and why; all of it lies on the source, in the attempt's folder.",
    ),
    "Completed": Reason("The task ended by itself with exit code 0.", ""),
    "Connected": Reason("The source answers, and its agent obeys this daemon.", ""),
    "Deleted": Reason("The manifest left the repository; its tasks end as `deletionPolicy` says.", ""),
    "DependencyNotReady": Reason(
        "The sweep waits until all desired tasks of the sweeps in `dependsOn` have succeeded.",
        "Look at the status of the sweep that is named; mend what failed there, or remove it from `dependsOn`.",
    ),
    "DisabledByOperator": Reason(
        "The configuration says `enabled: false` for the source: what runs goes on, nothing starts.",
        "Remove `enabled: false` from the source in the configuration, and restart the daemon.",
    ),
    "Environment": Reason(
        "The surroundings of the task are broken: a module, a library or a file is missing on the source.",
        "Read its standard error, and repair the source or the project's `setup`.",
    ),
    "Failed": Reason(
        "The task failed for good with the desired spec: its retries are used up, or a rule made it final.",
        "Read `reconciler logs`; then mend the command, or run it again with `reconciler retry`.",
    ),
    "Gone": Reason("The task is no longer desired and nothing of it is active: there is nothing to do.", ""),
    "GpusBusy": Reason(
        "Sources with enough GPUs are up, but so many GPUs and a slot are not free there at once.",
        "Wait, add a source with GPUs to the placement, or ask for fewer.",
    ),
    "HistoryRewritten": Reason(
        "The branch was rewritten: additions and edits are applied, cancellations wait.",
        "`reconciler approve PLAN`, or push a commit that descends from the rewritten head.",
    ),
    "Intended": Reason("The attempt is written down and about to be submitted to its source.", ""),
    "JobsNotStarting": Reason(
        "The scheduler has taken several submissions of the sweep in a row, and no job of them has begun its task: "
        "they ended on their nodes before. Nothing more of the sweep goes there for a while, then one task tries. The "
        "message has the last words of such a job, if it had any.",
        "Mend the nodes: they need Python 3.6 or later (`nodePython` of the source), and the source's `root` with room "
        "on its disk. The next start ends this; `reconciler retry SWEEP` or an edit of the manifest tries at once.",
    ),
    "JobsStuck": Reason(
        "Jobs in the queue of the source's scheduler will not start before somebody does something: they are held, or "
        "ask for what the cluster never gives. The message has the scheduler's reason.",
        "`reconciler sources -o json` names the attempts, under `queue`; correct the manifest, or ask the cluster's "
        "administrators.",
    ),
    "LaunchFailure": Reason(
        "The command of the task could not be started at all.",
        "Check the first word of `command`, its permissions, and `setup`, on the source that is named.",
    ),
    "LockUnknown": Reason(
        "The attempt started, but its lock cannot be judged: it may run, or have ended without a record.",
        "Look on the source; when it is dead, `reconciler retry SWEEP TASK --assume-dead`.",
    ),
    "Lost": Reason(
        "The attempt has ended for certain, and left no exit record: its shim was killed, or the source rebooted.",
        "A retry rule for the class Lost runs it again; `reconciler retry` does so once.",
    ),
    "MaxFailuresReached": Reason(
        "More tasks failed than `maxFailures` allows, so that nothing new of the sweep starts.",
        "See `reconciler errors SWEEP`; mend the cause, then raise `maxFailures` or run `reconciler retry SWEEP`.",
    ),
    "NewGeneration": Reason("A newer spec was accepted, and the tasks do not reflect it yet.", ""),
    "NewPoint": Reason("The point is new in the manifest: its task waits for its first attempt.", ""),
    "NextInLine": Reason("Nothing holds the task: it starts when its turn comes.", ""),
    "NoProof": Reason(
        "For some attempts the evidence does not tell whether they run or have ended: they are left alone.",
        "Look at them with `reconciler task`; for those that are dead, `reconciler retry SWEEP TASK --assume-dead`.",
    ),
    "NoRecord": Reason(
        "The scheduler no longer lists the attempt, and neither a record nor the accounting tells how it ended.",
        "Look at the scheduler's log; then `reconciler retry SWEEP TASK --assume-dead`.",
    ),
    "NoSourceFits": Reason(
        "No source could ever take the task, even when idle; the message says what each of them lacks.",
        "Change `placement` or `resources` in the manifest, or add a source that fits to the configuration.",
    ),
    "NodeFailure": Reason(
        "The machine on which the attempt ran failed.",
        "A retry rule for this class, with `count: false`, runs it again at no cost.",
    ),
    "NotADescendant": Reason(
        "The branch's head does not descend from the last accepted commit: cancellations wait.",
        "`reconciler approve PLAN`, or push a commit that descends from the rewritten head.",
    ),
    "NotConnected": Reason(
        "There is no conversation with the source yet, or it broke; it is tried again and again.",
        "If it stays so, check the host, the network and the account with `reconciler check`.",
    ),
    "NotDesired": Reason(
        "The point of this task is no longer in the manifest.",
        "Add the point again if it should run.",
    ),
    "NotListed": Reason(
        "The scheduler did not have the attempt for long, and it had not started: another one replaces it, after a "
        "backoff. The message has the last words of its job, if it had any.",
        "",
    ),
    "NotLookedAt": Reason("The code was not needed on any source since the daemon began, so nobody has looked.", ""),
    "NotScheduled": Reason(
        "The schedule of the sweep has not ticked since it was accepted: nothing of it starts before.",
        "Wait, or remove `schedule` from the manifest.",
    ),
    "NothingThere": Reason(
        "The attempt was submitted, and nothing of it is on the source: it is started again, under its name.",
        "",
    ),
    "OutOfMemory": Reason(
        "The attempt was killed when it had used the memory that it asked for.",
        "Raise `resources.memory`, or let a retry rule scale it: {class: OutOfMemory, scale: {memory: 2}}.",
    ),
    "Outdated": Reason("The spec of the sweep changed, and the task runs again with the new one.", ""),
    "ParallelismReached": Reason(
        "As many attempts of the sweep are active as `parallelism` allows. An attempt with this reason had not started "
        "when that was lowered, and was taken back.",
        "Wait, or raise `parallelism` in the manifest.",
    ),
    "Paused": Reason(
        "The manifest says `state: Paused`: what runs goes on, nothing new starts.",
        "Set `state: Active` in the manifest.",
    ),
    "PointRemoved": Reason(
        "The point left the manifest, and `onRemove` says that its task ends.",
        "Add the point again if it should run.",
    ),
    "PointRetained": Reason("The point left the manifest, and `onRemove: Keep` lets its task run all the same.", ""),
    "PollTooSlow": Reason(
        "The cluster has no accounting, and forgets ended jobs before its queue is looked at again: an end that left "
        "no record (a node that died) is then only known when the walltime is over.",
        "Lower the source's `pollInterval` below the cluster's MinJobAge, or raise that.",
    ),
    "Preempted": Reason(
        "The scheduler took the attempt's place for work of a higher priority.",
        "A retry rule for this class, with `count: false`, runs it again at no cost.",
    ),
    "Progressing": Reason("Tasks of the sweep are active, or wait for something that will come by itself.", ""),
    "ProjectComing": Reason("The code that the sweep is pinned to is on its way to the source.", ""),
    "ProjectDiffers": Reason(
        "The code that lies on the source is not what the sweep is pinned to: nothing of it starts there.",
        "The message names what differs: undo that on the source, or pin what lies there. It is looked at again.",
    ),
    "ProjectNotReady": Reason(
        "The code that the sweep is pinned to could not be brought to the source: nothing of it starts there.",
        "Mend what the message says; it is tried again by itself, and `reconciler reconcile SWEEP --repin` pins anew.",
    ),
    "Queued": Reason("The attempt is submitted, and its source has not started it yet.", ""),
    "Quota": Reason(
        "The attempt ran into a limit of the account or the disk.",
        "Free some of it, or ask for more, on the source that is named.",
    ),
    "RecordWithoutClaim": Reason(
        "There is an exit record, but no claim that it belongs to: it is not believed.",
        "Find out who writes in the source's root; then `reconciler retry SWEEP TASK --assume-dead`.",
    ),
    "RemovalApproved": Reason("Removals that waited for an approval were approved, and are applied.", ""),
    "RemovalFrozen": Reason(
        "The point left the manifest, and its removal waits for an approval; its task does not start.",
        "Read `reconciler plan`; then `reconciler approve PLAN`, or add the point again.",
    ),
    "ReplacementFrozen": Reason(
        "The running task is outdated, and cancelling it waits for an approval.",
        "Read `reconciler plan`; then `reconciler approve PLAN`.",
    ),
    "ResultCut": Reason(
        "A file of results is longer than `results.maxFile`: only its beginning and its end were collected.",
        "All of it lies on the source, in the attempt's folder; raise `results.maxFile`, or let the task write less.",
    ),
    "ResultsDiskFull": Reason(
        "Results cannot be collected: the disk of the results tree is full. They stay on their sources meanwhile.",
        "Free space there, or set `results.dir` to another disk.",
    ),
    "ResultsUnwritable": Reason(
        "Results cannot be collected: the results tree cannot be written. They stay on their sources meanwhile.",
        "Check `results.dir`, its owner and its disk.",
    ),
    "Resume": Reason(
        "The task ended with exit code 75, which asks to be resumed: it gets another attempt, at no cost.",
        "",
    ),
    "RetryRequested": Reason("`reconciler retry` asked for another attempt, with a fresh budget.", ""),
    "Revoked": Reason(
        "The attempt was given up before it started; it never ran and never will, and costs nothing.",
        "",
    ),
    "Running": Reason("The attempt is running.", ""),
    "SourcesBusy": Reason(
        "All slots of the sources that fit are taken.",
        "Wait, raise `slots`, or add a source to the placement.",
    ),
    "SourcesDisabled": Reason(
        "All sources that fit are disabled in the configuration.",
        "Remove `enabled: false` from one of them and restart the daemon, or widen the placement.",
    ),
    "SourcesDown": Reason(
        "None of the sources that fit answers; what runs there goes on.",
        "See `reconciler sources` and the message; the daemon tries them again by itself.",
    ),
    "Steady": Reason("There is nothing to do for the sweep.", ""),
    "SubmissionRefused": Reason(
        "The scheduler of the source refuses what the sweep asks for, and would refuse it again: nothing of it starts "
        "there. The message has the scheduler's words.",
        "Correct `resources` or `schedulerOptions`; the next commit is tried at once, and the same one every ten "
        "minutes, in case it is the cluster that was mended.",
    ),
    "Succeeded": Reason("The task succeeded with the desired spec: nothing runs again.", ""),
    "SucceededBefore": Reason("The task once succeeded with exactly this spec, and that success counts again.", ""),
    "SucceededOutdated": Reason(
        "The task succeeded with an older spec, and the update policy keeps that result.",
        "Set `updatePolicy: Rerun` to run it with the new spec.",
    ),
    "SweepCancelled": Reason(
        "The manifest says `state: Cancelled`: all that is active ends, nothing starts.",
        "Set `state: Active` in the manifest: the cancelled tasks run again.",
    ),
    "SweepDeleted": Reason(
        "The manifest left the repository, and `deletionPolicy` says that the task ends.",
        "Restore the manifest with a commit if it should run.",
    ),
    "TasksFailed": Reason(
        "Tasks failed for good, and nothing else of the sweep is left to run.",
        "See `reconciler errors SWEEP`; mend the cause, then `reconciler retry SWEEP`.",
    ),
    "Timeout": Reason(
        "The attempt reached its walltime and was ended; or a question got no answer within its time.",
        "Raise `resources.walltime`, or let a retry rule scale it; of a question, see if the source is overloaded.",
    ),
    "UserError": Reason(
        "The user's program failed: it exited with a code other than 0, or crashed.",
        "Read `reconciler logs SWEEP TASK --stderr`.",
    ),
    "Vanished": Reason(
        "The attempt had started, and its directory is no longer on the source.",
        "Find out who removed it; when the task is dead, `reconciler retry SWEEP TASK --assume-dead`.",
    ),
    "Waiting": Reason("The task waits for an attempt, as before.", ""),
    "WrongHost": Reason(
        "Another machine answers than the one on which the attempts run, such as another login node.",
        "Name one machine in the source's `host`, never an alias of several.",
    ),
}
