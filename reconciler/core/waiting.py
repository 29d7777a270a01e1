"""How our jobs stand in a scheduler's queue, for people: how many wait there, and why they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.jobs import Job, JobState, Wait
from reconciler.core.model import Eid, Json

NAMED_MAX = 200  # attempts that are named for each reason: of a million the first tell enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Jobs that wait for the same reason, and some of their attempts."""

    wait: Wait
    jobs: int
    eids: tuple[Eid, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """What the newest clean listing of a source came to; those that are stuck come first, then the most frequent."""

    states: Mapping[JobState, int] = field(default_factory=dict)
    waits: tuple[Waiting, ...] = ()

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
