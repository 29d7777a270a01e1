"""When is a sweep whose jobs do not start held, and for how long?"""

from __future__ import annotations

import pytest

from reconciler.core.starts import SUBMISSIONS, Streak, hold_s, unstarted


def after(*moments: float) -> Streak:
    """One submission without a start at each of these moments."""
    streak = Streak()
    for at in moments:
        streak = unstarted(streak, submissions=1, at=at)
    return streak


def test_a_few_submissions_that_did_not_start_hold_nothing():
    streak = after(*[0.0] * (SUBMISSIONS - 1))

    assert (False, False) == (streak.held(0.0), streak.tried)


def test_several_in_a_row_hold_it_for_a_minute():
    streak = after(*[7.0] * SUBMISSIONS)

    assert (True, True, False) == (streak.held(7.0), streak.held(66.9), streak.held(67.0))


def test_several_at_once_count_each():
    assert unstarted(Streak(), submissions=SUBMISSIONS, at=0.0).held(0.0)


def test_after_the_hold_it_is_tried():
    streak = after(*[7.0] * SUBMISSIONS)

    assert (False, True) == (streak.held(67.0), streak.tried)


def test_a_trial_that_does_not_start_holds_it_for_longer():
    streak = after(0.0, 0.0, 0.0, 100.0)

    assert (True, False) == (streak.held(219.9), streak.held(220.0))


def test_what_was_on_its_way_when_it_was_held_makes_nothing_longer():
    assert 60.0 == after(0.0, 0.0, 0.0, 30.0, 59.0).until


@pytest.mark.parametrize(("hold", "minutes"), [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (10_000, 30)])
def test_holds_grow_up_to_half_an_hour(hold, minutes):
    assert 60.0 * minutes == hold_s(hold)
