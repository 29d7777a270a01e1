"""Named points around each durable step, at which a test ends the daemon.

A promise about crashes is worth what it is tried against. Each point lies between two steps of which a crash may leave
the first without the second. Nothing happens at a point unless one is armed: in process, by the simulator; by the
environment, for a real kill. The agent has points of its own (`agent/crash.py`), armed by the same two variables.

    RECONCILER_CRASH_AT=store.intend.committed      or …#3: the third passing in a process
    RECONCILER_CRASH_TOKEN=/path/of/a/file          whoever unlinks it dies: once, over all processes and restarts
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

AT = "RECONCILER_CRASH_AT"
TOKEN = "RECONCILER_CRASH_TOKEN"  # noqa: S105 - a file, not a secret

_hook: Callable[[str], None] | None = None


def crashpoint(name: str) -> None:
    """A crash may come here. Raises what the armed hook raises."""
    if _hook is not None:
        _hook(name)


def arm(hook: Callable[[str], None] | None) -> None:
    """From now on `hook` is called with the name of each point that is passed; None: nothing is."""
    global _hook
    _hook = hook


def arm_from_environment(environment: Mapping[str, str]) -> None:
    """Arm what the two variables name; without both of them, nothing changes."""
    at, token = environment.get(AT), environment.get(TOKEN)
    if at and token:
        arm(killer(at, token))


def killer(at: str, token: str) -> Callable[[str], None]:
    """A hook that kills this process at the point `at` (`name` or `name#k`), if it is the one who unlinks `token`."""
    wanted, _, number = at.partition("#")
    left = int(number or 1)

    def hook(name: str) -> None:
        nonlocal left
        if name != wanted:
            return
        left -= 1
        if left > 0:
            return
        try:
            Path(token).unlink()
        except FileNotFoundError:  # another passing has died already
            return
        os.kill(os.getpid(), signal.SIGKILL)

    return hook
