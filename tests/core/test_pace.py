"""How often a scheduler is asked: less while nothing changes, and not at the same moments as by others."""

from __future__ import annotations

import pytest

from reconciler.core.jobs import Site
from reconciler.core.pace import IN_TIME, JITTER, LONGEST, QUIET_EACH, missed, pause_s


def _pauses(quiet=0, seed=7):
    return [pause_s(30.0, quiet=quiet, turn=turn, seed=seed) for turn in range(100)]


def test_the_pause_is_about_what_was_asked_for():
    assert all(30.0 * (1 - JITTER) <= pause <= 30.0 * (1 + JITTER) for pause in _pauses())
    assert 29.5 < sum(_pauses()) / 100 < 30.5


def test_it_grows_while_nothing_changes_and_never_beyond_a_limit():
    steps = [pause_s(10.0, quiet=quiet, turn=0, seed=500) for quiet in (0, QUIET_EACH - 1, QUIET_EACH, 1000)]

    assert [10.0, 10.0, 20.0, 10.0 * LONGEST] == steps


def test_two_sources_do_not_ask_at_the_same_moments_for_long():
    first, second = _pauses(seed=1), _pauses(seed=400)

    assert not set(first) & set(second)
    assert len(set(first)) > 90


def test_where_nothing_else_tells_of_ends_the_queue_is_looked_at_before_it_forgets_them():
    site = Site(version="", forgets_s=60, accounted=False)
    paused = [pause_s(every_s, quiet=1000, turn=0, seed=500, site=site) for every_s in (10.0, 30.0, 100.0)]

    assert [40.0, IN_TIME * 60, 100.0] == paused


@pytest.mark.parametrize(
    ("site", "every_s", "told"),
    [
        (None, 100.0, False),
        (Site(version="", forgets_s=60, accounted=True), 100.0, False),
        (Site(version="", forgets_s=60), 100.0, False),
        (Site(version="", accounted=False), 100.0, False),
        (Site(version="", forgets_s=60, accounted=False), 60.0, False),
        (Site(version="", forgets_s=60, accounted=False), 61.0, True),
    ],
)
def test_a_pace_at_which_ends_are_missed_is_told(site, every_s, told):
    assert told is bool(missed(every_s, site))
