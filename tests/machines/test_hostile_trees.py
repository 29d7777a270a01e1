"""Whatever an agent says of a folder: a value, or that it is not understood."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hostile import bounded, crooked, only
from hypothesis import given
from hypothesis import strategies as st
from machine_budget import budget

from reconciler.core import wire_trees
from reconciler.core.errors import Garbled
from reconciler.core.wire import Reply

FILE = {"name": "a", "kind": "-", "sha": "a" * 64, "size": 1}
CHECKOUT = {
    "path": "/c",
    "head": "1" * 40,
    "branch": "main",
    "operation": "",
    "changed": [{**FILE, "what": "modified", "staged": False}],
    "changed_more": 0,
    "untracked": ["u"],
    "untracked_more": 0,
    "ahead": None,
    "behind": 1,
    "seal": "",
    "unfinished": False,
    "seen": [FILE],
}
TREE = {"path": "/t", "hash": "a" * 64, "files": [FILE], "seal": "", "unfinished": False}
READERS: dict[str, tuple[Any, Any]] = {
    "checkout": (wire_trees.checkout("/c"), CHECKOUT),
    "tree": (wire_trees.tree("/t"), TREE),
    "contents": (wire_trees.contents("/c", "a", 0), {"data": "YQ==", "size": 1}),
    "stage": (wire_trees.stage("/c", "p", "a" * 64, 0, b""), {"size": 1}),
    "push": (wire_trees.push("/c", "p", None, []), {"finished": "", "backup": "/b", "left": ["a"]}),
}


@budget(800, long=20_000)
@given(data=st.data(), name=st.sampled_from(sorted(READERS)))
def test_a_crooked_answer_is_understood_or_garbled(data: st.DataObject, name: str, figures: Counter[str]) -> None:
    exchange, good = READERS[name]
    value = data.draw(crooked([good]))
    if isinstance(value, dict):  # a session gives nothing else on
        with bounded(figures):
            only((Garbled,), lambda: exchange.parse(Reply(body=value)))
