"""When is a job that is not listed really gone? A listing after the other, and who counts as gone after them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.listings import CLEAN_LISTINGS, MASS_FRACTION, Register, doubted, heard, settled

SETTLE_S = 180.0
ALL = [f"j{number}" for number in range(10)]


def after(*listings, known=ALL, every_s=100.0, settle_s=SETTLE_S):
    """Who is gone after these listings; each is a text of digits, the jobs that it has."""
    return _gone(_register(listings, known, every_s), (len(listings) - 1) * every_s, settle_s)


def _register(listings, known, every_s):
    register = Register()
    for number, listing in enumerate(listings):
        listed = [f"j{digit}" for digit in listing]
        register = heard(register, listed=listed, missing=set(known) - set(listed), at=number * every_s)
    return register


def _gone(register, at, settle_s=SETTLE_S):
    return "".join(sorted(each[1:] for each in settled(register, at=at, settle_s=settle_s)))


TABLE = {
    "one listing proves nothing": (["012345678"], ""),
    "two do, once the time has passed": (["012345678", "012345678", "012345678"], "9"),
    "who is listed again begins again": (["012345678", "0123456789", "012345678", "012345678"], ""),
    "who never was listed is gone after the same time": (["", "", ""], "0123456789"),
    "a fifth may vanish at once": (["0123456789", "01234567", "01234567", "01234567"], "89"),
    "more than a fifth is not believed at once": (["0123456789", "0123456", "0123456", "0123456"], ""),
    "but the next listing confirms it": (["0123456789", "0123456", "0123456", "0123456", "0123456"], "789"),
    "it is confirmed though another has vanished meanwhile": (
        ["0123456789", "0123456", "012345", "012345", "012345"], "6789"
    ),
    "an empty listing between two full ones is nothing": (["0123456789", "", "0123456789", "0123456789"], ""),
    "a doubt that is confirmed leaves those gone that were before": (["012345678", "012345678", "", ""], "9"),
    "what a doubtful listing does have was there": (["012345678", "012345678", "9", "012345678"], ""),
}  # fmt: skip


@pytest.mark.parametrize(("listings", "expected"), TABLE.values(), ids=TABLE)
def test_who_is_gone_after_listings(listings, expected):
    assert expected == after(*listings)


def test_nobody_is_gone_in_the_very_listing_that_is_in_doubt():
    assert "" == after("012345678", "012345678", "012345678", "")


def test_two_listings_in_quick_succession_prove_nothing():
    assert "" == after("", "", "", every_s=50)


def test_without_a_settle_time_two_listings_are_enough():
    assert ("", "9") == (after("012345678", settle_s=0), after("012345678", "012345678", settle_s=0))


def test_the_time_counts_from_the_first_listing_without_it_to_the_question_for_the_newest():
    register = _register(["", ""], ALL, 1000.0)

    assert ("", "0123456789") == (_gone(register, SETTLE_S - 1), _gone(register, SETTLE_S))


def test_who_is_no_longer_asked_for_is_forgotten():
    register = heard(_register(["", "", ""], ALL, 100.0), listed=[], missing=["j1"], at=300.0)

    assert "1" == _gone(register, 300.0)


SETS = st.frozensets(st.sampled_from(ALL))
HISTORIES = st.lists(st.tuples(SETS, SETS, st.floats(0, 200)), max_size=12)


def _played(history):
    """The registers after each listing, with what it had, what it had not, and when it came."""
    register, at = Register(), 0.0
    for listed, others, wait in history:
        at += wait
        before, register = register, heard(register, listed=listed, missing=others - listed, at=at)
        yield before, register, listed, others - listed, at


@given(HISTORIES)
def test_who_is_listed_now_is_not_gone(history):
    for _, register, listed, _, at in _played(history):
        assert not settled(register, at=at, settle_s=0) & listed


@given(HISTORIES)
def test_who_is_gone_was_missed_twice_since_it_was_last_listed_and_for_the_whole_settle_time(history):
    missed: dict[str, list[float]] = {}
    for _, register, listed, missing, at in _played(history):
        for eid in listed:
            missed[eid] = []
        for eid in missing:
            missed.setdefault(eid, []).append(at)
        for eid in settled(register, at=at, settle_s=100.0):
            assert len(missed[eid]) >= CLEAN_LISTINGS
            assert at - missed[eid][0] >= 100.0


@given(HISTORIES)
def test_a_listing_that_loses_much_of_what_lived_makes_nobody_gone_that_was_not(history):
    for before, register, listed, missing, at in _played(history):
        fresh = (before.live & missing) - before.suspect
        if len(fresh) > MASS_FRACTION * len(before.live):
            assert not settled(register, at=at, settle_s=0)
            assert set(register.misses) == set(before.misses) - listed


@given(SETS, SETS, st.integers(0, 5))
def test_what_stays_missing_is_gone_in_the_end_whatever_was_listed_before(listed, missing, before):
    register = Register()
    for number in range(before):
        register = heard(register, listed=listed | missing, missing=[], at=float(number))
    for number in range(1, 4):
        register = heard(register, listed=listed - missing, missing=missing, at=100.0 * number)

    assert missing == settled(register, at=300.0, settle_s=100.0)


RETURNS = {
    "a node that was never silent is believed": ("++", ""),
    "a silent one is not": ("-", "0"),
    "however long it is silent": ("-----", "0"),
    "when it is heard again what is left there is still being ended": ("---+", "0"),
    "it is believed after the settle time": ("---+++", ""),
    "one that falls silent again begins again": ("-++-+", "0"),
    "a look that cannot tell is not one that hears it": ("-???", "0"),
    "nor one that does not": ("-+??", ""),
}


@pytest.mark.parametrize(("looks", "expected"), RETURNS.values(), ids=RETURNS)
def test_whose_end_on_a_node_that_was_given_up_is_still_doubted(looks, expected):
    register = Register()
    for number, look in enumerate(looks):
        nodes = {} if look == "?" else {"j0": look == "+"}
        register = heard(register, listed=[], missing=["j0", "j1"], at=number * 100.0, nodes=nodes)
    told = doubted(register, at=(len(looks) - 1) * 100.0, settle_s=SETTLE_S)
    assert expected == "".join(sorted(each[1:] for each in told))
