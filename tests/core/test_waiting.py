"""Why jobs wait in a scheduler's queue, for people."""

from __future__ import annotations

from reconciler.core.jobs import Job, JobState, Wait
from reconciler.core.model import Eid
from reconciler.core.waiting import NAMED_MAX, view, view_to_json

PRIORITY = Wait("Priority", "others are before it")
HELD = Wait("JobHeldUser", "somebody holds it", "release it", stuck=True)


def _jobs(*waits: Wait | None) -> dict[Eid, Job]:
    states = [JobState.RUNNING if wait is None else JobState.WAITING for wait in waits]
    return {
        Eid(f"e{number}"): Job(id=f"7_{number}", state=state, wait=wait)
        for number, (wait, state) in enumerate(zip(waits, states, strict=True))
    }


def test_jobs_are_counted_by_reason_and_the_stuck_ones_come_first():
    seen = view(_jobs(PRIORITY, None, PRIORITY, HELD))

    assert {JobState.WAITING: 3, JobState.RUNNING: 1} == seen.states
    assert [(HELD, 1, ("e3",)), (PRIORITY, 2, ("e0", "e2"))] == [
        (each.wait, each.jobs, each.eids) for each in seen.waits
    ]


def test_only_what_is_stuck_is_bad_news():
    assert "" == view(_jobs(PRIORITY, None)).stuck
    assert "2 jobs wait for good (JobHeldUser): somebody holds it" == view(_jobs(HELD, PRIORITY, HELD)).stuck


def test_of_very_many_only_some_are_named():
    told = view_to_json(view(_jobs(*[PRIORITY] * 1000)))

    assert {"waiting": 1000, "running": 0, "ending": 0, "unknown": 0} == told["jobs"]
    assert [(1000, NAMED_MAX)] == [(each["jobs"], len(each["attempts"])) for each in told["waits"]]
