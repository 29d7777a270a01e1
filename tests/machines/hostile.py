"""Hostile input: good files torn, spliced and mistreated; JSON that nobody writes; and how long reading may take."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from reconciler.core.model import Eid

CPU_S = 5.0  # of one small input, which takes milliseconds: only work without bounds comes near
FIGURE = "hostile inputs"

EID = Eid("gaaaa" + "b" * 10)
SPEC = {"eid": EID, "sweep": "s", "task": "t", "attempt": 1, "argv": ["x"], "environment": {"A": "b"}, "setup": []}
SPEC |= {
    "parameters": {"x": 1},
    "cwd": "/w",
    "checkpoint": "c",
    "walltime_s": 5,
    "gpus": 0,
    "digest": "d",
    "grace_s": 1.0,
}

NASTY = [
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\r\n",
    b"\r",
    b"\t",
    b"\x85",
    "\u2028".encode(),
    "\ufffe".encode(),
    b"\xed\xa0\x80",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!python/object:os.system ",
    b"!",
    b"%TAG ! tag:x,2000:\n---\n",
    b"%YAML 9.9\n---\n",
    b"---\n",
    b"...\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[" * 50,
    b"{a: " * 50,
    b"- " * 40,
    b"? ",
    b": ",
    b"|",
    b">",
    b"'",
    b'"',
    b"#",
    b"$(",
    b"$$(",
    b")",
    b"$(x)",
    b"$(output)",
    b"\\u0000",
    b"\\ud800",
    b"0x" + b"f" * 298,
    b"9" * 299,
    b"1e308",
    b"-1e308",
    b"5e-324",
    b"1e999",
    b".nan",
    b"-.inf",
    b"NaN",
    b"Infinity",
    b"010",
    b"0o17",
    b"1:30",
    b"yes",
    b"null",
    b"~",
    b"",
    b"1e-3",
    b"-0",
    b"-0.0",
    b"9999999999999999999",
    b"99999999d",
    b"4Gi",
    b"50%",
    b"{range: {start: 0, stop: 1e300, step: 1e-300}}",
    b"{distribution: uniform, min: -1e308, max: 1e308}",
    b"{distribution: normal, mean: 1e308, stddev: 1e308}",
    b"{distribution: uniform, min: 0, max: 1, step: 5e-324}",
    b"{logspace: {start: 5e-324, stop: 1.7e308, num: 3}}",
    b"{linspace: {start: -1.7e308, stop: 1.7e308, num: 5}}",
    b"samples: 3",
    b"replicates: 1000000000",
    b"x" * 3000,
]

PIECES = st.one_of(st.sampled_from(NASTY), st.binary(max_size=6))


@st.composite
def mutated(draw: st.DrawFn, corpus: Sequence[bytes]) -> bytes:
    """One of the corpus after a few accidents."""
    text = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 30)))
        match draw(st.sampled_from(["insert", "replace", "cut", "double", "splice", "line"])):
            case "insert":
                text = text[:at] + draw(PIECES) + text[at:]
            case "replace":
                text = text[:at] + draw(PIECES) + text[end:]
            case "cut":
                text = text[:at]
            case "double":
                text = text[:end] + text[at:end] * draw(st.integers(1, 20)) + text[end:]
            case "splice":
                other = draw(st.sampled_from(corpus))
                text = text[:at] + other[draw(st.integers(0, len(other))) :]
            case _:  # the value at the end of a line
                lines = text.split(b"\n")
                line = draw(st.integers(0, len(lines) - 1))
                name, colon, _ = lines[line].partition(b":")
                lines[line] = name + colon + b" " + draw(PIECES)
                text = b"\n".join(lines)
    return text


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**30, 10**299, 16**298, 10**400]),
    st.sampled_from([0.0, -0.0, 0.5, 1e-300, 5e-324, 1.7e308, -1.7e308, float("nan"), float("inf"), float("-inf")]),
    st.sampled_from(
        ["", "1", "started", "held", "x" * 5000, "\0", "\ud800", "\udcff", "$(x)", "\x1b[2J", "../../etc", "g" * 15]
    ),
    st.text(max_size=8),
)
JSONS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def crooked(draw: st.DrawFn, good: Sequence[Any]) -> Any:
    """One of the good JSON values with a few of its parts replaced, dropped, or joined by others."""
    value = json.loads(json.dumps(draw(st.sampled_from(good))))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            return draw(JSONS)
        holder, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "replace", "drop", "more", "wrap"])):
            case "replace":
                holder[key] = draw(JSONS)
            case "drop":
                del holder[key]
            case "more" if isinstance(holder, dict):
                holder[draw(st.text(max_size=5))] = draw(JSONS)
            case "more":
                holder.extend(draw(st.lists(JSONS, max_size=3)))
            case _:
                holder[key] = [holder[key]]
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each (container, key or index) inside."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


@contextmanager
def bounded(figures: Counter[str], *, seconds: float = CPU_S) -> Iterator[None]:
    """What happens inside counts as one input, and takes no more than so much of a processor."""
    before = time.process_time()
    yield
    figures[FIGURE] += 1
    spent = time.process_time() - before
    assert spent < seconds, f"took {spent:.1f} s of a processor"


def only(errors: tuple[type[Exception], ...], work: Callable[[], object]) -> object | None:
    """What it returns; None when it raises what it says that it raises. Everything else goes through."""
    try:
        return work()
    except errors:
        return None
