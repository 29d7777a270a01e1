"""What a person most likely meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str:
    """ "Did you mean …?" with the nearest of the known words; else the known words; "" when there are none."""
    words = list(known)
    by_lower = {each.lower(): each for each in words}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{by_lower[close[0]]}`?"
    return f"known are: {', '.join(words[:20])}" if words else ""
