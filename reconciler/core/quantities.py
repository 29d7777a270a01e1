"""Quantities as people write them: durations and amounts of memory, with their units always written."""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

_UNITS_S: dict[str, int] = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_UNIT_DURATION = re.compile(
    r"(?:(?P<d>\d{1,6}(?:\.\d{1,6})?)d)?(?:(?P<h>\d{1,6}(?:\.\d{1,6})?)h)?"
    r"(?:(?P<m>\d{1,6}(?:\.\d{1,6})?)m)?(?:(?P<s>\d{1,9}(?:\.\d{1,6})?)s)?",
    re.ASCII,
)
_CLOCK_DURATION = re.compile(r"(?:(?P<d>\d{1,4})-)?(?P<h>\d{1,5}):(?P<m>[0-5]\d):(?P<s>[0-5]\d)", re.ASCII)
_MEMORY = re.compile(r"(?P<number>\d{1,15}(?:\.\d{1,9})?)\s?(?P<unit>[KMGTP]i?)B?", re.ASCII)
_MEMORY_BYTES: dict[str, int] = {
    letter + binary: int(base**power)
    for power, letter in enumerate("KMGTP", start=1)
    for binary, base in (("", 1000), ("i", 1024))
}
_MIB = 1024**2


def parse_duration_s(text: str) -> int:
    """Seconds, rounded up, of "30s", "10m", "1h30m", "2d", "HH:MM:SS" or "D-HH:MM:SS".

    Raises ValueError, whose text says what to write; also for zero, and for a bare number: schedulers disagree whether
    it means seconds or minutes.
    """
    match = _CLOCK_DURATION.fullmatch(text) or _UNIT_DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"`{text}` is not a duration: write 30s, 10m, 1h30m, 2d or HH:MM:SS")
    seconds = sum(Fraction(amount) * _UNITS_S[unit] for unit, amount in match.groupdict().items() if amount)
    if seconds <= 0:
        raise ValueError(f"`{text}` is no time at all")
    return ceil(seconds)


def parse_memory_mib(text: str) -> int:
    """MiB, rounded up, of "4Gi", "512Mi", "1.5Ti" (powers of 1024) or "2G", "500MB" (powers of 1000).

    Raises ValueError, whose text says what to write; also for zero, and for a bare number, about which
    schedulers disagree.
    """
    match = _MEMORY.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is not an amount of memory: write 512Mi or 4Gi")
    mebibytes = ceil(Fraction(match["number"]) * _MEMORY_BYTES[match["unit"]] / _MIB)
    if mebibytes == 0:
        raise ValueError(f"`{text}` is no memory at all")
    return mebibytes
