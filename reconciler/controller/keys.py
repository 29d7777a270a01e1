"""What the work queue holds: what to look at, never what happened."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.core.model import SweepName
from reconciler.telemetry import KeyKind


class Key(NamedTuple):
    """One thing to look at. `name` is the sweep's, for a sweep."""

    kind: KeyKind
    name: str = ""


REPOSITORY = Key(KeyKind.REPOSITORY)
DISPATCH = Key(KeyKind.DISPATCH)
REQUESTS = Key(KeyKind.REQUESTS)


def sweep_key(name: SweepName) -> Key:
    return Key(KeyKind.SWEEP, name)
