"""What a person asked for is not forgotten when the daemon dies between the answer and the pass that does it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance_lab import AcceptanceLab

from reconciler import requests
from reconciler.controller.keys import REPOSITORY, REQUESTS, Key
from reconciler.core.model import SweepName
from reconciler.requests import Action, Verb
from reconciler.workqueue import WorkQueue

S = SweepName("s")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[AcceptanceLab]:
    lab = AcceptanceLab(tmp_path)
    yield lab
    lab.store.close()


def pin(lab: AcceptanceLab) -> str | None:
    sweep = lab.catalog.get(S)
    assert sweep is not None
    return sweep.row.pin


async def ask_for_a_repin(lab: AcceptanceLab) -> None:
    """Answered by one daemon, which does nothing more."""
    action = Action(id="a1", verb=Verb.RECONCILE, at=1.0, by="somebody", arguments={"sweep": "s", "repin": True})
    requests.submit(lab.folder / "state", action)
    await lab.controller(WorkQueue[Key](lab.clock, random=lambda: 0.0)).reconcile(REQUESTS)


async def test_a_repin_is_done_by_the_next_daemon_when_the_one_that_answered_has_died(lab: AcceptanceLab) -> None:
    lab.commit(s="{x: [1]}")
    await lab.acceptance.run()
    newer = lab.origin.commit({"other.txt": "no sweep of ours"})
    await lab.acceptance.run()
    older = pin(lab)
    await ask_for_a_repin(lab)

    await lab.controller(WorkQueue[Key](lab.clock, random=lambda: 0.0)).reconcile(REPOSITORY)

    assert older != newer
    assert (newer, {}) == (pin(lab), lab.store.repins())


async def test_who_asks_for_a_repin_during_the_pass_is_not_forgotten_with_it(lab: AcceptanceLab) -> None:
    lab.store.want_repins([S])
    seen = lab.store.repins()
    lab.store.want_repins([S])

    lab.store.repinned(seen)

    assert [S] == list(lab.store.repins())
