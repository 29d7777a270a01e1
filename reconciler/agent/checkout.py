"""The state of somebody's git checkout: what it is at, and each file in which it differs. We only look.

git is asked, hardened: no hook, no monitor, no filter of the repository runs, nothing is written, not even the index
(so the account's own git is never in our way, nor we in its). Files that git was told to overlook
(`update-index --assume-unchanged`, `--skip-worktree`) are told too: whoever verifies code must not overlook them.

When it is at the wanted commit and clean, it is sealed (see `seal`): first the files are looked at, then git is asked,
so that a change in between is seen by one of the two.
"""

import os
import time
from typing import List, NamedTuple, Optional, Tuple

from . import seal, tree
from .git import environment
from .shapes import Object, Refusal

GIT_TIMEOUT_S = 300.0
OUTPUT_BYTES = 1 << 25
STDERR_BYTES = 2000
SHOWN = 1000  # differences; and as many untracked

_OPTIONS = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.trustctime=true",
    "core.checkStat=default",
    "core.ignoreStat=false",
    "core.attributesFile=/dev/null",
    "core.quotePath=false",
    "safe.directory=*",  # this one folder was named by the operator, whoever it belongs to
    "status.relativePaths=false",
    "submodule.recurse=false",
]
_OPERATIONS = (
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("BISECT_LOG", "bisect"),
)


class Changed(NamedTuple):
    """A tracked file that is not as the commit has it."""

    name: str
    what: str  # modified, deleted, added, mode, type, conflicted, hidden
    staged: bool


def look(folder: str, commit: str, seals: str) -> Object:
    """The state of the checkout `folder`, beside a commit ("" for none); sealed in `seals` ("": not) if it is clean.

    Raises Refusal, OSError.
    """
    git = Git(folder)
    head = git.text("rev-parse", "--verify", "--quiet", "HEAD^{commit}", codes=(0, 1))
    content = _sealing(git, folder) if seals and head and head == commit else None
    branch, changed, untracked = _status(git)
    changed += _hidden(git, {each.name for each in changed})
    ahead, behind = _distance(git, commit) if head and commit else (None, None)
    state: Object = {
        "path": folder,
        "head": head,
        "branch": branch,
        "operation": _operation(git),
        "changed": [_described(folder, each) for each in changed[:SHOWN]],
        "changed_more": max(0, len(changed) - SHOWN),
        "untracked": list(untracked[:SHOWN]),
        "untracked_more": max(0, len(untracked) - SHOWN),
        "ahead": ahead,
        "behind": behind,
        "seal": "",
    }
    if content is not None and not changed and not state["operation"]:
        state["seal"] = seal.put(seals, content, commit)
    return state


class Git:
    """git on one checkout."""

    def __init__(self, folder: str) -> None:
        """Raises Refusal when it is no checkout."""
        self._folder = folder
        self._until = time.monotonic() + GIT_TIMEOUT_S
        self._filters: List[str] = []
        top = self.text("rev-parse", "--show-toplevel")
        if os.path.realpath(top) != os.path.realpath(folder):
            raise Refusal("NotACheckout", "%s is not the top of a git checkout, but %s is" % (folder, top))
        named = self.words("config", "--null", "--name-only", "--get-regexp", "^filter\\.", codes=(0, 1))
        for filter_name in sorted({name.rpartition(".")[0] for name in named}):
            for key, value in (("clean", ""), ("process", ""), ("smudge", ""), ("required", "false")):
                self._filters += ["-c", "%s.%s=%s" % (filter_name, key, value)]

    def text(self, *arguments: str, codes: Tuple[int, ...] = (0,)) -> str:
        return self.output(arguments, codes).decode("utf-8", "surrogateescape").strip()

    def words(self, *arguments: str, codes: Tuple[int, ...] = (0,)) -> List[str]:
        """What is between the NULs of the output."""
        found = self.output(arguments, codes).decode("utf-8", "surrogateescape").split("\0")
        return [word for word in found if word]

    def succeeds(self, *arguments: str) -> bool:
        return self._run(arguments)[0] == 0

    def output(self, arguments: Tuple[str, ...], codes: Tuple[int, ...]) -> bytes:
        code, output, complaint = self._run(arguments)
        if code in codes:
            return output
        if "not a git repository" in complaint:
            raise Refusal("NotACheckout", "%s is no git checkout" % self._folder, "correct the project's `path`")
        raise Refusal("CheckoutUnreadable", "git %s in %s: %s" % (arguments[0], self._folder, complaint))

    def _run(self, arguments: Tuple[str, ...]) -> Tuple[int, bytes, str]:
        import subprocess
        import tempfile

        options = [word for option in _OPTIONS for word in ("-c", option)]
        words = ["git", "--no-replace-objects", "--literal-pathspecs", *options, *self._filters, *arguments]
        try:
            with tempfile.TemporaryFile() as complaints, tempfile.TemporaryFile() as output:
                done = subprocess.run(
                    words,
                    cwd=self._folder,
                    env=environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=complaints,
                    timeout=max(1.0, self._until - time.monotonic()),
                )
                if output.tell() > OUTPUT_BYTES:
                    raise Refusal("CheckoutUnreadable", "git %s says more than is read" % arguments[0])
                output.seek(0)
                complaints.seek(0)
                complaint = complaints.read(STDERR_BYTES).decode("utf-8", "replace").strip()
                return done.returncode, output.read(), complaint
        except subprocess.TimeoutExpired:
            raise Refusal("Busy", "git %s took longer than %d s" % (arguments[0], GIT_TIMEOUT_S)) from None
        except FileNotFoundError:
            hint = "install git, or put it on the PATH"
            raise Refusal("CheckoutUnreadable", "git is not installed on this source", hint) from None


