"""A `process` source: machines on which the production agent runs, behind a link that fails."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.settings import SourceConfig
from reconciler.dialects.process import ProcessDialect
from tests.sim.farside import Fault
from tests.sim.link import SimLink, Wire
from tests.sim.machine import Machine

if TYPE_CHECKING:
    from tests.sim.world import World


@dataclass
class Weather:
    """How the link to one source is at this moment."""

    dice: random.Random
    typical_s: float
    down: bool = False
    black_hole: bool = False
    slow_s: float = 0.0

    def delay_s(self) -> float:
        return self.typical_s * (0.5 + self.dice.random()) + self.slow_s * self.dice.random()

    def unreachable(self) -> str:
        return "no route to host" if self.down else ""

    def swallows(self) -> bool:
        return self.black_hole


class ProcessSide:
    """See `FarSide`."""

    def __init__(self, world: World, config: SourceConfig, machine: Machine, *, local: bool) -> None:
        self.world = world
        self.config = config
        self.machine = machine
        self.local = local
        self.dice = random.Random(world.dice.getrandbits(64))
        self.weather = Weather(self.dice, 0.0005 if local else self.dice.choice((0.005, 0.03, 0.2)))
        self.wires: list[Wire] = []

    def dialect(self) -> ProcessDialect:
        return ProcessDialect()

    def link(self, host: Machine) -> SimLink:
        return SimLink(lambda: self.machine, self.weather, self.wires, self.dice, local=self.local)

    def faults(self) -> Sequence[Fault]:
        return ()

    def heal(self) -> None:
        pass

    def settle(self) -> None:
        pass
