"""Jobs that end on their nodes before they have started anything: no loop, nothing lost, and the reason is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scheduler_lab import CLUSTER, SchedulerLab

from reconciler import requests
from reconciler.controller.keys import REQUESTS
from reconciler.controller.machines import details
from reconciler.controller.placement import place
from reconciler.controller.queues import barred_of
from reconciler.controller.reporting import source_facts
from reconciler.core.dispatch import Hold
from reconciler.core.model import Eid, Phase
from reconciler.core.starts import SUBMISSIONS
from reconciler.core.status import source_status
from reconciler.requests import Action, Verb
from reconciler.workqueue import WorkQueue

SETTLED_MIN = 5.0  # two listings, the settle time, and the pauses between polls
BACKOFF_MIN = 3.0  # more than the longest of the first few


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[SchedulerLab]:
    lab = SchedulerLab(tmp_path)
    lab.far.said = "/bin/sh: 4: exec: /opt/python3: not found, token=hunter2"
    yield lab
    await lab.close()


def _submissions(lab: SchedulerLab) -> list[list[Eid]]:
    return [eids for op, eids in lab.far.asked if op == "submit"]


async def _in_vain(lab: SchedulerLab, minutes: float) -> None:
    """Jobs come to nothing, and what waits is placed, for so long."""
    for _ in range(int(minutes * 2)):
        lab.far.jobs.clear()
        await lab.minutes(0.5)
        await lab.dispatch()


async def _held(lab: SchedulerLab, count: int) -> None:
    await lab.start(count)
    while not lab.loop.source.barred.not_starting:
        await _in_vain(lab, 0.5)


def _holds(lab: SchedulerLab) -> tuple[Hold, ...]:
    placed = place(lab.store, lab.catalog, {CLUSTER: lab.loop}, lab.time.now())
    return next(iter(placed.holds.values()))


async def test_the_first_give_ups_go_on_under_the_next_number_after_a_backoff(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    while lab.attempt(eid).phase is not Phase.CANCELLED:
        lab.far.jobs.clear()
        await lab.minutes(0.1)
    assert ("NotListed", {"Backoff"}) == (lab.attempt(eid).reason, {hold.reason for hold in _holds(lab)})

    await lab.minutes(0.5)
    await lab.dispatch()
    assert [2] == [attempt.key.number for attempt in lab.open()]


async def test_an_attempt_that_was_given_up_has_the_last_words_of_its_job_without_secrets(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    await _in_vain(lab, SETTLED_MIN)

    assert lab.attempt(eid).message.endswith("has not started: /bin/sh: 4: exec: /opt/python3: not found, token=***")


async def test_after_a_few_submissions_only_one_attempt_at_a_time_tries_ever_more_seldom(lab: SchedulerLab) -> None:
    await _held(lab, 20)
    before = len(_submissions(lab))

    await _in_vain(lab, 12 * 60)

    trials = _submissions(lab)[before:]
    assert {1} == {len(eids) for eids in trials}
    assert 18 <= len(trials) <= 30, "one every half hour, and some more at first"
    (sweep,) = lab.catalog.sweeps()
    assert {Phase.WAITING, Phase.QUEUED} >= {phase for _, phase in lab.store.counts(sweep.name)}, "none is lost"


async def test_who_waits_for_it_is_told_why_and_until_when(lab: SchedulerLab) -> None:
    await _held(lab, 2)

    told = {hold.reason: hold for hold in _holds(lab)}["JobsNotStarting"]

    assert "/opt/python3: not found" in told.message
    assert told.until is not None
    assert lab.time.now() < told.until <= lab.time.now() + 60.0


async def test_it_is_a_condition_of_the_source_and_readers_know_it(lab: SchedulerLab) -> None:
    await _held(lab, 2)

    conditions = source_status(source_facts(lab.loop, 0, 0, 0, on=True)).conditions
    lab.store.set_source(CLUSTER, dict(details(lab.loop, ())), lab.time.now())

    (sweep,) = lab.catalog.sweeps()
    assert ["JobsNotStarting"] == [each.reason for each in conditions if each.type == "StartsFail"]
    assert {CLUSTER: "JobsNotStarting"} == {name: hold.reason for name, hold in barred_of(lab.store, sweep).items()}


async def test_the_first_start_ends_it_for_all(lab: SchedulerLab) -> None:
    await _held(lab, 20)
    while not lab.far.jobs:
        await lab.minutes(0.5)
        await lab.dispatch()

    lab.far.start(*lab.far.jobs)
    await lab.minutes(BACKOFF_MIN)
    await lab.dispatch()

    assert 20 == len(lab.open())
    assert "" == lab.loop.source.barred.not_starting


async def test_who_starts_now_and_then_is_never_held(lab: SchedulerLab) -> None:
    await lab.start(20)
    told = set()
    for _ in range(120):
        lab.far.start(*sorted(lab.far.jobs)[:1])
        await _in_vain(lab, 0.5)
        told.add(lab.loop.source.barred.not_starting)

    assert {""} == told
    assert 3 * SUBMISSIONS <= len(_submissions(lab))


async def test_an_edit_is_tried_at_once(lab: SchedulerLab) -> None:
    await _held(lab, 20)
    before = len(_submissions(lab))

    await lab.accept(20, parallelism="50")
    await lab.minutes(BACKOFF_MIN)
    await lab.dispatch()

    assert [20] == [len(eids) for eids in _submissions(lab)[before:]]


async def test_a_word_of_a_person_lifts_it(lab: SchedulerLab) -> None:
    await _held(lab, 2)
    controller = lab.controller(WorkQueue(lab.clock, random=lambda: 0.0))
    controller.attach({CLUSTER: lab.loop})
    asked = Action(id="a1", verb=Verb.RETRY, at=1.0, by="somebody", arguments={"sweep": "s"})
    requests.submit(Path(lab.config.state_dir), asked)

    await controller.reconcile(REQUESTS)

    assert "JobsNotStarting" not in {hold.reason for hold in _holds(lab)}
