"""What goes wrong on a cluster: on its login nodes, in its scheduler, on its nodes, and between people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tests.sim.cluster_jobs import Down, Element, Node, Rejected, State
from tests.sim.farside import Fault

if TYPE_CHECKING:
    from tests.sim.cluster_side import ClusterSide

FOR_S = (5.0, 60.0, 60.0, 300.0, 900.0)  # how long what ends by itself may last
CHANCES = (0.1, 0.3, 1.0)


class ClusterFaults:
    """Each is a call that does it once, now; most end by themselves."""

    def __init__(self, side: ClusterSide) -> None:
        self.side = side
        self.dice = side.dice

    def faults(self) -> Sequence[Fault]:
        side, scheduler = self.side, self.side.scheduler
        found: list[Fault] = [
            ("agent-killed", 3, self._kill_agents),
            ("login-node-rebooted", 1, self._reboot),
            ("link-cut", 4, self._cut),
            ("link-down", 2, lambda: self._for_a_while(side.weather, "down", True, False)),
            ("black-hole", 1, lambda: self._for_a_while(side.weather, "black_hole", True, False)),
            ("link-slow", 1, lambda: self._for_a_while(side.weather, "slow_s", self._any((1.0, 8.0, 45.0)))),
            *(
                (f"trouble-{name}", weight, lambda name=name: self._chance(name))
                for name, weight in {
                    "fragile": 3, "request_late": 2, "reply_lost": 2, "sbatch_unknown": 4, "listing_fails": 2,
                    "listing_empty": 3, "listing_partial": 2, "odd_states": 1,
                }.items()
            ),
            ("listing-late", 2, lambda: self._for_a_while(scheduler, "show_lag_s", self._any((5.0, 60.0, 170.0)))),
            ("files-late", 2, lambda: self._for_a_while(side.root, "lag_s", self._any((3.0, 60.0)))),
            ("source-disk-full", 1, lambda: self._for_a_while(side.root, "full", True, False)),
            ("queue-refuses", 1, self._refuse),
            ("queue-drained", 1, lambda: self._for_a_while(scheduler, "draining", True, False)),
            ("controller-killed", 4, self._crash),
            ("node-power-lost", 3, lambda: self._node(scheduler.lose_power)),
            ("node-cut-off", 3, lambda: self._node(scheduler.cut_off)),
            ("nodes-unfit", 2, self._spoil),
            ("job-cancelled-by-hand", 2, lambda: self._job(scheduler.cancel_by_hand)),
            ("job-preempted", 2, lambda: self._job(scheduler.preempt)),
            ("job-out-of-memory", 2, lambda: self._job(scheduler.out_of_memory)),
            ("job-held", 1, lambda: self._job(self._hold)),
            ("job-copied-by-hand", 1, lambda: self._job(self._copy)),
            ("strangers", 2, self._strangers),
        ]  # fmt: skip
        if scheduler.manner.accounting:
            late = (20.0, 59.0)
            found += [
                ("accounting-down", 2, lambda: self._for_a_while(scheduler, "accounting_up", False, True)),
                ("accounting-late", 2, lambda: self._for_a_while(scheduler, "account_lag_s", self._any(late))),
            ]
        return found

    # -- links and login nodes

    def _kill_agents(self) -> bool:
        alive = [session for session in self.side.sessions if session.agent.alive]
        for session in alive:
            session.agent.kill()
        return bool(alive)

    def _reboot(self) -> None:
        self.side.reboot(self.dice.choice(sorted(self.side.boots)))

    def _cut(self) -> bool:
        alive = [session for session in self.side.sessions if session.open and session.agent.alive]
        for session in alive:
            session.owner.call_soon(session.end, "SessionEnded", "the connection was cut")
        return bool(alive)

    # -- the scheduler

    def _crash(self) -> bool:
        if not self.side.scheduler.up:
            return False
        lost = self.side.scheduler.crash(self._any((1.0, 20.0, 200.0)) * self.dice.random())
        if lost:
            self.side.world.happened["jobs-lost-by-the-controller"] += lost
        return True

    def _refuse(self) -> None:
        rejected = self.dice.choice((Rejected("job submit limit", later=True), Rejected("no such queue", later=False)))
        self._for_a_while(self.side.scheduler, "refusing", rejected, None)

    def _strangers(self) -> bool:
        """Others submit, in the same queue, some under the same account, with names that look like ours."""
        if not self.side.scheduler.up:
            return False
        name = self.dice.choice(("train", "sweep", "sweep.gzzzz2345672345", "sweep.bzzzz2345672345"))
        user = self.dice.choice(("me", "you"))
        try:
            self.side.scheduler.submit(name, self.dice.randint(1, 3), None, self.side.other, user=user)
        except Rejected:
            return False
        return True

    # -- nodes and jobs

    def _node(self, what: Callable[[Node, float], bool]) -> bool:
        return what(self.dice.choice(self.side.scheduler.nodes), self._any((20.0, 200.0, 900.0, 3000.0)))

    def _spoil(self) -> None:
        """One node, or all of them, cannot start what we submit."""
        nodes = self.side.scheduler.nodes
        for node in self.dice.choice((nodes, [self.dice.choice(nodes)])):
            self._for_a_while(node, "unfit", True, False)

    def _job(self, what: Callable[[Element], object]) -> bool:
        ours = [each for each in self.side.scheduler.living("me") if each.name.startswith("sweep.b")]
        ours = [each for each in ours if each.name[-15:] in self.side.root.batches]
        if not ours:
            return False
        chosen = self.dice.sample(ours, min(len(ours), self.dice.choice((1, 1, 50))))
        return [what(element) is not False for element in chosen].count(True) > 0

    def _hold(self, element: Element) -> bool:
        if element.state is not State.PENDING:
            return False
        element.held = True
        self.side.later(self._a_while(), lambda: setattr(element, "held", False))
        return True

    def _copy(self, element: Element) -> bool:
        """A person submits our script once more, with its name."""
        batch = self.side.root.batches[element.name[-15:]]
        try:
            self.side.scheduler.submit(element.name, len(batch.eids), element.walltime_s, self.side.script(batch.eids))
        except (Down, Rejected):
            return False
        return True

    # -- for a while

    def _any(self, choices: Sequence[float]) -> float:
        return self.dice.choice(choices)

    def _a_while(self) -> float:
        return self._any(FOR_S) * (0.2 + self.dice.random())

    def _chance(self, name: str) -> None:
        chance = self._any(CHANCES) * (0.2 if name == "fragile" else 1.0)
        self._for_a_while(self.side.trouble, name, chance, getattr(self.side.usual, name))

    def _for_a_while(self, thing: object, name: str, value: object, normal: object = 0.0) -> None:
        """Until then, unless everything was healed before."""
        setattr(thing, name, value)
        self.side.later(self._a_while(), lambda: None if self.side.healed else setattr(thing, name, normal))
