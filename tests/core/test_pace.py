"""How often a scheduler is asked: less while nothing changes, and not at the same moments as by others."""

from __future__ import annotations

from reconciler.core.pace import JITTER, LONGEST, QUIET_EACH, pause_s


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
