"""When `run --once` may end: nothing is active, and nothing will start by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance_lab import AcceptanceLab

from reconciler.controller.keys import DISPATCH, REPOSITORY, Key
from reconciler.core.model import SourceName, SweepName
from reconciler.sourceloop import Changed
from reconciler.workqueue import WorkQueue


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[AcceptanceLab]:
    lab = AcceptanceLab(tmp_path)
    yield lab
    lab.store.close()


async def test_the_end_of_the_last_attempts_is_followed_by_another_look_before_all_is_over(lab: AcceptanceLab) -> None:
    queue: WorkQueue[Key] = WorkQueue(lab.clock, random=lambda: 0.0)
    controller = lab.controller(queue)
    lab.commit(s="{x: [1]}")
    await controller.reconcile(REPOSITORY)
    while queue.stats().depth:
        key = await queue.get()
        await controller.reconcile(key)
        queue.done(key)
    assert controller.idle()

    ended = Changed(source=SourceName("laptop"), sweeps=frozenset({SweepName("s")}), urgent=False)
    controller.source_changed(ended)
    assert (0, False) == (queue.stats().depth, controller.idle())

    await controller.reconcile(DISPATCH)
    assert controller.idle()
