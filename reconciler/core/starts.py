"""Do the jobs of a sweep start at all on a source? When several submissions in a row have not, it is held, and tried.

A job may end on its node before it has claimed its attempt: no Python there, a disk that is full, a root that the node
does not see. Nothing ran then, so that the next number is submitted, and ends in the same way: a loop that fills a
queue that others use. So after some submissions without a start nothing more goes there for a while, then one attempt,
and after it, if that does not start either, nothing for twice as long. The first start ends all of this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

SUBMISSIONS = 3  # in a row, until it is held
FIRST_S = 60.0
LONGEST_S = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """Submissions in a row of which nothing started. Instants are monotonic seconds.

    holds  how often it was held for that; until: when the present hold is over
    """

    submissions: int = 0
    holds: int = 0
    until: float = float("-inf")

    @property
    def tried(self) -> bool:
        """Whether it was held, so that when it is not at the moment one attempt is to tell more."""
        return self.holds > 0

    def held(self, at: float) -> bool:
        return at < self.until


def unstarted(streak: Streak, *, submissions: int, at: float) -> Streak:
    """The streak after so many more that have not started: those on their way when it was held add nothing to that."""
    streak = replace(streak, submissions=streak.submissions + submissions)
    if streak.submissions < SUBMISSIONS or streak.held(at):
        return streak
    return replace(streak, holds=streak.holds + 1, until=at + hold_s(streak.holds + 1))


def hold_s(holds: int) -> float:
    """Seconds of the k-th hold, k from 1: 1, 2, 4 … at most 30 minutes."""
    return min(LONGEST_S, FIRST_S * 2.0 ** min(holds - 1, 16))
