"""The process dialect, and the messages it shares with every other."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import errors, wire_json
from reconciler.core.model import Eid, HostIdentity
from reconciler.core.wire import AttemptSpec, CancelOutcome, Claim, ClaimKind, Ended, ExitRecord, Found, Lock, Reply
from reconciler.dialects.process import ProcessDialect

EID = Eid("gaaaabcdefghijk")
HOME = {"host": "h", "machine": "m", "boot": "b"}
STARTED = {"kind": "started", "at": 1.5, **HOME, "nonce": "n", "job": "7", "pid": 7, "gpus": [0, 2], "start": 99}
RECORD = {
    "nonce": "n",
    "started_at": 2,
    "ended_at": 3.5,
    "ended_by": "itself",
    "exit_code": 0,
    "signal": None,
    "launch_error": None,
    "cpu_s": 0.5,
    "max_rss_mib": 12,
}
FOUND = {
    "staged": True,
    "waiting": False,
    "claim": STARTED,
    "exit": RECORD,
    "lock": "free",
    "refused": "",
    "directory": "/r/a",
}

texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts, st.lists)
specs = st.builds(
    AttemptSpec,
    eid=st.just(EID),
    sweep=texts,
    task=texts,
    attempt=st.integers(1, 99),
    argv=st.lists(texts, min_size=1).map(tuple),
    environment=st.dictionaries(texts, texts),
    setup=st.lists(texts).map(tuple),
    parameters=st.dictionaries(texts, values, max_size=3),
    cwd=st.none() | texts,
    checkpoint=texts,
    walltime_s=st.none() | st.integers(0, 10**6),
    gpus=st.integers(0, 8),
    grace_s=st.floats(0, 100),
    warn_s=st.none() | st.integers(0, 10**6),
    warn_signal=st.sampled_from(["", "USR1"]),
)


@given(specs)
def test_a_spec_travels_unchanged(spec):
    assert wire_json.spec_from_json(json.loads(json.dumps(wire_json.spec_to_json(spec)))) == spec


def test_a_finding_is_read_whole():
    assert wire_json.found_from_json(EID, FOUND) == Found(
        eid=EID,
        staged=True,
        claim=Claim(
            kind=ClaimKind.STARTED,
            at=1.5,
            home=HostIdentity(host="h", machine="m", boot="b"),
            nonce="n",
            job="7",
            pid=7,
            gpus=(0, 2),
        ),
        exit=ExitRecord(
            nonce="n", started_at=2.0, ended_at=3.5, ended_by=Ended.ITSELF, exit_code=0, cpu_s=0.5, max_rss_mib=12.0
        ),
        lock=Lock.FREE,
        directory="/r/a",
    )


def test_a_revoked_claim_needs_no_more_than_who_and_when():
    found = wire_json.found_from_json(EID, FOUND | {"claim": {"kind": "revoked", "at": 1, **HOME}, "exit": None})

    assert found.claim is not None
    assert (found.claim.kind, found.claim.nonce, found.claim.pid) == (ClaimKind.REVOKED, "", 0)


@pytest.mark.parametrize(
    "change",
    [
        {"staged": 1},
        {"waiting": None},
        {"lock": "open"},
        {"lock": None},
        {"claim": []},
        {"claim": STARTED | {"kind": "begun"}},
        {"claim": STARTED | {"pid": "7"}},
        {"claim": STARTED | {"pid": True}},
        {"claim": STARTED | {"gpus": "01"}},
        {"claim": STARTED | {"host": None}},
        {"exit": RECORD | {"exit_code": None}},
        {"exit": RECORD | {"signal": 9}},
        {"exit": RECORD | {"ended_by": "fate"}},
        {"exit": RECORD | {"ended_at": "now"}},
        {"refused": None},
        {"directory": 1},
    ],
    ids=str,
)
def test_a_finding_that_is_not_understood_is_garbled(change):
    with pytest.raises(errors.Garbled):
        wire_json.found_from_json(EID, FOUND | change)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("Fenced", errors.Fenced),
        ("Busy", errors.Busy),
        ("ForeignRoot", errors.Refused),
        ("WorktreeFailed", errors.Refused),
        ("Failed", errors.Garbled),
        ("SomethingNew", errors.Garbled),
    ],
)
def test_only_a_refusal_that_we_know_is_one(reason, kind):
    error = wire_json.error_from_json({"reason": reason, "message": "m", "hint": "h"})

    assert (type(error), error.reason, error.message, error.hint) == (kind, reason, "m", "h")


def test_an_agent_of_another_protocol_is_refused():
    with pytest.raises(errors.Refused) as caught:
        wire_json.hello_from_json({"protocol": 2})

    assert caught.value.reason == "WrongProtocol"


def test_answers_keep_the_outcome_of_each_attempt():
    exchange = ProcessDialect().cancel([EID])

    assert exchange.request.body == {"eids": [EID], "grace_s": 10.0}
    assert exchange.parse(Reply(body={"outcomes": {EID: "signalled"}})) == {EID: CancelOutcome.SIGNALLED}


@pytest.mark.parametrize("body", [{}, {"outcomes": []}, {"outcomes": {EID: "shot"}}, {"outcomes": {EID: None}}])
def test_an_answer_that_is_not_understood_is_garbled(body):
    with pytest.raises(errors.Garbled):
        ProcessDialect().cancel([EID]).parse(Reply(body=body))
