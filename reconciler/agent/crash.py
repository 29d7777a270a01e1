"""Named points around each durable step, at which a test ends this process: the agent, a shim, or side work.

Nothing happens at a point unless the environment names it, as for the daemon (`reconciler/crashpoints.py`). The
daemon's children inherit the two variables, and tasks do not.
"""

import os
import signal
from typing import Mapping

AT = "RECONCILER_CRASH_AT"  # name, or name#3: the third passing in a process
TOKEN = "RECONCILER_CRASH_TOKEN"  # noqa: S105 - a file; whoever unlinks it dies, once over all processes


class _Armed:
    """What the environment has named."""

    at = ""
    left = 0
    token = ""


def crashpoint(name: str) -> None:
    """A crash may come here."""
    if name == _Armed.at:
        _pass()


def arm(environment: Mapping[str, str]) -> None:
    """Without both variables nothing is armed."""
    at, token = environment.get(AT), environment.get(TOKEN)
    if at and token:
        name, _, number = at.partition("#")
        _Armed.at, _Armed.left, _Armed.token = name, int(number or 1), token


def _pass() -> None:
    _Armed.left -= 1
    if _Armed.left > 0:
        return
    try:
        os.unlink(_Armed.token)
    except OSError:  # somebody has died here already
        return
    os.kill(os.getpid(), signal.SIGKILL)
