"""How long to wait before a scheduler is asked for its queue again: longer while nothing changes, never all at once.

Starts and ends are told by the agent as they happen, whatever the pace: a listing is for what goes wrong.
"""

from __future__ import annotations

from reconciler.core.jobs import Site

QUIET_EACH = 4  # after so many listings without a change the pause grows by another interval
LONGEST = 4  # intervals
JITTER = 0.1
IN_TIME = 0.8  # of the time for which ends are told
_GOLDEN = 0.6180339887498949  # multiples of it are spread evenly, so that sources of one daemon drift apart


def pause_s(every_s: float, *, quiet: int, turn: int, seed: int, site: Site | None = None) -> float:
    """Seconds. quiet: listings in a row that were like the one before; turn: how many there were; seed: a source's.

    Where ends are told by nothing but the queue, it is looked at before they are forgotten there, if that can be.
    """
    stretch = min(LONGEST, 1 + quiet // QUIET_EACH)
    share = ((seed % 1000) / 1000 + turn * _GOLDEN) % 1.0
    pause = every_s * stretch * (1.0 + JITTER * (2.0 * share - 1.0))
    memory_s = _memory_s(site)
    return pause if memory_s is None else min(pause, max(every_s, IN_TIME * memory_s))


def _memory_s(site: Site | None) -> float | None:
    """So long an end is told by the queue, where nothing else tells it; None where that makes no difference."""
    return site.forgets_s if site is not None and site.accounted is False else None


def missed(every_s: float, site: Site | None) -> str:
    """Why ends may be missed that have left no record, or "": the queue forgets them before it is looked at again."""
    memory_s = _memory_s(site)
    if memory_s is None or every_s <= memory_s:
        return ""
    return (
        f"jobs that have ended are forgotten after {memory_s:g} s, there is no accounting, and the queue is looked at"
        f" only every {every_s:g} s"
    )
