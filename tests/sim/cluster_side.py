"""A source with an array scheduler: the cluster, its login nodes, what goes wrong there, and the truth about it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from reconciler.core.model import Eid, HostIdentity, SourceName
from reconciler.core.settings import SourceConfig
from reconciler.core.wire import AttemptSpec, ClaimKind
from reconciler.dialects.base import Limits
from tests.sim.cluster import Scheduler
from tests.sim.cluster_faults import ClusterFaults
from tests.sim.cluster_jobs import Down, Element, Manner, Node, Rejected, Start
from tests.sim.cluster_link import ClusterDialect, ClusterLink, ClusterSession
from tests.sim.cluster_root import Batch, Root
from tests.sim.cluster_shim import Other, Shim, Site
from tests.sim.farside import Fault
from tests.sim.process import Weather

if TYPE_CHECKING:
    from tests.sim.machine import Machine
    from tests.sim.world import World

LOGIN_NODES = ("login1", "login2")


@dataclass
class Trouble:
    """Chances of what goes wrong, each between 0 and 1. Some are there all the time, others for a while."""

    fragile: float = 0.0  # an agent dies at one of its steps
    request_late: float = 0.0
    reply_lost: float = 0.0
    sbatch_unknown: float = 0.0  # it exits 1 after a time-out; the job comes then, minutes later, or never
    listing_fails: float = 0.0
    listing_empty: float = 0.0
    listing_partial: float = 0.0
    odd_states: float = 0.0


USUAL = Trouble(
    fragile=0.01, request_late=0.05, reply_lost=0.05, sbatch_unknown=0.1, listing_fails=0.1, listing_empty=0.05,
    listing_partial=0.03, odd_states=0.02,
)  # fmt: skip
"""What a bad place suffers all the time."""


def _usual(dice: random.Random) -> Trouble:
    return Trouble(**{name: rate * dice.choice((0.0, 0.0, 1.0, 2.0)) for name, rate in asdict(USUAL).items()})


class ClusterSide:
    """See `FarSide`."""

    def __init__(self, world: World, name: str, manner: Manner) -> None:
        self.world = world
        self.dice = dice = random.Random(world.dice.getrandbits(64))
        nodes = [Node(f"{name}-n{number}", dice.choice((1, 2, 4))) for number in range(dice.choice((2, 3, 5)))]
        slots = dice.choice((3, 6, 12))
        self.config = SourceConfig(
            name=SourceName(name), scheduler=manner.name, slots=slots, root=f"/scratch/me/{name}"
        )
        self.scheduler = Scheduler(manner, nodes, dice, lambda: world.loop.now, self.later)
        self.scheduler.show_lag_s = dice.choice((0.0, 0.0, 5.0, 30.0))
        self.scheduler.account_lag_s = dice.choice((0.0, 1.0, 59.0))
        self.root = Root(now=lambda: world.loop.now, dice=dice, lag_s=dice.choice((0.0, 0.0, 3.0, 60.0)))
        self.usual = _usual(dice)
        self.trouble = replace(self.usual)
        self.weather = Weather(dice, dice.choice((0.005, 0.03, 0.2)), world.happened)
        self.pushes = dice.random() < 0.5
        self.skews = {host: dice.uniform(-60, 60) for host in (*LOGIN_NODES, *(node.name for node in nodes))}
        self.boots = dict.fromkeys(LOGIN_NODES, 1)
        self.limits = Limits(
            batch_max=dice.choice((1, 3, 100)), inspect_max=100, settle_s=180.0, poll_s=dice.choice((5.0, 30.0))
        )
        self.site = Site(
            name=name,
            root=self.root,
            oracle=world.oracle,
            habits=world.programs.habits,
            dice=dice,
            now=lambda: world.loop.now,
            wall=self.wall,
            later=self.later,
            skew_s=self.skews,
            count=world.count_fault,
        )
        self.sessions: list[ClusterSession] = []
        self.ill = ClusterFaults(self)
        self.told: set[Eid] = set()
        self.healed = False

    # -- what the world asks for

    def dialect(self) -> ClusterDialect:
        return ClusterDialect(self.limits)

    def link(self, host: Machine) -> ClusterLink:
        return ClusterLink(self)

    def faults(self) -> Sequence[Fault]:
        return self.ill.faults()

    def spare(self, spared: bool) -> None:
        """See `FarSide`."""
        self.trouble = Trouble() if spared else replace(self.usual)
        if spared:
            self._reach()

    def _reach(self) -> None:
        self.weather.down = self.weather.black_hole = False
        self.weather.slow_s = 0.0

    def heal(self) -> None:
        self.healed = True
        self.trouble = Trouble()
        self._reach()
        self.root.full, self.root.lag_s = False, 0.0
        self.site.habits.length_s = min(self.site.habits.length_s, 20.0)  # so that the end is not far
        for element in list(self.scheduler.living("me")) + list(self.scheduler.living("you")):
            if element.script == self.other:  # strangers may have queued for days
                self.scheduler.cancel_by_hand(element)
        self.scheduler.heal()
        for node in self.scheduler.nodes:
            for start in node.running:
                if isinstance(start.run, Shim):
                    start.run.let_end()

    def is_dead(self, eid: str) -> bool:
        """See `FarSide`: it is claimed, it will never leave a record, and no start of it is left on any node."""
        folder, truth = self.root.folders.get(Eid(eid)), self.world.oracle.truths.get(eid)
        if folder is None or folder.claim is None or folder.exit is not None:
            return False
        runs = (start.run for node in self.scheduler.nodes for start in node.running)
        if any(isinstance(run, Shim) and run.eid == eid for run in runs):
            return False
        return truth is None or not truth.family

    def close(self) -> None:
        for session in self.sessions:
            session.agent.kill()

    # -- the cluster

    def later(self, delay: float, call: Callable[[], None]) -> object:
        """Something that happens there by itself."""
        return self.world.loop.kernel.call_later(delay, call)

    def wall(self) -> float:
        """The right time."""
        return self.world.home.epoch + self.world.loop.now

    def login_node(self) -> HostIdentity:
        """Where a new session leads to."""
        host = self.dice.choice(LOGIN_NODES)
        return HostIdentity(host=host, machine=f"m-{host}", boot=f"{host}-{self.boots[host]}")

    def opened(self, session: ClusterSession) -> None:
        self.sessions = [each for each in self.sessions if each.agent.alive]
        self.sessions.append(session)

    def command_s(self) -> float:
        """How long a command takes."""
        return self.dice.choice((0.01, 0.05, 1.0)) * self.dice.random()

    def job_name(self, beid: Eid) -> str:
        return f"sweep.{beid}"

    def sbatch(self, beid: Eid, batch: Batch, specs: Sequence[AttemptSpec], done: asyncio.Future[int | None]) -> None:
        """A child of the agent's, which does not mind when that dies. `done`: its id, None when nobody can tell."""
        walls = [spec.walltime_s for spec in specs]
        walltime_s = None if None in walls else float(max(wall for wall in walls if wall is not None))

        self._tell(batch.eids)

        def submit() -> int:
            self.world.happened["submissions"] += 1
            return self.scheduler.submit(self.job_name(beid), len(batch.eids), walltime_s, self.script(batch.eids))

        if self.dice.random() >= self.trouble.sbatch_unknown:
            self.later(self.command_s(), lambda: _answer(done, submit))
            return
        self.world.count_fault("sbatch-timed-out")
        if self.dice.random() < 0.7:  # it arrives after all
            late = self.world.loop.create_future()
            self.later(
                self.dice.choice((1.0, 30.0, 120.0, 120.0, 400.0)) * self.dice.random(), lambda: _answer(late, submit)
            )
        self.later(self.dice.choice((2.0, 10.0)), lambda: _answer(done, lambda: None))

    def _tell(self, eids: Sequence[Eid]) -> None:
        """It is told of an attempt once, unless it has certainly refused it, or the state that knew is lost."""
        again = self.told & set(eids)
        if again and not self.world.fate.copied:
            self.world.oracle.violated("I1", f"the scheduler is told once more of {sorted(again)}")
        self.told |= set(eids)

    def script(self, eids: tuple[Eid, ...]) -> Callable[[Start, Callable[[int], None]], Shim]:
        """What the elements of an array run."""
        return lambda start, over: Shim(self.site, eids[start.element.index], start, over)

    def other(self, start: Start, over: Callable[[int], None]) -> Other:
        """What strangers run."""
        return Other(self.site, over)

    def cancelled(self, hit: list[Element]) -> list[Element]:
        """What an agent has cancelled: was it ours, and did anybody want that?"""
        for element in hit:
            batch = self.root.batches.get(Eid(element.name[-15:]))
            if batch is None:
                self.world.oracle.violated("I5", f"a stranger's job {element.name} was cancelled")
                continue
            eid = batch.eids[element.index]
            claim = self.root.folders[eid].claim
            revoked = claim is not None and claim.kind is ClaimKind.REVOKED
            if not revoked and eid not in self.world.oracle.wanted_cancelled:
                self.world.oracle.violated("I5", f"the job of {eid} was cancelled, which nobody wants")
            if eid in self.world.oracle.truths:
                self.world.oracle.truths[eid].told_to_end = True
        return hit

    def reboot(self, host: str) -> None:
        """A login node goes down with its agents."""
        self.boots[host] += 1
        for session in self.sessions:
            if session.hello.identity.host == host:
                session.agent.kill()


def _answer(done: asyncio.Future[int | None], submit: Callable[[], int | None]) -> None:
    """Do it, whoever still listens. A controller that does not answer has perhaps taken it, for all one can tell."""
    try:
        answer = submit()
    except Down:
        answer = None
    except Rejected as error:
        if not done.done():
            done.set_exception(error)
        return
    if not done.done():
        done.set_result(answer)
