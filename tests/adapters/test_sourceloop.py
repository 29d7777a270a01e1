"""The loop of one source, against an agent that says what the test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from source_lab import HOME, LAPTOP, Lab

from reconciler.controller.placement import place
from reconciler.core.diagnosis import lost
from reconciler.core.errors import NotSent
from reconciler.core.model import SweepName
from reconciler.core.wire import Claim, ClaimKind, Ended, ExitRecord, Found


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    await lab.close()


async def test_code_that_cannot_be_brought_holds_its_sweep_and_no_other(lab: Lab) -> None:
    await lab.accept(good="{x: [1, 2]}")
    await lab.accept(bad="{x: [1, 2]}")
    lab.agent.cannot_bring = {lab.pin("bad")}

    await lab.dispatch()
    holds = await lab.dispatch()

    assert {"good"} == {attempt.key.sweep for attempt in lab.open() if not attempt.cancel}
    assert (2, ["ProjectNotReady"]) == (len(lab.agent.named("start")), holds["bad"])
    assert lab.loop.ready


async def test_tasks_that_fit_no_source_hide_no_others_however_many_they_are(lab: Lab) -> None:
    points = "{g: [1, 0], x: {range: {start: 0, stop: 1500, step: 1}}}"
    await lab.accept(s=f'{points}, resources: {{gpus: "$(g)"}}')

    await lab.dispatch()

    assert [0] * 1000 == [attempt.resources.gpus for attempt in lab.open()]


async def test_code_that_could_not_be_brought_is_tried_again(lab: Lab) -> None:
    await lab.accept(bad="{x: [1]}")
    lab.agent.cannot_bring = {lab.pin("bad")}
    await lab.dispatch()
    assert lab.projects.problem(lab.code("bad"))

    lab.agent.cannot_bring = set()
    await lab.time.advance(45)
    lab.loop.kick()
    await lab.time.settle()

    assert None is lab.projects.problem(lab.code("bad"))


async def test_code_that_is_tried_again_is_waited_for_without_an_instant_that_has_passed(lab: Lab) -> None:
    await lab.accept(bad="{x: [1]}")
    lab.agent.cannot_bring = {lab.pin("bad")}
    await lab.dispatch()
    lab.agent.may_bring.clear()
    await lab.time.advance(45)

    placed = place(lab.store, lab.catalog, {LAPTOP: lab.loop}, lab.time.now())

    assert ["ProjectNotReady"] == [hold.reason for hold in placed.holds[SweepName("bad")]]
    assert placed.wake_at is None


async def test_an_intent_whose_spec_changes_while_its_code_is_brought_is_given_up(lab: Lab) -> None:
    await lab.accept(s="{x: [1, 2]}")
    lab.agent.may_bring.clear()
    await lab.dispatch()
    intended = lab.open()
    lab.origin.write("sweeps.d/s.yaml", (lab.origin.directory / "sweeps.d/s.yaml").read_text().replace("[x]", "[y]"))
    await lab.accept()

    lab.agent.may_bring.set()
    await lab.time.settle()

    ended = lab.store.attempts_by_eid(attempt.eid for attempt in intended).values()
    assert ([], ["Outdated"] * 2) == (lab.agent.named("start"), [attempt.reason for attempt in ended])


async def test_code_that_differs_is_looked_at_again_and_neither_the_attempt_nor_the_source_pays(lab: Lab) -> None:
    await lab.accept(s="{x: [1]}")
    await lab.dispatch()
    (attempt,) = lab.open()
    asked = len([each for each in lab.agent.asked if each.op == "worktree"])

    lab.agent.news.put_nowait([Found(eid=attempt.eid, refused="train.py", differs=True)])
    await lab.time.settle()

    (again,) = lab.open()
    assert (asked + 1, True) == (len([each for each in lab.agent.asked if each.op == "worktree"]), lab.loop.ready)
    assert ([attempt.eid] * 2, attempt.key) == (lab.agent.named("start"), again.key)


async def test_code_that_differs_again_and_again_is_let_be_for_a_while(lab: Lab) -> None:
    await lab.accept(s="{x: [1]}")
    await lab.dispatch()
    (attempt,) = lab.open()

    for _ in range(6):
        lab.agent.news.put_nowait([Found(eid=attempt.eid, refused="train.py", differs=True)])
        await lab.time.advance(1)

    hold = lab.projects.problem(lab.code("s"))
    assert hold is not None
    assert ("ProjectDiffers", ["ProjectNotReady"]) == (hold.reason, [each.cancel for each in lab.open()])


async def test_an_attempt_that_could_not_be_read_is_looked_at_again(lab: Lab) -> None:
    await lab.accept(s="{x: [1]}")
    await lab.dispatch()
    (attempt,) = lab.open()
    started = lab.agent.named("start")

    await lab.time.advance(20)  # the agent has lost it, without a word
    await lab.time.settle()

    assert [attempt.eid] == started
    assert attempt.eid in lab.agent.named("inspect")
    assert [attempt.eid] * 2 == lab.agent.named("start")


async def test_an_attempt_that_the_source_cannot_read_is_told_and_does_not_make_us_ask_without_end(lab: Lab) -> None:
    await lab.accept(s="{x: [1, 2]}")
    await lab.time.settle()
    place(lab.store, lab.catalog, {LAPTOP: lab.loop}, lab.time.now())
    bad, good = sorted(attempt.eid for attempt in lab.open())
    lab.agent.unreadable = {bad}

    lab.loop.kick()
    for _ in range(5):
        await lab.time.settle()
    assert (1, 2) == (lab.agent.named("start").count(good), lab.agent.named("start").count(bad))

    await lab.time.advance(16)
    assert 1 == lab.loop.unresolved(SweepName("s"))


async def test_all_that_is_to_be_cancelled_is_told_so_at_once(lab: Lab) -> None:
    await lab.accept(s="{x: {range: {start: 0, stop: 700, step: 1}}}")
    await lab.dispatch()
    lab.store.intend_cancel([attempt.eid for attempt in lab.open()], "SweepCancelled", lab.time.now())

    lab.loop.kick()
    for _ in range(5):
        await lab.time.settle()

    assert 700 == len(set(lab.agent.named("cancel"))) == len(lab.agent.named("cancel"))


async def test_a_cancellation_is_asked_for_again_though_the_wall_clock_was_set_back(lab: Lab) -> None:
    await lab.accept(s="{x: [1]}")
    await lab.dispatch()
    lab.store.intend_cancel([attempt.eid for attempt in lab.open()], "SweepCancelled", lab.time.now())
    lab.loop.kick()
    await lab.time.settle()
    lab.time.jump(-3600)

    await lab.time.advance(11)
    lab.loop.kick()
    await lab.time.settle()

    assert 2 == len(lab.agent.named("cancel"))


async def test_what_a_person_says_is_dead_is_not_unresolved_any_more(lab: Lab) -> None:
    await lab.accept(s="{x: [1]}")
    await lab.dispatch()
    (attempt,) = lab.open()
    claim = Claim(kind=ClaimKind.STARTED, at=1.0, home=replace(HOME, machine="other"), nonce="n")
    for _ in range(6):
        lab.agent.news.put_nowait([Found(eid=attempt.eid, staged=True, claim=claim)])
        await lab.time.advance(0.1)
    assert 1 == lab.loop.unresolved()
    (running,) = lab.open()

    dead = lost(running, lab.time.now(), "a person said so")
    task = lab.store.task(attempt.key.task_key)
    lab.store.record([(dead, lab.catalog.settled(task, dead, lab.time.now()))], lab.time.now())

    assert 0 == lab.loop.unresolved()


@pytest.mark.parametrize(("policy", "waiting"), [("Rerun", 1), ("Keep", 0)])
async def test_a_success_of_other_work_under_the_same_number_counts_as_outdated(
    lab: Lab, policy: str, waiting: int
) -> None:
    await lab.accept(s=f"{{x: [1]}}, updatePolicy: {policy}")
    await lab.dispatch()
    (attempt,) = lab.open()
    claim = Claim(kind=ClaimKind.STARTED, at=1.0, home=HOME, nonce="n", digest="f" * 16)
    record = ExitRecord(nonce="n", started_at=1.0, ended_at=2.0, ended_by=Ended.ITSELF, exit_code=0)

    lab.agent.news.put_nowait([Found(eid=attempt.eid, staged=True, claim=claim, exit=record)])
    await lab.time.advance(0.1)

    (told,) = lab.store.attempts(attempt.key.task_key)
    assert ("f" * 16, waiting) == (told.digest, lab.may_start())


async def test_logins_that_hang_are_tried_less_and_less_often(lab: Lab) -> None:
    """Each may leave something there: how long one took does not make it a session."""
    logins = []

    async def hang() -> None:
        logins.append(lab.time.elapsed())
        await lab.time.sleep(30)
        raise NotSent("LoginHung", "an rc file waits for somebody")

    lab.agent.at_login = hang
    await lab.again()
    await lab.time.advance(400)

    assert [31, 32, 34, 38, 46] == [round(after - before) for before, after in pairwise(logins[:6])]
