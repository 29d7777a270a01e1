"""Whether code is still what was verified, asked just before a task starts in it.

A look at every file of a small project costs some microseconds, at those of a large one as much as a task itself. So a
look that took long is believed for a while, in proportion: no shim spends more than a twentieth of its time looking.
That is for worktrees of ours, which nobody has any business to edit; in others' folders each start looks anew.
"""

import os
import time
from typing import Dict, List, NamedTuple

from . import seal

BELIEVED = 20.0  # times as long as the look took


class _Look(NamedTuple):
    at: float  # when, in seconds since 1970
    until: float  # monotonic
    folder: int  # inode


class Proofs:
    """What one shim has seen."""

    def __init__(self) -> None:
        self._looks: Dict[str, _Look] = {}
        self.verified = 0.0  # when the code of the newest attempt was looked at

    def differing(self, path: str, cwd: str) -> List[str]:
        """What differs from the seal at `path` in the folder `cwd`; nothing: it is as it was. Raises OSError."""
        folder = os.stat(cwd).st_ino
        known = self._looks.get(path) if _is_ours(path, cwd) else None
        began = time.monotonic()
        if known is None or known.until < began or known.folder != folder:
            at, names = time.time(), seal.differing(path)
            if names:
                self._looks.pop(path, None)
                return names
            now = time.monotonic()
            known = _Look(at, now + BELIEVED * (now - began), folder)
            self._looks = {path: known}
        self.verified = known.at
        return []


def _is_ours(path: str, cwd: str) -> bool:
    """Whether the code lies beside its seal, in the root: elsewhere people edit it, and only a new look counts."""
    return os.path.dirname(os.path.dirname(path)) == os.path.dirname(cwd)
