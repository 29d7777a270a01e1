"""What a task used of what was asked for on its behalf: processors, memory, time; and what that says of a whole sweep.

Two things are not measured, and so are not told. Of a task on several nodes its shim sees what ran on the first one
alone, so that nothing is said of its processors. And the memory that the system tells is that of the *largest process*
of a task, not of all together: of one that divides its work among processes it is a lower bound. Where a scheduler's
accounting told of the end, its numbers count, which are those of the whole task.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from reconciler.core.model import Attempt, Resources

LOW, HIGH = 0.5, 0.9  # below this share something was asked for in vain; above it, the next task may need more
ROOM = 1.25  # what a hint leaves above the most that was used
WORTH_CPU_S, WORTH_MEMORY_MIB, WORTH_WALLTIME_S = 60.0, 512, 600  # smaller requests are not worth a hint
LITTLE_TIME = 0.25
LEAST_MIB = 64  # less is not worth the risk
OVER = 1.1  # a task of one processor may seem to use a little more
_STEPS_MIB = (1, 16, 64, 512, 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """The shares of what was asked for that one attempt used: 1.0 is all. None: not known, or not asked for.

    A share of processors beyond 1 means that more were used than asked for, which only a scheduler prevents.
    """

    elapsed_s: float
    cpu: float | None = None
    memory: float | None = None
    walltime: float | None = None


def processors(resources: Resources) -> int:
    """How many processors an attempt asks for, on all of its nodes together."""
    return resources.cpus * resources.tasks_per_node * resources.nodes


def efficiency(attempt: Attempt) -> Efficiency | None:
    """What an attempt that has ended used; None when it never ran, or nothing was measured."""
    if attempt.started_at is None or attempt.ended_at is None or attempt.cpu_s is None:
        return None
    asked, elapsed_s = attempt.resources, max(0.0, attempt.ended_at - attempt.started_at)
    reserved_s = elapsed_s * processors(asked)
    return Efficiency(
        elapsed_s=elapsed_s,
        cpu=attempt.cpu_s / reserved_s if reserved_s > 0 and asked.nodes == 1 else None,
        memory=_share(attempt.max_rss_mib, asked.memory_mib),
        walltime=_share(elapsed_s, asked.walltime_s),
    )


def _share(used: float | None, asked: float | None) -> float | None:
    return None if used is None or not asked else used / asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What some attempts used together; `largest` and the two shares are the most that one of them did.

    elapsed_s                       of all measured ones
    cpu_s, reserved_cpu_s           of those whose processors are known
    largest_mib, memory, walltime   0 while nothing was measured, or nothing asked for
    """

    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    reserved_cpu_s: float = 0.0
    largest_mib: float = 0.0
    memory: float = 0.0
    walltime: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            elapsed_s=self.elapsed_s + other.elapsed_s,
            cpu_s=self.cpu_s + other.cpu_s,
            reserved_cpu_s=self.reserved_cpu_s + other.reserved_cpu_s,
            largest_mib=max(self.largest_mib, other.largest_mib),
            memory=max(self.memory, other.memory),
            walltime=max(self.walltime, other.walltime),
        )


