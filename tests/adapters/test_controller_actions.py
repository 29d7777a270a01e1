"""What people ask for is carried out, or refused with a reason; what they vouch for must be possible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from acceptance_lab import AcceptanceLab

from reconciler import requests
from reconciler.controller.actions import Actions
from reconciler.controller.brake import plan_id
from reconciler.core.model import Json, Phase, SourceName, SweepName
from reconciler.core.settings import SourceConfig
from reconciler.requests import Action, Outcome, Verb

S = SweepName("s")


class Lab(AcceptanceLab):
    """Passes, and the actions of one person."""

    asked = 0

    async def ask(self, verb: Verb, **arguments: Json) -> Outcome:
        """Ask, let it be carried out, and return the answer."""
        self.asked += 1
        state = self.folder / "state"
        action = Action(id=f"a{self.asked}", verb=verb, at=float(self.asked), by="somebody", arguments=arguments)
        requests.submit(state, action)
        actions = Actions(
            state,
            store=self.store,
            catalog=self.catalog,
            acceptance=self.acceptance,
            clock=self.clock,
            sources=(SourceConfig(name=SourceName("laptop")), SourceConfig(name=SourceName("off"), enabled=False)),
        )
        await actions.run()
        outcome = requests.outcome(state, action.id)
        assert outcome is not None
        return outcome

    def phases(self) -> list[Phase]:
        return [attempt.phase for attempt in self.store.open_attempts(SourceName("laptop"))]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.store.close()


async def test_a_source_is_switched_off_until_it_is_switched_on(lab: Lab) -> None:
    await lab.ask(Verb.DISABLE, source="laptop")
    outcome = await lab.ask(Verb.DISABLE, source="laptop")
    assert (True, {"laptop"}) == (outcome.ok, lab.store.switched_off())

    outcome = await lab.ask(Verb.ENABLE, source="laptop")
    assert (True, "laptop takes new tasks", frozenset()) == (outcome.ok, outcome.message, lab.store.switched_off())


@pytest.mark.parametrize(
    ("source", "words"), [("lap", "there are: laptop, off"), ("off", "the configuration disables off")]
)
async def test_a_source_that_is_not_there_or_disabled_for_good_is_not_switched_on(
    lab: Lab, source: str, words: str
) -> None:
    outcome = await lab.ask(Verb.ENABLE, source=source)

    assert not outcome.ok
    assert words in outcome.message


async def test_what_is_queued_is_not_taken_for_dead(lab: Lab) -> None:
    lab.commit(s="{x: [1]}")
    await lab.acceptance.run()
    lab.start_all("s")
    (attempt,) = lab.store.open_attempts(SourceName("laptop"))

    outcome = await lab.ask(Verb.RETRY, sweep="s", tasks=[attempt.key.task], assumeDead=[1])

    assert (False, [Phase.QUEUED]) == (outcome.ok, lab.phases())


def run_again(lab: Lab, number: int) -> str:
    """The only task of the sweep runs as its attempt of this number; its id."""
    (task,) = lab.store.tasks(S, limit=9)
    first = lab.attempt_of(task, number)
    lab.store.intend([first])
    (task,) = lab.store.tasks(S, limit=9)
    lab.store.record([(replace(first, phase=Phase.RUNNING), replace(task, phase=Phase.RUNNING))], 1.0)
    return task.key.task


async def test_what_a_person_has_seen_dead_is_that_attempt_and_no_later_one(lab: Lab) -> None:
    lab.commit(s="{x: [1]}")
    await lab.acceptance.run()
    task = run_again(lab, 1)

    other = await lab.ask(Verb.RETRY, sweep="s", tasks=[task], assumeDead=[2])
    this = await lab.ask(Verb.RETRY, sweep="s", tasks=[task], assumeDead=[1])

    assert (False, True, []) == (other.ok, this.ok, lab.phases())


async def test_what_was_said_dead_before_a_crash_is_not_said_of_the_attempt_that_runs_since(lab: Lab) -> None:
    lab.commit(s="{x: [1]}")
    await lab.acceptance.run()
    task = run_again(lab, 1)
    await lab.ask(Verb.RETRY, sweep="s", tasks=[task], assumeDead=[1])
    run_again(lab, 2)

    again = await lab.ask(Verb.RETRY, sweep="s", tasks=[task], assumeDead=[1])

    assert (True, [Phase.RUNNING]) == (again.ok, lab.phases())


async def test_an_approval_of_another_plan_removes_nothing(lab: Lab) -> None:
    lab.commit(a="{x: [1]}", b="{x: [1]}", c="{x: [1]}")
    await lab.acceptance.run()
    lab.commit(a=None, b=None)
    await lab.acceptance.run()
    frozen = plan_id((sweep.name, sweep.row.frozen) for sweep in lab.catalog.sweeps())

    wrong = await lab.ask(Verb.APPROVE, plan="another")
    left = lab.desired("a") + lab.desired("b")
    right = await lab.ask(Verb.APPROVE, plan=frozen)

    assert (False, 2, True, 0) == (wrong.ok, left, right.ok, lab.desired("a") + lab.desired("b"))
