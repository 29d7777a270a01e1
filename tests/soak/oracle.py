"""The tasks' own log, and what it proves. The daemon's word counts for nothing here.

A task first takes a lock of its own, which all its processes hold as long as they live: an attempt that cannot have it
was started while another attempt of the same task was alive, and says so. Then it appends a line when it starts, and
one as the last thing that it does.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

SCRIPT = (
    'me="$1 $RECONCILER_ATTEMPT"; exec 9>>{locks}/$1; flock -n 9 || echo "overlap $me" >>{log}; '
    'echo "start $me" >>{log}; {more}[ $2 = 0 ] || sleep $2; echo "end $me" >>{log}'
)


def script(log: Path, locks: Path, more: str = "") -> str:
    """A shell's text; its arguments are the task's value, and for how many seconds it sleeps.

    more: what else it does, with a semicolon at its end.
    """
    return SCRIPT.format(log=log, locks=locks, more=more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Sentences about what must never be; none of any kind when the promise was kept."""

    doubled: tuple[str, ...]
    overlapped: tuple[str, ...]
    lost: tuple[str, ...]


class Log:
    """What the tasks have written so far; takes room in proportion to the tasks, not to the time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.starts: Counter[tuple[int, int]] = Counter()  # by value and attempt
        self.runs: Counter[int] = Counter()  # by value
        self.ends: Counter[int] = Counter()
        self.ended_at: dict[int, float] = {}  # when the first end of a value was seen; monotonic
        self.overlaps: list[str] = []
        self._read = 0

    def read(self) -> None:
        """Whatever was appended since the last call."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode().splitlines():
            self._take(line)

    def _take(self, line: str) -> None:
        kind, value, attempt = line.split()
        if kind == "start":
            self.starts[int(value), int(attempt)] += 1
            self.runs[int(value)] += 1
        elif kind == "end":
            self.ends[int(value)] += 1
            self.ended_at.setdefault(int(value), time.monotonic())
        else:
            self.overlaps.append(f"attempt {attempt} of task {value} started while another one was alive")

    def has_ended(self, value: int, *, for_s: float) -> bool:
        """Whether its end was seen so long ago that nothing can interrupt it any more."""
        return value in self.ended_at and time.monotonic() - self.ended_at[value] >= for_s

    def judge(self, desired: Collection[int], removals: Mapping[int, int], hurt: Collection[int]) -> Verdict:
        """Who has run how often, and who may have.

        removals: how often each value was taken out of the manifest before it had ended; hurt: whose shim was killed.
        A task runs once, and once more for each such removal, because that may have cancelled it; if it was hurt, as
        often as it takes. No attempt ever starts twice, and no two of a task are alive at once.
        """
        doubled = [f"attempt {attempt} of task {value} started {n} times" for (value, attempt), n in self._twice()]
        doubled += [
            f"task {value} ran {n} times, and was taken out {removals.get(value, 0)} times before its end"
            for value, n in sorted(self.runs.items())
            if value not in hurt and n > 1 + removals.get(value, 0)
        ]
        lost = [f"task {value} never came to its end" for value in sorted(desired) if not self.ends[value]]
        return Verdict(doubled=tuple(doubled), overlapped=tuple(self.overlaps), lost=tuple(lost))

    def _twice(self) -> list[tuple[tuple[int, int], int]]:
        return sorted((key, n) for key, n in self.starts.items() if n > 1)
