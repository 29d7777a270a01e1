"""A person at the controls, who can look anywhere: what they say is true, and may come late, or twice.

They vouch that an attempt is dead only where nothing of it lives nor can begin, as the far side itself tells; they
approve the removals that wait, and let failed tasks run again.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconciler import requests
from reconciler.controller.brake import plan_id
from reconciler.core.errors import ReconcilerError
from reconciler.core.model import Json
from reconciler.requests import Action, Verb
from reconciler.store import Reader
from tests.sim.farside import Fault
from tests.sim.oracle import Recorded

if TYPE_CHECKING:
    from tests.sim.world import World

UNRESOLVED_S = 900.0  # so long nobody else has found out: then a person looks


class Operator:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = random.Random(world.dice.getrandbits(64))
        self._ids = itertools.count()
        self._asked: set[str] = set()
        self._dead_since: dict[str, float] = {}

    def faults(self) -> list[Fault]:
        """What people do at any moment."""
        return [
            ("operator-says-dead", 1, self._say_dead),
            ("operator-retries", 0.5, self._retry),
            ("operator-approves", 0.5, self._approve_what_waits),
        ]

    def settle(self) -> None:
        """Now and then when all faults have ended: what stays unresolved for long, and is dead, is told to be so."""
        now = self.world.loop.now
        found = {each.eid: each for each in self._dead()}
        self._dead_since = {eid: self._dead_since.get(eid, now) for eid in found}
        for eid, since in self._dead_since.items():
            if now - since > UNRESOLVED_S:
                self._dead_since[eid] = now
                self._vouch(found[eid])

    def ask(self, verb: Verb, arguments: dict[str, Json], *, once: str = "") -> None:
        """Leave a request for whoever rules; under this name only once."""
        if once in self._asked:
            return
        if once:
            self._asked.add(once)
        world = self.world
        action = Action(id=f"r{next(self._ids)}", verb=verb, at=world.home.now(), by="operator", arguments=arguments)
        requests.submit(world.state.folder, action)
        world.oracle.trace("asked", verb)
        world.nudge()

    def approve(self, plan: str, *, once: bool = False) -> None:
        """Let the removals go ahead that wait under this name."""
        if once and plan in self._asked:
            return
        self.world.state.ledger.desire.approve(self.world.loop.now)
        self.ask(Verb.APPROVE, {"plan": plan}, once=plan if once else "")

    # -- who is dead

    def _dead(self) -> Iterator[Recorded]:
        """What the state takes for running, and what certainly neither lives nor will."""
        for each in self.world.state.ledger.attempts.values():
            side = self.world.far_sides.get(each.source)
            if each.phase == "running" and each.open and side is not None and side.is_dead(each.eid):
                yield each

    def _vouch(self, dead: Recorded) -> None:
        self.world.count_fault("assumed-dead")
        self.ask(Verb.RETRY, {"sweep": dead.sweep, "tasks": [dead.task], "assumeDead": [dead.number]})

    def _say_dead(self) -> bool:
        found = list(self._dead())
        if not found:
            return False
        self._vouch(self.dice.choice(found))
        return True

    # -- what else people do

    def _retry(self) -> bool:
        names = sorted({each.sweep for each in self.world.state.ledger.attempts.values()})
        if not names:
            return False
        self.ask(Verb.RETRY, {"sweep": self.dice.choice(names)})
        return True

    def _approve_what_waits(self) -> bool:
        try:
            reader = Reader.open(self.world.state.folder)
        except ReconcilerError:  # there is no state yet
            return False
        try:
            plan = plan_id((row.name, row.frozen) for row in reader.sweeps())
        finally:
            reader.close()
        if plan:
            self.approve(plan)
        return bool(plan)
