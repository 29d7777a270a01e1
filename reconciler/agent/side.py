"""Slow work in processes of its own, so that the loop never waits."""

import json
import os
import signal
from typing import Callable, Tuple

from . import shapes
from .crash import crashpoint
from .git import TIMEOUT_S
from .place import folders, write_all
from .shapes import Object, Refusal, dumps
from .worktree import MAKING

PIECE = 1 << 16  # of an answer that is heard at once
ABANDONED_S = 6 * TIMEOUT_S  # nobody makes one for so long


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


def answer(fd: int, data: bytes, died: str = "Busy") -> Object:
    """What a side process has answered, which has come to its end; the descriptor is closed.

    died: the reason that is told when it has not answered; Busy means that nothing was done that may not be repeated.
    """
    os.close(fd)
    try:
        return shapes.object_of(json.loads(data.decode("ascii")), "an answer")
    except ValueError:
        return {"error": {"reason": died, "message": "the side process died", "hint": ""}}


def _answer(work: Callable[[], Object]) -> Object:
    try:
        return {"ok": work()}
    except Refusal as refusal:
        return {"error": {"reason": refusal.reason, "message": refusal.message[:1000], "hint": refusal.hint}}
    except OSError as error:
        return {"error": {"reason": "Busy", "message": str(error)[:1000], "hint": "is there room on the disk?"}}
    except Exception as error:  # noqa: BLE001 - it is told to who asked
        return {"error": {"reason": "Failed", "message": repr(error)[:1000], "hint": ""}}


def empty_trash(trash: str) -> None:
    """Remove what lies in the trash, as far as it lets itself be removed."""
    import shutil  # not in the agent itself, whose pages every shim would carry

    for entry in os.scandir(trash):
        shutil.rmtree(entry.path, ignore_errors=True)
        crashpoint("trash.emptied")


def abandon(projects: str, trash: str, now: float) -> None:
    """Into the trash with what makers have left that were killed. One that lives after all makes its worktree anew."""
    for project in folders(projects):
        for entry in os.scandir(project.path):
            try:
                if MAKING in entry.name and now - os.lstat(entry.path).st_mtime > ABANDONED_S:
                    os.rename(entry.path, "%s/%s" % (trash, entry.name))
                    crashpoint("worktree.abandoned")
            except OSError:  # somebody else has taken it away
                pass
