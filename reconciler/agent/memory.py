"""What the system says of the memory of this process and its children, where they are a control group of their own.

A scheduler that limits the memory of a job gives it such a group. When the limit is reached the system kills one of the
processes in it, often not the one that the job would be judged by: only the group's counter tells.
"""

import os
from typing import NamedTuple, Optional, Tuple

ROOT = "/sys/fs/cgroup"
OWN = "/proc/self/cgroup"


class Group(NamedTuple):
    """A counter that tells of nobody else, and what it told at first."""

    path: str
    killed: int


def own(root: str = ROOT, file: str = OWN) -> Optional[Group]:
    """The group of this process; None when others are in it, or nothing counts there."""
    place = _place(root, file)
    if place is None:
        return None
    folder, counter = place
    try:
        with open(folder + "/cgroup.procs", encoding="ascii") as members:
            if members.read().split() != [str(os.getpid())]:
                return None
    except (OSError, ValueError):
        return None
    killed = _killed("%s/%s" % (folder, counter))
    return None if killed is None else Group("%s/%s" % (folder, counter), killed)


def killed_since(group: Optional[Group]) -> int:
    """How many of its processes the system has killed for want of memory."""
    now = None if group is None else _killed(group.path)
    return 0 if group is None or now is None else max(0, now - group.killed)


def _place(root: str, file: str) -> Optional[Tuple[str, str]]:
    """The folder of the group that counts memory, and the file in it that counts: of the older kind, or the newer."""
    newer = None
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                _, kinds, path = line.rstrip("\n").split(":", 2)
                if "memory" in kinds.split(","):
                    return root + "/memory" + path, "memory.oom_control"
                if not kinds:
                    newer = root + path, "memory.events"
    except (OSError, ValueError):
        return None
    return newer


def _killed(path: str) -> Optional[int]:
    try:
        with open(path, encoding="ascii") as lines:
            for line in lines:
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    except (OSError, ValueError):
        pass
    return None
