"""Slow work in processes of its own, so that the loop never waits: worktrees, and emptying the trash.

A worktree is made beside its place and renamed into it: it is there whole, or not at all, and only the first of
several makers puts it there. Its files are read-only; its folders are not, because programs write beside their code.
"""

import json
import os
import signal
import stat
import time
from typing import Callable, Dict, List, Tuple

from . import shapes
from .crash import crashpoint
from .place import write_all
from .shapes import Object, Refusal, dumps

PIECE = 1 << 16  # of an answer that is heard at once
GIT_TIMEOUT_S = 600.0
MAKING = ".making."
ABANDONED_S = 6 * GIT_TIMEOUT_S  # nobody makes one for so long

# Nothing of the account's, the machine's or the repository's configuration may run a program or change a byte.
_GIT_OPTIONS = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.sparseCheckout=false",
    "filter.lfs.smudge=",
    "filter.lfs.process=",
    "filter.lfs.required=false",
    "submodule.recurse=false",
]


def start(work: Callable[[], Object]) -> Tuple[int, int]:
    """Do the work in a child; returns (pid, descriptor). Its answer is one line of JSON there: {"ok"} or {"error"}."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write_end)
        return pid, read_end
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.closerange(3, write_end)
        os.closerange(write_end + 1, 1024)
        write_all(write_end, dumps(_answer(work)).encode("ascii"))
    finally:
        os._exit(0)


def answer(fd: int, data: bytes) -> Object:
    """What a side process has answered, which has come to its end; the descriptor is closed."""
    os.close(fd)
    try:
        return shapes.object_of(json.loads(data.decode("ascii")), "an answer")
    except ValueError:
        return {"error": {"reason": "Busy", "message": "the side process died", "hint": ""}}


def _answer(work: Callable[[], Object]) -> Object:
    try:
        return {"ok": work()}
    except Refusal as refusal:
        return {"error": {"reason": refusal.reason, "message": refusal.message[:1000], "hint": refusal.hint}}
    except OSError as error:
        return {"error": {"reason": "Busy", "message": str(error)[:1000], "hint": "is there room on the disk?"}}
    except Exception as error:  # noqa: BLE001 - it is told to who asked
        return {"error": {"reason": "Failed", "message": repr(error)[:1000], "hint": ""}}


def empty_trash(trash: str) -> Object:
    """Remove what lies in the trash, as far as it lets itself be removed."""
    import shutil  # not in the agent itself, whose pages every shim would carry

    for entry in os.scandir(trash):
        shutil.rmtree(entry.path, ignore_errors=True)
        crashpoint("trash.emptied")
    return {}


def abandon(projects: str, trash: str, now: float) -> None:
    """Into the trash with what makers have left that were killed. One that lives after all makes its worktree anew."""
    for project in os.scandir(projects):
        for entry in os.scandir(project.path):
            try:
                if MAKING in entry.name and now - os.lstat(entry.path).st_mtime > ABANDONED_S:
                    os.rename(entry.path, "%s/%s" % (trash, entry.name))
                    crashpoint("worktree.abandoned")
            except OSError:  # somebody else has taken it away
                pass


def make_worktree(path: str, commit: str, git_dir: str) -> Object:
    """Put the files of the commit at `path`. Raises Refusal, OSError."""
    import shutil

    if not os.path.isdir(git_dir):
        raise Refusal("WorktreeFailed", "there is no repository at %s" % git_dir, "has the project been brought here?")
    making = "%s%s%d.%s" % (path, MAKING, os.getpid(), os.urandom(4).hex())
    tree = making + "/tree"
    os.makedirs(tree)
    try:
        env = _git_environment(making)
        until = time.monotonic() + GIT_TIMEOUT_S
        _git(git_dir, tree, env, ["read-tree", commit], until)
        _git(git_dir, tree, env, ["checkout-index", "--all", "--force", "--quiet"], until)
        _protect(tree)
        os.sync()  # a power loss must not leave empty files under the final name
        crashpoint("worktree.made")
        try:
            os.rename(tree, path)
        except OSError:
            if not os.path.isdir(path):  # another maker was first: its tree is the same
                raise
        crashpoint("worktree.renamed")
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return {"path": path}


def _git(git_dir: str, tree: str, env: Dict[str, str], arguments: List[str], until: float) -> None:
    import subprocess

    options = [word for option in _GIT_OPTIONS for word in ("-c", option)]
    words = ["git", "--git-dir=" + git_dir, "--work-tree=" + tree, *options, *arguments]
    try:
        done = subprocess.run(
            words,
            cwd=tree,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=max(1.0, until - time.monotonic()),
        )
    except subprocess.TimeoutExpired:
        raise Refusal("Busy", "git %s took longer than %d s" % (arguments[0], GIT_TIMEOUT_S)) from None
    except FileNotFoundError:
        raise Refusal(
            "WorktreeFailed", "git is not installed on this source", "install git, or put it on the PATH"
        ) from None
    if done.returncode:
        words_of_it = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise Refusal("WorktreeFailed", "git %s: %s" % (arguments[0], words_of_it))


def _git_environment(home: str) -> Dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": home,
        "XDG_CONFIG_HOME": home,
        "GIT_INDEX_FILE": home + "/index",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


def _protect(tree: str) -> None:
    """Take the right to write from every file, but not from folders; links are left as they are."""
    for folder, _, names in os.walk(tree):
        for name in names:
            path = folder + "/" + name
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                os.chmod(path, stat.S_IMODE(mode) & ~0o222)
