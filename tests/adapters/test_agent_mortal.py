"""A task that must not outlive its shim: whoever is to see it after that is on another machine."""

from __future__ import annotations

import os
import time

import pytest

from reconciler.agent import launch

SLEEP = [b"sleep", b"300"]
PATH = {b"PATH": b"/bin:/usr/bin"}


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _child_of_one_that_ends(*, mortal: bool) -> int:
    """The pid of a program whose parent has ended at once, without a word to it."""
    read_end, write_end = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.write(write_end, str(launch.spawn(SLEEP, PATH, mortal)).encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as told:
        pid = int(told.read())
    os.waitpid(parent, 0)
    return pid


@pytest.mark.parametrize("mortal", [True, False])
def test_a_mortal_one_dies_with_who_started_it_and_others_live_on(mortal: bool) -> None:
    pid = _child_of_one_that_ends(mortal=mortal)
    until = time.monotonic() + (10.0 if mortal else 0.3)
    while _lives(pid) and time.monotonic() < until:
        time.sleep(0.02)
    lives = _lives(pid)
    if lives:
        os.kill(pid, 9)
    assert mortal is not lives


def test_one_that_cannot_be_executed_is_told_of_all_the_same() -> None:
    with pytest.raises(launch.LaunchError, match="cannot execute"):
        launch.spawn([b"/etc/passwd"], PATH, True)
