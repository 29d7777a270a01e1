"""The reasons of code on sources: checkouts, trees, and what `reconciler project` refuses."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.refusals import Reason

CODE: Mapping[str, Reason] = {
    "BundleTooLarge": Reason(
        "The history of the project is larger than what is sent to a source.",
        "Use `transfer: Fetch`, or a repository without the large files.",
    ),
    "CheckoutUnreadable": Reason(
        "git could not tell the state of the checkout on the source.",
        "Read what git said, at the end of the message, and run `git status` there.",
    ),
    "CommitMissing": Reason(
        "The pinned commit is not on the source, or not in our mirror of the project.",
        "It is brought by itself; if it stays so, see whether the commit was pushed to the project's `url`.",
    ),
    "CommitNotHere": Reason(
        "The commit on which the edits there were made is not in the repository here.",
        "Fetch it from where that checkout has it, then pull again.",
    ),
    "CommitsDiffer": Reason(
        "The two ends of the project are at different commits, or one of them is in the middle of a change.",
        "Bring both to one commit with git; then only files differ, and these can be pushed and pulled.",
    ),
    "FolderMissing": Reason(
        "The folder in which a project should lie is not there.",
        "Correct the project's `path`, or make the folder.",
    ),
    "LinkMissing": Reason(
        "The project's shared folder on the source lacks something that `link` names: nothing starts without it.",
        "Put it into the folder that the message names, or take it out of `link`.",
    ),
    "NoRoom": Reason(
        "The disk of the source has no room for the code of the project.",
        "Make room there.",
    ),
    "NotACheckout": Reason(
        "The folder is not the top of a git checkout.",
        "Correct the project's `path`; for a folder without git say `kind: Tree`.",
    ),
    "NothingHere": Reason(
        "There is no folder of the project on this machine.",
        "Name one with `--from DIR`.",
    ),
    "NothingToSync": Reason(
        "The project has no folder of its own on the source: sources get copies of what is pinned.",
        "Commit and push: the daemon brings the commit there. Only projects with `sync: Verify` have such a folder.",
    ),
    "PushIncomplete": Reason(
        "Something of what was to be written did not arrive whole, so that nothing was written.",
        "Push again.",
    ),
    "RemoteChanged": Reason(
        "What lies on the source is not what was looked at, so that nothing was written over it.",
        "Look at `reconciler project diff`, and pull or undo what was changed there.",
    ),
    "TooManyDifferences": Reason(
        "So much differs that it is not a matter of a few edits.",
        "Commit, and bring the other end to that commit with git.",
    ),
    "TreeTooLarge": Reason(
        "The folder is larger than code may be.",
        "Name data and results in the folder's .reconcilerignore.",
    ),
    "UnfitCommit": Reason(
        "The commit cannot be laid out whole: it has submodules, or files in git-lfs, or what `link` names as well.",
        "Read the message; commit the files themselves, link them, or use `sync: Verify` with a whole checkout.",
    ),
    "UnfitFile": Reason(
        "Something is no code: a socket, a device, a huge file, a list of patterns that is not understood.",
        "Remove it, or name it in the folder's .reconcilerignore.",
    ),
    "WorktreeDiffers": Reason(
        "Somebody has changed the files of a worktree on the source, and tasks still run in it.",
        "Nothing: it is made anew when they have ended. Nobody should write into the folders of a source's root.",
    ),
}
