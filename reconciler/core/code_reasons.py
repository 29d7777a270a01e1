"""The reasons of code on sources: checkouts, trees, and what `reconciler project` refuses."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.refusals import Reason

CODE: Mapping[str, Reason] = {
    "CheckoutUnreadable": Reason(
        "git could not tell the state of the checkout on the source.",
        "Read what git said, at the end of the message, and run `git status` there.",
    ),
    "FolderMissing": Reason(
        "The folder in which a project should lie is not there.",
        "Correct the project's `path`, or make the folder.",
    ),
    "NotACheckout": Reason(
        "The folder is not the top of a git checkout.",
        "Correct the project's `path`; for a folder without git say `kind: Tree`.",
    ),
    "PushIncomplete": Reason(
        "Something of what was to be written did not arrive whole, so that nothing was written.",
        "Push again.",
    ),
    "RemoteChanged": Reason(
        "What lies on the source is not what was looked at, so that nothing was written over it.",
        "Look at `reconciler project diff`, and pull or undo what was changed there.",
    ),
    "TreeTooLarge": Reason(
        "The folder is larger than code may be.",
        "Name data and results in the folder's .reconcilerignore.",
    ),
    "UnfitFile": Reason(
        "The folder holds what can be no code: a socket, a device, a list of patterns that is not understood.",
        "Remove it, or name it in the folder's .reconcilerignore.",
    ),
}
