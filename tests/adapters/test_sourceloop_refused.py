"""What a scheduler is told at once, and what happens to what it refuses for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from scheduler_lab import CLUSTER, LIMITS, SchedulerLab

from reconciler.controller.machines import details
from reconciler.controller.placement import place
from reconciler.controller.queues import barred_of, wait_of
from reconciler.controller.reporting import source_facts
from reconciler.core.errors import Busy, Refused
from reconciler.core.jobs import Wait
from reconciler.core.model import Eid, Phase
from reconciler.core.status import source_status
from reconciler.core.status_json import source_json

REFUSED = Refused("SubmissionRefused", "Invalid account", hint="see sacctmgr")
PARTITION = ("spec", "schedulerOptions", "slurm", "partition")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[SchedulerLab]:
    lab = SchedulerLab(tmp_path)
    yield lab
    await lab.close()


def _submissions(lab: SchedulerLab) -> list[list[Eid]]:
    return [eids for op, eids in lab.far.asked if op == "submit"]


async def test_what_is_submitted_together_asks_for_the_same(lab: SchedulerLab) -> None:
    lab.commit(s='{x: [1, 2], y: [0, 1, 2]}, resources: {cpus: "$(x)"}')
    await lab.acceptance.run()

    await lab.dispatch()

    cpus = [{lab.attempt(eid).resources.cpus for eid in eids} for eids in _submissions(lab)]
    assert [{1}, {2}] == sorted(cpus, key=min)
    assert [3, 3] == [len(eids) for eids in _submissions(lab)]


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (PARTITION, "cluster refuses it: no (see spec.schedulerOptions.slurm.partition in sweeps.d/s.yaml)"),
        (("options", "qos"), "cluster refuses it: no (see options.qos of the source cluster)"),
    ],
)
async def test_the_field_that_is_at_fault_is_told(lab: SchedulerLab, at: tuple[str, ...], told: str) -> None:
    lab.far.answers = [Refused("SubmissionRefused", "no", at=at)]

    await lab.start(1)

    assert [told] == [hold.message for _, _, hold in lab.loop.source.barred.told()]


async def test_what_is_refused_for_good_is_not_asked_for_in_a_loop(lab: SchedulerLab) -> None:
    lab.far.answers = [REFUSED]
    await lab.start(1)
    (eid,) = lab.far.named("submit")

    for _ in range(18):
        await lab.minutes(0.5)
        await lab.dispatch()

    assert [eid] == lab.far.named("submit")
    assert (Phase.CANCELLED, "SubmissionRefused") == (lab.attempt(eid).phase, lab.attempt(eid).reason)
    assert lab.loop.ready, "others may start there"


async def test_it_is_tried_again_after_ten_minutes(lab: SchedulerLab) -> None:
    lab.far.answers = [REFUSED]
    await lab.start(1)

    await lab.minutes(11)
    await lab.dispatch()

    assert 2 == len(_submissions(lab))


async def test_a_new_generation_is_tried_at_once(lab: SchedulerLab) -> None:
    lab.far.answers = [REFUSED]
    await lab.start(1)
    await lab.dispatch()

    await lab.accept(1, parallelism="5")
    await lab.dispatch()

    assert 2 == len(_submissions(lab))


async def test_whoever_waits_for_it_is_told_the_schedulers_words(lab: SchedulerLab) -> None:
    lab.far.answers = [REFUSED]
    await lab.start(2)
    await lab.minutes(0.5)

    placed = place(lab.store, lab.catalog, {CLUSTER: lab.loop}, lab.time.now())

    (hold,) = next(iter(placed.holds.values()))
    expected = ("SubmissionRefused", "cluster refuses it: Invalid account (see sacctmgr)", 2)
    assert expected == (hold.reason, hold.message, hold.tasks)


async def test_what_else_of_the_sweep_was_intended_there_goes_back_too(lab: SchedulerLab) -> None:
    lab.commit(s='{x: [1, 2]}, resources: {cpus: "$(x)"}')
    lab.far.answers = [REFUSED]
    await lab.acceptance.run()

    await lab.dispatch()

    assert 1 == len(_submissions(lab))
    assert [] == lab.open()


async def test_who_says_later_is_asked_again_soon_and_nothing_is_given_up(lab: SchedulerLab) -> None:
    lab.far.answers = [Busy("Busy", "AssocMaxSubmitJobLimit")]
    (eid,) = await lab.start(1)

    await lab.minutes(0.5)
    lab.loop.kick()
    await lab.time.settle()

    assert [eid, eid] == lab.far.named("submit")


async def test_what_a_limit_keeps_out_is_tried_in_halves_until_some_of_it_fits(lab: SchedulerLab) -> None:
    full = Busy("LimitReached", "QOSGrpSubmitJobsLimit")
    lab.far.answers = [full, full]
    await lab.start(8)

    for _ in range(6):
        await lab.minutes(0.5)
        lab.loop.kick()
        await lab.time.settle()

    assert [8, 4, 2, 4, 2] == [len(eids) for eids in _submissions(lab)]
    assert 8 == len({eid for eids in _submissions(lab)[2:] for eid in eids})


async def test_what_is_busy_for_another_reason_is_tried_again_as_it_is(lab: SchedulerLab) -> None:
    lab.far.answers = [Busy("Busy", "Unable to contact slurm controller")]
    await lab.start(8)

    await lab.minutes(0.5)
    lab.loop.kick()
    await lab.time.settle()

    assert [8, 8] == [len(eids) for eids in _submissions(lab)]


async def test_who_says_later_again_and_again_is_asked_less_and_less_often_until_something_starts(
    lab: SchedulerLab,
) -> None:
    first, _ = await lab.start(2)
    await lab.accept(4)

    async def asked_in(minutes: int) -> int:
        before = len(_submissions(lab))
        lab.far.answers = [Busy("Busy", "AssocMaxSubmitJobLimit")] * 1000
        for _ in range(minutes * 20):
            await lab.minutes(0.05)
            await lab.dispatch()
        return len(_submissions(lab)) - before

    at_first, later = await asked_in(2), await asked_in(30)
    lab.far.start(first)
    await lab.minutes(2)

    assert (True, True) == (5 <= at_first <= 8, 25 <= later <= 31)
    assert 5 <= await asked_in(2) <= 8


# ---------------------------------------------------------------------------------------------- what waits there

HELD = Wait("JobHeldUser", "somebody holds it", "release it", stuck=True)


async def test_what_waits_in_the_queue_is_told_with_its_reason(lab: SchedulerLab) -> None:
    first, second = await lab.start(2)
    lab.far.waits = {first: HELD}
    await lab.minutes(1)

    told = source_json(source_status(source_facts(lab.loop, 2, 0, 0, on=True)))
    lab.store.set_source(CLUSTER, told, lab.time.now())

    stuck = [(each["reason"], each["message"]) for each in told["conditions"] if each["type"] == "QueueStuck"]
    assert [("JobsStuck", "1 jobs wait for good (JobHeldUser): somebody holds it")] == stuck
    assert [HELD, None] == [wait_of(lab.store, lab.attempt(eid)) for eid in (first, second)]


async def test_what_is_stuck_is_asked_for_anew_when_its_sweep_is_edited(lab: SchedulerLab) -> None:
    first, second = await lab.start(2)
    lab.far.waits = {first: HELD, second: Wait("Priority", "others are before it")}
    await lab.minutes(5)
    assert {first, second} == {attempt.eid for attempt in lab.open()}, "nobody has edited anything"

    await lab.clock.advance(3600)  # that of the repository's loop
    await lab.accept(2, parallelism="5")
    await lab.minutes(1)
    lab.loop.kick()
    await lab.dispatch()

    assert (Phase.CANCELLED, "Outdated") == (lab.attempt(first).phase, lab.attempt(first).reason)
    assert Phase.QUEUED is lab.attempt(second).phase
    assert [1, 2] == sorted(attempt.key.number for attempt in lab.open())


async def test_what_is_stuck_and_starts_in_that_very_moment_goes_on(lab: SchedulerLab) -> None:
    (eid,) = await lab.start(1)
    lab.far.waits = {eid: HELD}
    await lab.minutes(1)
    lab.far.start(eid)

    await lab.clock.advance(3600)
    await lab.accept(1, parallelism="5")
    lab.loop.kick()
    await lab.minutes(1)

    assert Phase.RUNNING is lab.attempt(eid).phase


async def test_an_adaptive_source_is_asked_less_often_while_nothing_changes(lab: SchedulerLab) -> None:
    lab.loop.source.dialect.limits = replace(LIMITS, adaptive=True)
    await lab.start(2)
    before = len(lab.far.asked)

    await lab.minutes(60)

    looks = [op for op, _ in lab.far.asked[before:] if op == "inspect"]
    assert 30 <= len(looks) <= 40, "120 of them would be one every 30 s"


async def test_a_refusal_is_told_to_readers(lab: SchedulerLab) -> None:
    lab.far.answers = [REFUSED]
    await lab.start(1)

    lab.store.set_source(CLUSTER, dict(details(lab.loop, ())), lab.time.now())

    (sweep,) = lab.catalog.sweeps()
    assert {CLUSTER: "SubmissionRefused"} == {name: hold.reason for name, hold in barred_of(lab.store, sweep).items()}
