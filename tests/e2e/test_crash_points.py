"""A real daemon, agent or shim is killed at every named point of the source, and everything comes to its right end.

The points are read from the source, so that a new one is killed at from the first day on. The stories are played side
by side, because most of their time is spent waiting; each test tells of one. To see one again:

    make test ARGS="tests/e2e/test_crash_points.py -k store.intend.committed"
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

import pytest
from crash_points import killable
from crash_stories import AFTER, deaths, play
from crash_world import crash_world
from zygote import Zygote

AT_ONCE = 8
FURTHER = (  # the same points, at a later passing in one process
    "agent.answering#2",
    "agent.answering#3",
    "agent.answering#5",
    "agent.telling#2",
    "requests.written#2",
    "store.conclude.committed#2",
    "store.intend.committed#2",
    "store.settle.committed#2",
    "store.status.committed#5",
)
POINTS = [*killable(), *FURTHER]
# Code is tried again after half a minute: those begin first.
PATIENT = ("seal.renamed", "seal.written", "worktree.made", "worktree.renamed")

Ends: TypeAlias = dict[str, Future[list[str]]]


@pytest.fixture(scope="module")
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """What was wrong in the end, by point: all that are asked for are under way at once."""
    items = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    chosen = sorted((item.callspec.params["point"] for item in items), key=lambda point: point not in PATIENT)
    zygote = Zygote()
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield {point: pool.submit(_story, zygote, point) for point in chosen}
    finally:
        pool.shutdown(cancel_futures=True)
        zygote.close()


def _story(zygote: Zygote, point: str) -> list[str]:
    points, story = deaths(point)
    with crash_world(zygote, points) as world:
        return play(world, story)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("point", POINTS)
def test_whoever_is_killed_here_nothing_is_lost_and_nothing_runs_twice(
    ends: Ends, point: str, figures: Counter[str]
) -> None:
    wrong = ends[point].result()
    figures["kills at crash points"] += 1
    assert not wrong, "\n".join(wrong)


def test_what_needs_a_story_of_its_own_is_a_point() -> None:
    assert [] == [name for name in AFTER if not any(point.startswith(name) for point in POINTS)]
