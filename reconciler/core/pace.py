"""How long to wait before a scheduler is asked for its queue again: longer while nothing changes, never all at once.

Starts and ends are told by the agent as they happen, whatever the pace: a listing is for what goes wrong.
"""

from __future__ import annotations

QUIET_EACH = 4  # after so many listings without a change the pause grows by another interval
LONGEST = 4  # intervals
JITTER = 0.1
_GOLDEN = 0.6180339887498949  # multiples of it are spread evenly, so that sources of one daemon drift apart


def pause_s(every_s: float, *, quiet: int, turn: int, seed: int) -> float:
    """Seconds. quiet: listings in a row that were like the one before; turn: how many there were; seed: a source's."""
    stretch = min(LONGEST, 1 + quiet // QUIET_EACH)
    share = ((seed % 1000) / 1000 + turn * _GOLDEN) % 1.0
    return every_s * stretch * (1.0 + JITTER * (2.0 * share - 1.0))
