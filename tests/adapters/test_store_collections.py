"""What is still to be collected is written down with the end itself, and struck out once it lies here."""

from __future__ import annotations

import sqlite3

import pytest
from store_lab import LAPTOP, Lab

from reconciler.core.model import InstanceId, Phase, SourceName
from reconciler.store import Store
from reconciler.store.schema import FIRST


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    lab.store.collecting = frozenset({LAPTOP})
    yield lab
    lab.close()


def pending(lab, after=0):
    return lab.store.uncollected(LAPTOP, after=after, limit=10)


def test_an_end_is_to_be_collected_until_it_was(lab) -> None:
    lab.accept(range(2))
    lab.start(2)
    assert [] == pending(lab)

    lab.end(Phase.FAILED)
    first, second = pending(lab)
    lab.store.collected({first.id: 77}, 200.0)

    assert [second] == pending(lab)
    assert {LAPTOP: 1} == lab.store.uncollected_counts()
    assert (True, False) == tuple(lab.store.is_collected(each.attempt.eid) for each in (first, second))
    assert Phase.FAILED is second.attempt.phase


def test_pages_follow_one_another(lab) -> None:
    lab.accept(range(3))
    lab.start(3)
    lab.end(Phase.SUCCEEDED)

    first = pending(lab)[0]

    assert pending(lab)[1:] == pending(lab, first.id)


def test_nothing_is_collected_from_other_sources(lab) -> None:
    lab.store.collecting = frozenset({SourceName("another")})
    lab.accept(range(1))
    (attempt,) = lab.start()
    lab.end(Phase.SUCCEEDED)

    assert ([], None) == (pending(lab), lab.store.is_collected(attempt.eid))


def test_an_end_that_turns_out_to_be_another_is_collected_again(lab) -> None:
    lab.accept(range(1))
    (attempt,) = lab.start()
    lab.learn(attempt, Phase.LOST)
    before = pending(lab)[0]
    lab.store.collected({before.id: 0}, 200.0)

    lab.learn(attempt, Phase.SUCCEEDED)

    (after,) = pending(lab)
    assert before.id < after.id


def test_a_collection_that_is_done_too_late_does_not_strike_out_a_newer_end(lab) -> None:
    lab.accept(range(1))
    (attempt,) = lab.start()
    lab.learn(attempt, Phase.LOST)
    before = pending(lab)[0]
    lab.learn(attempt, Phase.SUCCEEDED)

    lab.store.collected({before.id: 0}, 200.0)

    assert 1 == len(pending(lab))


def test_a_state_of_the_first_release_learns_to_collect(tmp_path) -> None:
    with sqlite3.connect(tmp_path / "state.db") as old:
        old.executescript(f"{FIRST} PRAGMA user_version = 1;")
    old.close()

    store = Store.create(tmp_path, instance=InstanceId("aaaa"), at=0.0)

    assert {} == store.uncollected_counts()
    store.close()