def usage(attempt: Attempt) -> Usage | None:
    """What one attempt used, to be added up; None when nothing of it was measured."""
    found = efficiency(attempt)
    if found is None:
        return None
    told = found.cpu is not None
    return Usage(
        elapsed_s=found.elapsed_s,
        cpu_s=attempt.cpu_s or 0.0 if told else 0.0,
        reserved_cpu_s=found.elapsed_s * processors(attempt.resources) if told else 0.0,
        largest_mib=attempt.max_rss_mib or 0.0,
        memory=found.memory or 0.0,
        walltime=found.walltime or 0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A share over the tasks of a sweep."""

    median: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A sweep's efficiency, over the newest measured attempt of each task.

    tasks  how many were measured
    cpu    of all processor time that was reserved: long tasks count more than short ones
    """

    tasks: int
    cpu: float | None
    cpus: Spread | None
    memory: Spread | None
    walltime: Spread | None
    hints: tuple[str, ...]


def _numbers() -> array[float]:
    return array("d")


@dataclass(slots=True)
class Tally:
    """The measured attempts of a sweep, counted up one by one: a million of them take a few bytes each."""

    tasks: int = 0
    used: Usage = Usage()
    cpus: array[float] = field(default_factory=_numbers)
    memory: array[float] = field(default_factory=_numbers)
    walltime: array[float] = field(default_factory=_numbers)
    asked: set[Resources] = field(default_factory=set)

    def add(self, attempt: Attempt) -> None:
        """One more, unless nothing of it was measured."""
        found, used = efficiency(attempt), usage(attempt)
        if found is None or used is None:
            return
        self.tasks += 1
        self.used += used
        if len(self.asked) <= 1:  # more are only "several"
            self.asked.add(attempt.resources)
        shares = ((self.cpus, found.cpu), (self.memory, found.memory), (self.walltime, found.walltime))
        for numbers, share in shares:
            if share is not None:
                numbers.append(share)

    def summary(self) -> Summary:
        """All of them together, with what should be asked for instead."""
        return Summary(
            tasks=self.tasks,
            cpu=self.used.cpu_s / self.used.reserved_cpu_s if self.used.reserved_cpu_s > 0 else None,
            cpus=_spread(self.cpus),
            memory=_spread(self.memory),
            walltime=_spread(self.walltime),
            hints=tuple(hint for hint in (_cpu_hint(self), _memory_hint(self), _walltime_hint(self)) if hint),
        )


def _spread(shares: array[float]) -> Spread | None:
    return Spread(median=median(shares), largest=max(shares)) if shares else None


def _asked(tally: Tally, read: Callable[[Resources], int | None]) -> int | None:
    """What all of them asked for; None when they differ, or asked for nothing."""
    found = {read(each) for each in tally.asked}
    return found.pop() if len(found) == 1 else None


def _cpu_hint(tally: Tally) -> str:
    """What is computed on average is told, because that is what the processors were taken from others for."""
    asked, reserved_s = _asked(tally, processors), tally.used.reserved_cpu_s
    if reserved_s < WORTH_CPU_S or asked is None:
        return ""
    used = tally.used.cpu_s / reserved_s * asked
    if used > OVER * asked:
        return f"`cpus`: {asked} asked for, {used:.1f} used on average: others may wait for them"
    if used >= LOW * asked:
        return ""
    if asked == 1:
        return (
            f"`cpus`: the task computes {used:.0%} of its time; it waits for something else (files, network) or sleeps"
        )
    return f"`cpus`: {asked} asked for, {used:.1f} used on average; {math.ceil(used)} would do"


def _memory_hint(tally: Tally) -> str:
    if not tally.memory:
        return ""
    asked, most = _asked(tally, lambda each: each.memory_mib), max(tally.memory)
    request = "what was asked for" if asked is None else f"{mebibytes(asked)} asked for"
    if most > HIGH:
        return f"`memory`: {request}, and {most:.0%} of it used by one process: give it more"
    if most >= LOW:
        return ""
    if asked is None:
        return f"`memory`: no process used more than {most:.0%} of {request}"
    if asked < WORTH_MEMORY_MIB:
        return ""
    enough = mebibytes(_rounded(max(LEAST_MIB, tally.used.largest_mib * ROOM)))
    return f"`memory`: {request}, the largest process used {mebibytes(tally.used.largest_mib)}; {enough} would do"


def _walltime_hint(tally: Tally) -> str:
    if not tally.walltime:
        return ""
    asked, most = _asked(tally, lambda each: each.walltime_s), max(tally.walltime)
    if most > HIGH:
        return f"`walltime`: the longest task took {most:.0%} of it: give it more"
    if most >= LITTLE_TIME or asked is None or asked < WORTH_WALLTIME_S:
        return ""
    longest = span(most * asked)
    return (
        f"`walltime`: {span(asked)} asked for, the longest task took {longest}; a shorter one starts sooner in a queue"
    )


def _rounded(mib: float) -> float:
    """Up, to a number that somebody would write."""
    step = next((step for step in reversed(_STEPS_MIB) if mib >= 2 * step), 1)
    return math.ceil(mib / step) * step


def span(seconds: float) -> str:
    """`40 s`, `20 min`, `36 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def mebibytes(mib: float) -> str:
    """`640 MiB`, `1.2 GiB`."""
    return f"{mib:.0f} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB".replace(".0 ", " ")
