"""The reasons of refused input and of the operator's surroundings: repository, state, agent, commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Reason(NamedTuple):
    """What a reason word means, in a sentence or two, and what to do about it ("" = nothing, it passes by itself)."""

    meaning: str
    action: str


REFUSALS: Mapping[str, Reason] = {
    "AgentNotStarted": Reason(
        "The agent could not be started on the source.",
        "Check that the Python that is named exists there and may be run.",
    ),
    "Alias": Reason(
        "A YAML alias stands in the file; a few of them can stand for a million values.",
        "Write the value out where it is used.",
    ),
    "AlreadyRunning": Reason(
        "Another daemon serves this state directory.",
        "Stop it first, or give this one another `state.dir`.",
    ),
    "AmbiguousTask": Reason("Several tasks begin with the id that was given.", "Type more of the id."),
    "Anchor": Reason(
        "A YAML anchor stands in the file; only aliases need them, and these are refused.",
        "Write the value out where it is used.",
    ),
    "AuthFailed": Reason(
        "The repository's host refused the credentials of the daemon's account.",
        "Give that account an SSH key, or an entry in ~/.netrc; nobody is ever asked for a password.",
    ),
    "BadRequest": Reason(
        "A request to the daemon is not what it should be, or too large.",
        "Ask with the commands of `reconciler`, which write it properly.",
    ),
    "BadTaskId": Reason("A task id begins with a letter that no id has.", "This is a defect: please report it."),
    "BranchNotFound": Reason(
        "The repository has no branch of that name.",
        "Correct `repository.branch`; the message names those that exist.",
    ),
    "Busy": Reason("The agent on the source could not do it now; it is asked again.", ""),
    "CannotListen": Reason(
        "The address of `http.listen` cannot be listened on.",
        "Set it to an address of this machine and a port from 1024 on.",
    ),
    "CannotOpenState": Reason(
        "The state's database cannot be opened.",
        "Check that `state.dir` exists and belongs to the daemon's account.",
    ),
    "CannotStage": Reason(
        "The project's code could not be brought to the source, so that nothing starts there.",
        "Read the message; the daemon tries again by itself.",
    ),
    "Closed": Reason("The conversation with the source was closed from this side.", ""),
    "CorruptMirror": Reason("The local copy of the repository is damaged; it is thrown away and fetched again.", ""),
    "CorruptObjects": Reason("The repository sends objects that git's own checks refuse.", "Run `git fsck` there."),
    "CorruptState": Reason(
        "The state holds what was never written there: its file is damaged.",
        "`reconciler rebuild` makes it anew from git and the sources; what has run does not run again.",
    ),
    "DaemonEnded": Reason(
        "The daemon of the demonstration ended before its time.",
        "Read its log, whose end is shown.",
    ),
    "DependencyCycle": Reason(
        "The dependencies of sweeps go round in a circle.",
        "Remove one of the `dependsOn` that the message names.",
    ),
    "DisabledByConfiguration": Reason(
        "The source cannot be enabled by a command, because the configuration disables it.",
        "Take `enabled: false` out of the source, and restart the daemon: tasks live on.",
    ),
    "DuplicateKey": Reason(
        "The same key stands twice in one mapping, and one of the two would be lost.",
        "Remove one of them.",
    ),
    "DuplicateName": Reason("Two things that must have names of their own share one.", "Rename one of them."),
    "EmptyRepository": Reason("The repository has no commits yet; it is asked again.", "Commit and push a manifest."),
    "EqualPoints": Reason(
        "Several points of the sweep are equal, and count as one.",
        "Remove the repeated values, or use `replicates` to run a point several times.",
    ),
    "ExcludesNothing": Reason(
        "An entry of `exclude` matches no point.",
        'Compare its values with those of the axes: 1, 1.0 and "1" are three values.',
    ),
    "Fenced": Reason(
        "A newer daemon owns the source's root; this one must not touch it any more.",
        "Find the other daemon, and stop one of the two.",
    ),
    "FileExists": Reason(
        "There is a file already where one would be made; it is left as it is.",
        "Remove it, or name another folder.",
    ),
    "FileNotFound": Reason("There is no such file.", "Check its spelling; a table must lie beside its manifest."),
    "FileTooLarge": Reason("The file is larger than a file may be.", "Make several of it."),
    "FileUnreadable": Reason("The file is there, and cannot be read.", "Check its permissions."),
    "FolderNotEmpty": Reason("The folder in which something is to be made is not empty.", "Name another folder."),
    "ForeignRoot": Reason(
        "The root on the source belongs to another instance of the reconciler.",
        "If the state was lost: `reconciler rebuild`. Else give the source another `root`, or move this one aside.",
    ),
    "Garbled": Reason(
        "An answer was not understood, so what was asked may have happened: it is looked at again.",
        "If it stays so, look for what writes into the session, such as a login script.",
    ),
    "GitFailed": Reason(
        "git failed, for a reason that is not known here; it is tried again.",
        "Read what git said, at the end of the message.",
    ),
    "GitMissing": Reason("There is no git on this machine.", "Install git."),
    "HostKeyRefused": Reason(
        "The host key of the repository's host is not the known one.",
        "Compare it with the host's owner, then add it to known_hosts.",
    ),
    "IncompleteInstallation": Reason("The installation lacks a file that belongs to it.", "Install the package again."),
    "IncompletePoint": Reason(
        "A point of `include` or `points` does not name all the axes.",
        "Give each axis a value in it.",
    ),
    "Interrupted": Reason(
        "What submitted to the scheduler died, or could not be followed: the jobs may be there, and are looked for.",
        "Nothing: what is not found is given up by its claim, and tried again.",
    ),
    "InvalidKey": Reason("A key is not plain text.", "Write a name, in quotes if it looks like a number."),
    "InvalidName": Reason(
        "A name has characters that names may not have.",
        "Use letters, digits, `_ . @ / -`, and begin with a letter or `_`.",
    ),
    "InvalidNumber": Reason(
        "What looks like a number is none, or is not finite.",
        "Write a number, or put quotes around a text.",
    ),
    "InvalidParameter": Reason(
        "A parameter has no values, or bounds that make no sense.",
        "Correct it as the message says.",
    ),
    "InvalidResources": Reason(
        "A resource is not a number or a quantity that is understood.",
        "Write it like 2, 4Gi, 30m or 1-12:00:00.",
    ),
    "InvalidSchedule": Reason(
        "The schedule is not a cron expression that is understood.",
        "Write five fields: minute, hour, day, month, weekday.",
    ),
    "InvalidTable": Reason(
        "The table of points is not one: names on top, then rows as long as the names.",
        "Correct the line that is named.",
    ),
    "InvalidTemplate": Reason(
        "A `$(name)` is not closed, or names nothing that exists.",
        "Name a parameter; `$$(` writes a literal `$(`.",
    ),
    "InvalidText": Reason("A text has characters that it may not have.", "Remove them; the message says which."),
    "InvalidType": Reason("A field has a value of the wrong kind.", "Write the kind that the message names."),
    "InvalidValue": Reason(
        "A field has a value that is not allowed there.",
        "Write one of those that the message names.",
    ),
    "InvalidZip": Reason(
        "An entry of `zip` names something that is no axis, or names it twice.",
        "Name axes, each in one group at most.",
    ),
    "LimitReached": Reason(
        "A limit of the account, its QOS or the cluster keeps a submission out for now; it is tried again, in halves.",
        "Nothing, if jobs of yours or of colleagues fill it and will end; else lower the source's `maxJobs`.",
    ),
    "Locked": Reason("Another git works on the local copy of the repository; it is tried again.", ""),
    "LogsGone": Reason("The attempt's log is no longer there.", "Look into the results of the task."),
    "MergeKey": Reason("A YAML merge key (`<<`) stands in the file.", "Write the fields out."),
    "MirrorUnwritable": Reason(
        "The local copy of the repository cannot be written.",
        "Check the disk and the permissions of `state.dir`.",
    ),
    "MissingField": Reason("A field that must be there is missing.", "Add it."),
    "NestedName": Reason(
        "A name is a prefix of another (`a` beside `a.b`), so that one would overwrite the other.",
        "Rename one of them.",
    ),
    "NetworkFileSystem": Reason(
        "The state directory lies on a network file system, where its database is not safe.",
        "Set `state.dir` to a local disk.",
    ),
    "NeverAccepted": Reason(
        "The sweep's manifest was never valid, so nothing of it ever ran.",
        "`reconciler status` shows what is wrong with it.",
    ),
    "NewerState": Reason("The state was written by a newer release.", "Install that release again."),
    "NoAttempt": Reason("The task has no attempt yet.", "`reconciler why` says what it waits for."),
    "NoConfiguration": Reason(
        "There is no configuration, and no repository that could be served without one.",
        "Name one with `--config`, or run this in a repository that has the folder sweeps.d.",
    ),
    "NoEffect": Reason("A field is written that changes nothing.", "Remove it, or add what it needs."),
    "NoManifests": Reason("There is no manifest where one was looked for.", "Manifests end in .yaml or .yml."),
    "NoState": Reason("There is no state in the directory.", "Start the daemon once, or check `--config`."),
    "NoSweep": Reason("The file holds no sweep.", "Begin it with `apiVersion` and `kind: Sweep`."),
    "NoWorkingTree": Reason("The repository is not a checkout on this machine.", "Leave out `--working-tree`."),
    "NotARepository": Reason(
        "The folder is missing, or is no git repository.",
        "Run `git init` there, or use `--git`.",
    ),
    "NotFetched": Reason("The repository was never fetched.", "Start the daemon once."),
    "NotFound": Reason(
        "There is no git repository at the address.",
        "Check `repository.url`, and that the daemon's account may read it.",
    ),
    "NotHere": Reason("The attempt's logs are on another machine.", "Read them on the source that is named."),
    "NotPrepared": Reason(
        "A generation was to be put in force that was never prepared.",
        "This is a defect: please report it.",
    ),
    "NotRunning": Reason(
        "Only a task that runs, as far as we know, can be said to be dead.",
        "What is queued can be cancelled safely, and what has ended needs no assumption.",
    ),
    "NotStaged": Reason(
        "The points of a sweep were to be compared before they were there.",
        "This is a defect: please report it.",
    ),
    "NotStarted": Reason("The attempt has not started, so it has no logs.", "`reconciler why` says what it waits for."),
    "NotSupported": Reason("This cannot be done by a command.", "Do it as the message says."),
    "NotUtf8": Reason("The file is not UTF-8.", "Save it as UTF-8."),
    "NotWaiting": Reason("The task was to start, and does not wait any more.", ""),
    "NothingToApprove": Reason("No removal waits for an approval.", ""),
    "NothingToRebuild": Reason(
        "No source was ever used, so that there is nothing to make a state of.",
        "Start the daemon; or, if something has run, check the `root` of each source.",
    ),
    "NumberTaken": Reason("The attempt's number or name is taken; the next number is used.", ""),
    "OddNameRefused": Reason("A file's name has characters that cannot be printed.", "Rename it."),
    "OlderState": Reason(
        "The state has the format of an older release.",
        "Start the daemon of this release, or restart the one that runs: it brings the state up to date.",
    ),
    "OtherPlan": Reason(
        "What waits for an approval is not what was approved.",
        "Look at `reconciler plan` again: the removals have changed.",
    ),
    "OutputTooLarge": Reason("git wrote more than is read of it.", "Keep large things out of the manifest path."),
    "OutsideFolder": Reason("A table lies outside the folder of its manifest.", "Move it beside the manifest."),
    "OwnerUnknown": Reason(
        "Attempts lie in a source's root, and nothing tells to whom it belongs.",
        "Write the instance into the root's file OWNER: the four characters after the g in the attempts' names.",
    ),
    "OwnersDiffer": Reason(
        "The roots of the sources belong to different instances, and a state is that of one.",
        "Move the roots aside on which nothing ran that counts, or take their sources out of the configuration.",
    ),
    "PasswordInUrl": Reason(
        "A password stands in an address.", "Take it out: use an SSH key, or an entry in ~/.netrc."
    ),
    "PathNotADirectory": Reason("The manifest path of the repository is no directory.", "Correct `repository.path`."),
    "PathOutside": Reason("A path leaves the manifest path.", "Write it without `..` and without a leading `/`."),
    "PortInUse": Reason(
        "Another program listens on the address of `http.listen`.",
        "Set another port, or stop that program.",
    ),
    "ReservedName": Reason("The name is reserved: `$(name)` has a meaning of its own.", "Choose another name."),
    "RevisionNotFound": Reason("The project has no such branch, tag or commit.", "Correct `revision`, or push it."),
    "RootUnusable": Reason(
        "The root on the source is no private folder of its account.",
        "Run `chmod 700` on it, or name another `root`.",
    ),
    "Scalar": Reason(
        "A value is read otherwise than it may look, such as 007 or yes.",
        "Put quotes around it if it is a text.",
    ),
    "SessionClosed": Reason(
        "The conversation with the source ended while an answer was awaited: it is looked at again.",
        "",
    ),
    "SessionEnded": Reason("The agent, or the connection to it, has gone; it is opened again, and tasks live on.", ""),
    "SeveralSweeps": Reason("The file holds several sweeps.", "Choose one with `--sweep NAME`."),
    "SourceNeeded": Reason("The command needs the name of a source.", "`reconciler sources` lists them."),
    "SourceUnread": Reason(
        "A source could not be asked for all that is left of attempts there: it might run again elsewhere.",
        "Make the source answer, and its attempts readable; nothing was changed.",
    ),
    "StateBusy": Reason("Another process holds the state's database; it is tried again.", ""),
    "StateIsWhole": Reason(
        "The state is not damaged: a new one would know less.",
        "Start the daemon; `reconciler rebuild --force` makes a new state all the same.",
    ),
    "StateLost": Reason(
        "There is no state, and a source's root shows that there was one.",
        "`reconciler rebuild` brings it back; or move the root aside: what ran from it is run anew.",
    ),
    "StateNotWritable": Reason(
        "The state directory cannot be written.",
        "Check its disk and permissions, or set another `state.dir`.",
    ),
    "StateUnreadable": Reason(
        "A file of the state cannot be read.",
        "Check the disk and the permissions of `state.dir`.",
    ),
    "StateUnwritable": Reason(
        "A file of the state cannot be written.",
        "Check the disk and the permissions of `state.dir`.",
    ),
    "StillFetching": Reason(
        "A project has not answered so far, perhaps because it is large: its sweeps stay as they are meanwhile.",
        "Wait; if it stays so, see whether its `url` can be reached.",
    ),
    "Syntax": Reason("The file is not proper YAML, JSON or CSV.", "Correct the place that is named."),
    "TableUnreadable": Reason("The table of points cannot be read.", "Check its path and permissions."),
    "Tag": Reason("A YAML tag or a directive stands in the file.", "Remove it; put quotes around what should be text."),
    "TaskNeeded": Reason("The command needs the ids of tasks.", "Name each of them."),
    "TimedOut": Reason("git did not answer in time; it is tried again.", "Look at the network, and at the disk."),
    "TooDeep": Reason("Values or folders are nested deeper than they may be.", "Make them flatter."),
    "TooLarge": Reason(
        "The file is larger than a manifest may be.",
        "Make several sweeps of it, or move its points to a table.",
    ),
    "TooManyFiles": Reason(
        "There are too many files under the manifest path.",
        "Keep manifests in a folder of their own, and name it in `repository.path`.",
    ),
    "TooManyTasks": Reason(
        "The sweep has more points than `limits.maxTasksPerSweep` allows.",
        "Make it smaller, or raise the limit in the configuration.",
    ),
    "TooSlow": Reason(
        "Nothing happened in the demonstration for a long time.",
        "Try again on a machine that is less busy.",
    ),
    "UnequalLengths": Reason("Axes that are zipped have different lengths.", "Give them as many values as each other."),
    "UnfinishedState": Reason(
        "The state was being made when its daemon ended, and holds nothing so far.", "Start the daemon once."
    ),
    "UnknownAttempt": Reason("The task has no attempt of that number.", "The message names those that it has."),
    "UnknownField": Reason("There is no such field.", "Correct its spelling; the hint names the nearest."),
    "UnknownName": Reason(
        "The name is none of the sweep's parameters.",
        "Correct its spelling; the hint names the nearest.",
    ),
    "UnknownProject": Reason("The project is not in the configuration.", "Add it to `projects`, or use `self`."),
    "UnknownSource": Reason("There is no source of that name.", "Correct its spelling, or add it to `sources`."),
    "UnknownSweep": Reason("There is no sweep of that name.", "`reconciler status` lists them."),
    "UnknownTask": Reason(
        "There is no task with that id.",
        "`reconciler tasks SWEEP` lists them; of the daemon itself it is a defect: please report it.",
    ),
    "Unreachable": Reason(
        "The repository cannot be reached; what runs goes on, and nothing is cancelled.",
        "Check the network if it stays so.",
    ),
    "Unreadable": Reason("The working tree cannot be read.", "Check its permissions."),
    "UnsafeName": Reason("A name could be taken for an option or leave its folder.", "Rename it."),
    "UnsafeUrl": Reason("The address leads to a transport that is not allowed.", "Use https, ssh or a local path."),
    "UnsupportedFormat": Reason(
        "The repository has SHA-256 objects, which are not supported.",
        "Use a repository with SHA-1 objects.",
    ),
    "Unverified": Reason(
        "The commit is not signed by one of the allowed signers; the last believed one stays in force.",
        "Sign the commit, or correct `repository.verify`.",
    ),
    "WorktreeFailed": Reason(
        "The project's code could not be laid out on the source.",
        "Read the message; check the disk there.",
    ),
    "WrongNumber": Reason("A file holds another number of manifests than it may.", "Put one manifest into it."),
    "WrongProtocol": Reason(
        "The agent on the source speaks another protocol than this daemon.",
        "Stop the other daemon, and start this one again.",
    ),
}
