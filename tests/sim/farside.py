"""What a simulated source is to the world: the interface that `process` and array schedulers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from reconciler.core.settings import SourceConfig
from reconciler.dialects.base import Dialect
from reconciler.links.base import Link

if TYPE_CHECKING:
    from tests.sim.machine import Machine

Fault = tuple[str, float, Callable[[], object]]
"""A name to count it by, how often relative to others, and what does it (once, now; it may schedule its own end)."""


class FarSide(Protocol):
    """One source of the configuration, and the truth about it.

    It tells the oracle (`Oracle.started`, `ended`, `gone`, `signalled`, `removed`) whatever really happens, and keeps
    its own dice, `random.Random(world.dice.getrandbits(64))`, so that it changes nobody else's.

    config   the source as the operator writes it; all daemons of a world have the same
    dialect  what a daemon speaks to it; production code
    link     a new link for a daemon that runs on this host; its sessions behave as `LineSession` does
    faults   what may go wrong here; the world chooses among all faults of all far sides
    spare    whether its faults pause, and it can be reached: a promise may need that for a while
    heal     the end of all faults: everything is up, reachable and quick again. Called once
    is_dead  whether certainly nothing of an attempt lives here, nor ever will: what a person may vouch for
    close    the end of the world: what still runs is dropped
    """

    config: SourceConfig

    def dialect(self) -> Dialect: ...

    def link(self, host: Machine) -> Link: ...

    def faults(self) -> Sequence[Fault]: ...

    def spare(self, spared: bool) -> None: ...

    def heal(self) -> None: ...

    def is_dead(self, eid: str) -> bool: ...

    def close(self) -> None: ...
