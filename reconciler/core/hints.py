"""What a person most likely meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

_MOST_WORDS = 1_000  # beside them, and among longer words, looking for the nearest one takes long and helps nobody
_MOST_LETTERS = 200


def nearest(word: str, known: Iterable[str]) -> str:
    """ "Did you mean …?" with the nearest of the known words; else the known words; "" when there are none."""
    words = list(islice(known, _MOST_WORDS))
    by_lower = {each.lower(): each for each in words if len(each) <= _MOST_LETTERS >= len(word)}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{by_lower[close[0]]}`?"
    return f"known are: {', '.join(words[:20])}" if words else ""
