"""How our jobs stand in a scheduler's queue, for people: how many wait there, and why they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.core.jobs import Job, JobState, Wait
from reconciler.core.model import Eid, Json
from reconciler.core.throttle import Load

NAMED_MAX = 200  # attempts that are named for each reason: of a million the first tell enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Jobs that wait for the same reason, and some of their attempts."""

    wait: Wait
    jobs: int
    eids: tuple[Eid, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """One array: the attempts of its elements that wait, any of its attempts, and its limit, as listed."""

    number: int
    load: Load
    waiting: tuple[Eid, ...]
    eid: Eid
    limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """What the newest clean listing of a source came to; those that are stuck come first, then the most frequent."""

    states: Mapping[JobState, int] = field(default_factory=dict)
    waits: tuple[Waiting, ...] = ()
    arrays: tuple[Array, ...] = ()  # that wait, oldest first, and those that run beside them

    @property
    def stuck(self) -> str:
        """What a person must know about jobs that will not start before somebody does something; "" when none is."""
        told = [
            f"{each.jobs} jobs wait for good ({each.wait.word}): {each.wait.meaning}"
            for each in self.waits
            if each.wait.stuck
        ]
        return "; ".join(told)


def view(jobs: Mapping[Eid, Job]) -> QueueView:
    """The jobs of one listing, by attempt."""
    groups: dict[Wait, list[Eid]] = {}
    for eid, job in jobs.items():
        if job.wait is not None:
            groups.setdefault(job.wait, []).append(eid)
    ordered = sorted(groups.items(), key=lambda group: (not group[0].stuck, -len(group[1]), group[0].word))
    return QueueView(
        states=Counter(job.state for job in jobs.values()),
        waits=tuple(Waiting(wait=wait, jobs=len(eids), eids=tuple(eids[:NAMED_MAX])) for wait, eids in ordered),
        arrays=_arrays(jobs),
    )


def _arrays(jobs: Mapping[Eid, Job]) -> tuple[Array, ...]:
    found: dict[int, list[Eid]] = {}
    for eid, job in jobs.items():
        if job.array is not None:
            found.setdefault(job.array, []).append(eid)
    return tuple(_array(number, eids, jobs) for number, eids in sorted(found.items()))


def _array(number: int, eids: Sequence[Eid], jobs: Mapping[Eid, Job]) -> Array:
    waiting = tuple(eid for eid in eids if jobs[eid].state is JobState.WAITING)
    limits = {jobs[eid].limit for eid in waiting}
    return Array(
        number=number,
        load=Load(running=len(eids) - len(waiting), waiting=len(waiting)),
        waiting=waiting,
        eid=eids[0],
        limit=next(iter(limits)) if len(limits) == 1 else None,
    )


def view_to_json(seen: QueueView) -> Mapping[str, Json]:
    """As readers get it."""
    return {
        "jobs": {state.value: seen.states.get(state, 0) for state in JobState},
        "waits": [
            {
                "reason": each.wait.word,
                "meaning": each.wait.meaning,
                "action": each.wait.action,
                "stuck": each.wait.stuck,
                "jobs": each.jobs,
                "attempts": list(each.eids),
            }
            for each in seen.waits
        ],
    }
