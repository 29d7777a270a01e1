"""Whatever an agent says, or somebody lays into the folder of requests: a value, or the error that stands for it."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile import EID, JSONS, SPEC, bounded, crooked, mutated, only
from hypothesis import example, given
from hypothesis import strategies as st
from machine_agent import FakeAgent
from machine_budget import budget

from reconciler import requests
from reconciler.core import wire_json
from reconciler.core.errors import LinkError, ReconcilerError, SourceError
from reconciler.core.model import InstanceId
from reconciler.core.wire import CancelOutcome, Request, RevokeOutcome, StartOutcome
from reconciler.links.base import NEWCOMER
from reconciler.links.lines import Greeting, LineSession

HOME = {"host": "h", "machine": "m", "boot": "b"}
EXIT = {"nonce": "n", "started_at": 1.0, "ended_at": 2.0, "ended_by": "itself", "exit_code": 0, "signal": None}
EXIT |= {"launch_error": None, "cpu_s": 0.1, "max_rss_mib": 3.5}
CLAIM = {"kind": "started", "at": 1.0, **HOME, "nonce": "n", "digest": "d", "job": "7", "pid": 7, "gpus": [0, 1]}
FOUND = {
    "staged": True,
    "waiting": False,
    "claim": CLAIM,
    "lock": "held",
    "exit": EXIT,
    "refused": "",
    "directory": "/d",
}
HELLO = {"protocol": 1, **HOME, "epoch": 3, "python": "3.6", "root": "/r", "clock": 1.5, "owner": "aaaa"}
PROBE = {"cpus": 1, "load1": 0.5, "memory_mib": 1, "memory_free_mib": 1, "disk_free_mib": 1, "clock": 0}
ERROR = {"reason": "Busy", "message": "later", "hint": ""}
CENSUS = {"remains": {EID: {"found": FOUND, "spec": SPEC, "torn": False}}, "unread": [EID], "after": ""}

READERS: dict[str, tuple[Callable[[Any], object], Any]] = {
    "found": (lambda value: wire_json.found_from_json(EID, value), FOUND),
    "page": (wire_json.page_from_json, {EID: FOUND}),
    "spec": (wire_json.spec_from_json, SPEC),
    "hello": (wire_json.hello_from_json, HELLO),
    "probe": (wire_json.probe_from_json, PROBE),
    "census": (wire_json.census_from_json, CENSUS),
    "started": (lambda value: wire_json.outcomes_from_json(StartOutcome, value), {EID: "accepted"}),
    "revoked": (lambda value: wire_json.outcomes_from_json(RevokeOutcome, value), {EID: "claimed"}),
    "cancelled": (lambda value: wire_json.outcomes_from_json(CancelOutcome, value), {EID: "signalled"}),
    "error": (wire_json.error_from_json, ERROR),
}


@budget(2500, long=40_000)
@given(data=st.data(), name=st.sampled_from(sorted(READERS)))
def test_a_crooked_message_is_understood_or_garbled(data: st.DataObject, name: str, figures: Counter[str]) -> None:
    read, good = READERS[name]
    value = data.draw(st.one_of(crooked([good]), JSONS))
    with bounded(figures):
        only((SourceError,), lambda: read(value))


class Wire:
    """A stream that says what it is given, in pieces of any size, and then ends."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = list(pieces)

    async def read(self, size: int) -> bytes:
        await asyncio.sleep(0)
        return self._pieces.pop(0) if self._pieces else b""

    async def write(self, data: bytes) -> None:
        pass

    async def last_words(self) -> str:
        return ""

    async def aclose(self) -> None:
        pass


async def talk(pieces: list[bytes]) -> None:
    """Hello, one question, and all that is pushed: each ends, by an answer or by an error of ours."""
    session = LineSession(Wire(pieces))
    greeting = Greeting(instance=InstanceId("aaaa"), root="/r", slots=1, gpus=(), ruler=NEWCOMER)
    try:
        async with asyncio.timeout(20):
            await session.begin(b"", greeting, timeout_s=10.0)
            await session.ask(Request(op="probe", body={}, timeout_s=10.0))
            async for page in session.pushes():
                assert page
    except (LinkError, SourceError):
        pass
    finally:
        await session.aclose()
        reading = session._reading
        assert reading is not None
        assert reading.done()
        assert reading.cancelled() or reading.exception() is None, reading.exception()


def line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


TALK = [
    line({"id": 1, "ok": HELLO}),
    line({"id": 2, "ok": PROBE}),
    line({"push": "found", "found": {EID: FOUND}}),
    line({"id": 2, "error": ERROR}),
    line({"id": 1, "ok": HELLO}) + line({"push": "found", "found": {EID: FOUND}}) + line({"id": 2, "ok": PROBE}),
]


@budget(900, long=15_000)
@given(text=mutated(TALK), cuts=st.lists(st.integers(0, 2000), max_size=4), greet=st.booleans())
@example(text=b"[" * 100_000 + b"\n", cuts=[], greet=True)
@example(text=b'{"push": "found", "found": {"g": 1e999}}\n', cuts=[3], greet=True)
def test_a_session_fed_garbage_ends_and_leaves_nobody_waiting(
    text: bytes, cuts: list[int], greet: bool, figures: Counter[str]
) -> None:
    whole = (TALK[0] if greet else b"") + text
    ends = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    pieces = [whole[begin:end] for begin, end in itertools.pairwise(ends)]
    with bounded(figures):
        asyncio.run(talk([piece for piece in pieces if piece]))


ACTIONS = [
    {"id": "r1", "verb": "retry", "arguments": {"sweep": "s", "tasks": ["ab"]}, "at": 1.0, "by": "me"},
    {"id": "r1", "verb": "approve", "arguments": {"plan": "x"}, "at": 1, "by": "me"},
    {"id": "r1", "verb": "reconcile", "arguments": {"repin": True}, "at": 1, "by": "me"},
]


@budget(500, long=8_000)
@given(
    text=st.one_of(crooked(ACTIONS).map(lambda value: json.dumps(value).encode()), mutated(list(map(line, ACTIONS))))
)
@example(text=json.dumps({**ACTIONS[0], "at": 10**400}).encode())
@example(text=json.dumps({**ACTIONS[0], "at": float("nan")}).encode())
def test_a_crooked_request_is_read_or_laid_aside(text: bytes, figures: Counter[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="q-") as folder, bounded(figures):
        state = Path(folder)
        requests.directory(state).mkdir(parents=True)
        (requests.directory(state) / "r1.json").write_bytes(text)
        pending = requests.pending(state)
        aside = list((state / "requests").glob("bad/r1.json"))
        assert len(pending) + len(aside) == 1
        assert all(action.at == action.at for action in pending), "what is not a number has no order"


def test_the_fake_agent_of_these_tests_speaks_as_the_readers_want_it() -> None:
    assert FakeAgent().hello.epoch == only((ReconcilerError,), lambda: FakeAgent().hello).epoch
