"""What schedulers really printed, recorded: the command, its exit code, stdout and stderr."""

from __future__ import annotations

import re
from pathlib import Path

from reconciler.core.wire_commands import Ran

_HERE = Path(__file__).parent
_FORM = re.compile(r"\$ .*?\n# exit code: (-?\d+)\n# --- stdout\n(.*?)# --- stderr\n(.*)", re.DOTALL)
_TIMED_FORM = re.compile(r"\$ .*?\n(.*?)# exit code: (-?\d+)\n", re.DOTALL)


def recorded(name: str) -> Ran:
    """One recording, as an agent would have told it."""
    text = (_HERE / f"{name}.txt").read_text(encoding="utf-8")
    match = _FORM.fullmatch(text)
    if match is not None:
        return Ran(rc=int(match[1]), out=match[2], err=match[3])
    timed = _TIMED_FORM.fullmatch(text)
    assert timed is not None, f"not a recording: {name}"
    return Ran(rc=int(timed[2]), out="", err=timed[1])
