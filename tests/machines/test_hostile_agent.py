"""The agent fed garbage: it refuses and goes on, or ends as if its input had ended; it never dies of it."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

from hostile import EID, JSONS, SPEC, bounded, crooked, mutated, only
from hypothesis import example, given
from hypothesis import strategies as st
from machine_budget import budget

from reconciler.agent import shapes
from reconciler.agent.channel import Channel

CLAIM = {
    "kind": "started",
    "eid": EID,
    "host": "h",
    "machine": "m",
    "boot": "b",
    "at": 1.0,
    "nonce": "n",
    "digest": "d",
}
CLAIM |= {"job": "7", "pid": 7, "start": 3, "lock": {"path": "/l", "dev": 1, "ino": 2}, "gpus": [0]}
READERS: dict[str, tuple[Any, Any]] = {
    "spec": (shapes.spec_of, SPEC),
    "order": (shapes.order_of, {"spec": SPEC, "gpus": [0]}),
    "claim": (shapes.claim_of, CLAIM),
    "eids": (lambda value: shapes.eids_of(shapes.object_of(value, "a request")), {"eids": [EID]}),
    "commit": (lambda value: shapes.commit_of(shapes.object_of(value, "a request"), "commit"), {"commit": "a" * 40}),
    "folder": (lambda value: shapes.absolute(shapes.object_of(value, "a request"), "git_dir"), {"git_dir": "/g"}),
    "name": (lambda value: shapes.name_of(shapes.object_of(value, "a request"), "project"), {"project": "self"}),
}
LINES = [
    json.dumps({"id": 1, "op": "start", "epoch": 1, "attempts": [SPEC]}).encode() + b"\n",
    b'{"id": 2}\n{"id": 3}\n',
]


@budget(1500, long=25_000)
@given(data=st.data(), name=st.sampled_from(sorted(READERS)))
def test_a_crooked_request_is_understood_or_refused(data: st.DataObject, name: str, figures: Counter[str]) -> None:
    read, good = READERS[name]
    value = data.draw(st.one_of(crooked([good]), JSONS))
    with bounded(figures):
        only((shapes.Refusal,), lambda: read(value))


@budget(700, long=12_000)
@given(text=mutated(LINES))
@example(text=b"[" * 100_000 + b"\n")
def test_a_channel_fed_garbage_gives_requests_or_closes(text: bytes, figures: Counter[str]) -> None:
    source, feed = os.pipe()
    drain, sink = os.pipe()
    os.set_blocking(feed, False)
    try:
        channel = Channel(source, sink)
        with bounded(figures):
            while text and not channel.closed:
                text = text[os.write(feed, text) :]
                heard = channel.read()
                assert not (channel.closed and heard)
    finally:
        for descriptor in (source, feed, drain, sink):
            os.close(descriptor)
