"""Every reason word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Reason(NamedTuple):
    """What a reason word means, in a paragraph, and what to do about it ("" = nothing)."""

    meaning: str
    action: str


REASONS: Mapping[str, Reason] = {}