def _sealing(git: Git, folder: str) -> Optional[bytes]:
    """The seal of all tracked files, and of what says which commit they are; None when one of them is not there."""
    names = git.words("ls-files", "-z", "--cached", "--recurse-submodules")
    reference = git.text("symbolic-ref", "--quiet", "HEAD", codes=(0, 1))
    extra = []
    for name in ("HEAD", reference, "packed-refs", "logs/HEAD"):
        path = os.path.join(folder, git.text("rev-parse", "--git-path", name)) if name else ""
        if path and name == reference and not os.path.lexists(path):
            path = os.path.dirname(path)  # it is packed: the next commit makes it anew
        if path and os.path.lexists(path):
            extra.append(path)
    try:
        return seal.take(folder, names, extra)
    except OSError:  # then git says so, too
        return None


def _status(git: Git) -> Tuple[str, List[Changed], List[str]]:
    """The branch, the tracked files that differ, and the untracked ones."""
    words = ["status", "--porcelain=v2", "--branch", "-z", "--no-renames"]
    lines = git.words(*words, "--untracked-files=normal", "--ignore-submodules=none")
    branch, changed, untracked = "", [], []
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "?":
            untracked.append(rest)
        elif kind == "u":
            changed.append(Changed(rest.split(" ", 9)[9], "conflicted", False))
        elif kind == "1":
            changed.append(_changed(rest))
        elif line.startswith("# branch.head "):
            branch = line[len("# branch.head ") :]
    return ("" if branch == "(detached)" else branch), changed, untracked


def _changed(rest: str) -> Changed:
    """Of a line `XY SUB MODE_HEAD MODE_INDEX MODE HASH_HEAD HASH_INDEX NAME`."""
    both, _, _, mode_staged, mode, _, _, name = rest.split(" ", 7)
    staged, there = both[0], both[1]
    if "D" in both:
        return Changed(name, "deleted", staged == "D")
    if staged == "A":
        return Changed(name, "added", True)
    if "T" in both:
        return Changed(name, "type", staged == "T")
    if there == "M" and mode_staged != mode:
        return Changed(name, "mode", staged != ".")
    return Changed(name, "modified", staged != ".")


def _hidden(git: Git, known: "set[str]") -> List[Changed]:
    """What git was told to overlook."""
    marked = [(line[0], line[2:]) for line in git.words("ls-files", "-v", "-z")]
    return [Changed(name, "hidden", False) for tag, name in marked if tag in "hSs" and name not in known]


def _distance(git: Git, commit: str) -> Tuple[Optional[int], Optional[int]]:
    """How many commits it is ahead of this one, and behind it; None when the commit is not known there."""
    if not git.succeeds("cat-file", "-e", commit + "^{commit}"):
        return None, None
    ahead, behind = git.text("rev-list", "--left-right", "--count", "HEAD..." + commit).split()
    return int(ahead), int(behind)


def _operation(git: Git) -> str:
    """What is under way: a merge, a rebase; "" for nothing."""
    folder = git.text("rev-parse", "--absolute-git-dir")
    return next((name for file, name in _OPERATIONS if os.path.exists(folder + "/" + file)), "")


def _described(folder: str, changed: Changed) -> Object:
    """With what lies there now, so that somebody may say later: as it was when I looked."""
    return dict(tree.seen(folder, changed.name), what=changed.what, staged=changed.staged)
