"""Actions as files: one answer per id, whatever is killed and whenever."""

from __future__ import annotations

import asyncio
import json
import os

import pytest
from virtual_clock import VirtualClock

from reconciler import requests
from reconciler.core.errors import StoreError, UsageError
from reconciler.requests import Action, Outcome, Verb

DONE = Outcome(ok=True, message="done", at=2.0, details={"sweeps": ["a"]})


def action(id_="one", at=1.0, verb=Verb.RETRY, **arguments):
    return Action(id=id_, verb=verb, at=at, by="me", arguments=arguments)


def names(state, folder):
    return sorted(path.name for path in (state / "requests" / folder).iterdir())


def test_what_is_submitted_is_pending_as_it_was_asked(tmp_path):
    asked = action(sweep="mnist", tasks=["a", "b"], assumeDead=[1, 2])

    assert "one" == requests.submit(tmp_path, asked)
    assert [asked] == requests.pending(tmp_path)


def test_pending_actions_come_oldest_first(tmp_path):
    for id_, at in (("c", 3.0), ("a", 2.0), ("b", 1.0)):
        requests.submit(tmp_path, action(id_, at))

    assert ["b", "a", "c"] == [each.id for each in requests.pending(tmp_path)]


def test_nothing_is_pending_in_a_new_state(tmp_path):
    assert [] == requests.pending(tmp_path)


def test_a_done_action_has_an_outcome_and_is_pending_no_more(tmp_path):
    requests.submit(tmp_path, action())

    requests.done(tmp_path, action(), DONE)

    assert ([], DONE) == (requests.pending(tmp_path), requests.outcome(tmp_path, "one"))


def test_an_action_that_is_not_done_has_no_outcome(tmp_path):
    requests.submit(tmp_path, action())

    assert requests.outcome(tmp_path, "one") is None


def test_asked_again_under_the_same_id_it_is_not_done_again(tmp_path):
    requests.submit(tmp_path, action())
    requests.submit(tmp_path, action())
    assert 1 == len(requests.pending(tmp_path))
    requests.done(tmp_path, action(), DONE)

    requests.submit(tmp_path, action())

    assert [] == requests.pending(tmp_path)


def test_done_twice_the_first_outcome_stays(tmp_path):
    requests.submit(tmp_path, action())
    requests.done(tmp_path, action(), DONE)

    requests.done(tmp_path, action(), Outcome(ok=False, message="again", at=3.0))

    assert DONE == requests.outcome(tmp_path, "one")


def test_killed_between_outcome_and_withdrawal_it_is_not_done_again(tmp_path):
    requests.submit(tmp_path, action())
    text = (tmp_path / "requests/new/one.json").read_text()
    requests.done(tmp_path, action(), DONE)
    (tmp_path / "requests/new/one.json").write_text(text)

    assert [] == requests.pending(tmp_path)
    assert [] == names(tmp_path, "new")


def test_what_is_half_written_is_not_seen(tmp_path):
    requests.submit(tmp_path, action())
    (tmp_path / "requests/new/.two.json.17").write_text('{"id"')

    assert ["one"] == [each.id for each in requests.pending(tmp_path)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value"),
        ("[1]", "it needs id"),
        ('{"id": "bad"}', "it needs id"),
        ('{"id": "other", "verb": "retry", "arguments": {}, "at": 1, "by": "me"}', "file's name"),
        ('{"id": "bad", "verb": "explode", "arguments": {}, "at": 1, "by": "me"}', "unknown verb"),
        ('{"id": "bad", "verb": "retry", "arguments": [], "at": 1, "by": "me"}', "it needs id"),
        ("[" * 100_000, "nested"),
        ('"' + "x" * requests.SIZE_LIMIT + '"', "more than"),
        ("\udcff", "decode"),
    ],
)
def test_what_cannot_be_read_is_moved_aside_with_the_reason_and_harms_no_other(tmp_path, text, why):
    requests.submit(tmp_path, action("good"))
    (tmp_path / "requests/new/bad.json").write_bytes(text.encode("utf-8", "surrogateescape"))

    assert ["good"] == [each.id for each in requests.pending(tmp_path)]
    assert ["bad.json", "bad.json.reason"] == names(tmp_path, "bad")
    assert why in (tmp_path / "requests/bad/bad.json.reason").read_text()


def test_a_symlink_is_no_request(tmp_path):
    requests.submit(tmp_path, action("good"))
    (tmp_path / "secret.json").write_text(json.dumps({"id": "link"}))
    (tmp_path / "requests/new/link.json").symlink_to(tmp_path / "secret.json")

    assert ["good"] == [each.id for each in requests.pending(tmp_path)]
    assert (tmp_path / "secret.json").exists()


def test_a_pipe_does_not_make_the_daemon_wait(tmp_path):
    requests.submit(tmp_path, action("good"))
    os.mkfifo(tmp_path / "requests/new/pipe.json")

    assert ["good"] == [each.id for each in requests.pending(tmp_path)]


def test_only_the_newest_outcomes_are_kept(tmp_path):
    for number in range(205):
        requests.done(tmp_path, action(f"n{number}"), DONE)
        os.utime(tmp_path / f"requests/done/n{number}.json", (number, number))

    assert (200, None, DONE) == (
        len(names(tmp_path, "done")),
        requests.outcome(tmp_path, "n0"),
        requests.outcome(tmp_path, "n204"),
    )


@pytest.mark.parametrize("id_", ["", "../../etc/x", "a/b", "a b", "x" * 65, "ü", ".hidden", "a\n"])
def test_what_is_no_id_is_refused(tmp_path, id_):
    with pytest.raises(UsageError):
        requests.submit(tmp_path, action(id_))


def test_too_large_a_request_is_refused(tmp_path):
    with pytest.raises(UsageError):
        requests.submit(tmp_path, action(tasks=["x" * requests.SIZE_LIMIT]))


def test_a_state_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "requests").write_text("a file where a folder should be")

    with pytest.raises(StoreError) as caught:
        requests.submit(tmp_path, action())

    assert "StateUnwritable" == caught.value.reason


def test_requests_are_private(tmp_path):
    requests.submit(tmp_path, action())

    assert 0o600 == (tmp_path / "requests/new/one.json").stat().st_mode & 0o777
    assert 0o700 == (tmp_path / "requests/new").stat().st_mode & 0o777


async def test_who_waits_is_told_when_it_is_done(tmp_path):
    clock = VirtualClock()
    requests.submit(tmp_path, action())
    waiting = asyncio.ensure_future(requests.wait(tmp_path, "one", timeout_s=10, clock=clock))
    await clock.advance(5)
    requests.done(tmp_path, action(), DONE)
    await clock.advance(1)

    assert waiting.done()
    assert DONE == await waiting


async def test_who_waits_too_long_is_told_nothing_and_the_action_stays(tmp_path):
    clock = VirtualClock()
    requests.submit(tmp_path, action())
    waiting = asyncio.ensure_future(requests.wait(tmp_path, "one", timeout_s=10, clock=clock))
    await clock.advance(11)

    assert await waiting is None
    assert ["one"] == [each.id for each in requests.pending(tmp_path)]
