"""What happens to daemons, their disks and their clocks: when they die, who starts them again, and who else rules.

How much of it, and of what, the seed draws: some worlds are calm, some are brutal.
"""

from __future__ import annotations

import random
import sqlite3
from typing import TYPE_CHECKING

from reconciler import crashpoints
from reconciler.sourceloop import SourceLoop
from tests.sim.daemon import Daemon
from tests.sim.disk import State, Trouble
from tests.sim.farside import Fault
from tests.sim.loop import Killed, Process
from tests.sim.recount import recount

if TYPE_CHECKING:
    from tests.sim.world import World

RESTART_S = (0.1, 0.5, 2.0, 5.0, 30.0, 300.0)
NEVER = float("inf")
LIVES = (
    ((NEVER, 1.0),),
    ((60.0, 1.0),),
    ((40.0, 4.0), (400.0, 1.0)),
    ((20.0, 9.0), (300.0, 1.0)),
    ((12.0, 9.0), (200.0, 1.0)),
    ((10.0, 1.0), (40.0, 1.0)),
)
LONG_LIVES = (  # what takes minutes to be believed needs daemons that live as long; between them they die in storms
    ((NEVER, 1.0),),
    ((1500.0, 1.0), (15.0, 15.0)),
    ((1000.0, 1.0), (15.0, 30.0)),
    ((600.0, 1.0), (15.0, 20.0)),
    ((300.0, 1.0), (12.0, 12.0)),
    ((100.0, 1.0), (12.0, 3.0)),
)
"""How long daemons live, in steps of their own: the mean of each kind of life, and how often it is drawn."""
STARTED = ("running", "succeeded", "failed", "lost")
LULLS_S = (300.0, 900.0)  # what takes minutes to be believed may come to be so: nobody dies, nothing new goes wrong
BETWEEN_LULLS_S = 1500.0
RECOUNTS = 0.1  # of deaths, those after which the store is counted anew


class Disk(Trouble):
    """A disk that fails: with chances drawn by the fate."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.full = False
        self.broken = 0.0

    def at_commit(self) -> None:
        if self.broken and self.dice.random() < self.broken:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error


class Fate:
    """Of all daemons of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = dice = random.Random(world.dice.getrandbits(64))
        self.healed = False
        self.unasked: set[str] = set()  # sources that a state which was copied has not asked so far what lies there
        self.lives = dice.choice(LONG_LIVES if world.scheduled else LIVES)
        self.at_point = dice.choice((0.0, 0.3, 0.6))  # of all kills, those at a crash point
        self.seconds_between_faults = dice.choice((NEVER, 200.0, 60.0, 20.0, 6.0))
        self.weights = {name: dice.choice((0.0, 0.3, 1.0, 1.0, 4.0)) for name, _, _ in self._all()}
        self.backups: list[State] = []
        self.usurped: list[Daemon] = []
        self.home_down = False
        self.lull_until = 0.0
        self.next_lull_at = dice.expovariate(1 / BETWEEN_LULLS_S)
        self.copied = False  # some state knows less than was known
        self.quiet = False
        self.dies_at = ""  # the next daemon that passes this crash point dies there
        world.loop.mourners.append(self._mourn)
        world.loop.after_step = self._after_step
        crashpoints.arm(self._at_point)
        self._plan()

    # -- the whole

    def faults(self) -> list[Fault]:
        found: list[Fault] = [
            ("daemon-killed", 2, self._kill_now),
            ("daemon-paused", 2, self._pause),
            ("daemon-host-power-lost", 1, lambda: self._restart_home(power=True)),
            ("daemon-host-rebooted", 0.5, lambda: self._restart_home(power=False)),
            ("state-disk-full", 1, self._fill_disk),
            ("state-disk-broken", 1, self._break_disk),
            ("clock-jumps", 2, self._jump),
            ("second-daemon", 0.5, self._second_daemon),
            ("backup", 1, self._back_up),
        ]
        if not self.unasked:
            found.append(("taken-over", 1, self._take_over))
            found.append(("restored", 0.7, self._restore))
        return found

    def _all(self) -> list[Fault]:
        own = [*self.faults(), *self.world.operator.faults()]
        sides = () if self.unasked else self.world.far_sides.values()
        return [*own, *(fault for side in sides for fault in side.faults())]

    def _plan(self) -> None:
        if self.seconds_between_faults != NEVER:
            delay = self.dice.expovariate(1 / self.seconds_between_faults)
            now = self.world.loop.now
            if self.world.scheduled and now >= self.next_lull_at:
                self.lull_until = now + self.dice.choice(LULLS_S)
                self.next_lull_at = self.lull_until + self.dice.expovariate(1 / BETWEEN_LULLS_S)
                delay += self.lull_until - now
            self.world.loop.kernel.call_later(delay, self._strike)

    def _strike(self) -> None:
        if self.healed or self.quiet:
            return
        for _ in range(self.dice.choice((1, 1, 1, 1, 1, 1, 5))):  # now and then all at once
            faults = [(name, weight * self.weights.get(name, 1.0), call) for name, weight, call in self._all()]
            if sum(weight for _, weight, _ in faults):
                name, _, call = self.dice.choices(faults, [weight for _, weight, _ in faults])[0]
                if call() is not False:
                    self.world.count_fault(name)
        self._plan()

    def calm(self) -> None:
        """Nothing happens by itself, and nobody dies but at `dies_at`."""
        self.quiet = True
        self.lives = LIVES[0]

    def heal(self) -> None:
        """No more of it. Of several rulers only the newest goes on."""
        self.healed = True
        crashpoints.arm(None)
        self.world.home.offset_s = 0.0
        for old in self.usurped:
            old.kill()
        for state in self.world.states:
            if isinstance(state.trouble, Disk):
                state.trouble.full, state.trouble.broken = False, 0.0
        daemon = self.world.ruler
        if daemon is not None and daemon.alive:
            daemon.wake()
            if self.usurped:  # one of them may have fenced it off: "to let this one rule again, restart it"
                daemon.kill()

    def is_known(self, eid: str) -> bool:
        """Whether each state that rules, or may rule once more, keeps for certain that this attempt has started."""
        states = [self.world.state, *self.backups, *(daemon.state for daemon in self.usurped)]
        attempts = [state.ledger.attempts.get(eid) for state in states]
        told = all(each is not None and each.phase in STARTED for each in attempts)
        return told and not any(state.soft for state in states)

    # -- lives and deaths

    def begin(self, daemon: Daemon) -> None:
        """A new daemon: how long will it live?"""
        means, weights = zip(*self.lives, strict=True)
        mean = self.dice.choices(means, weights)[0]
        if self.healed or mean == NEVER:
            return
        if self.dice.random() < self.at_point:
            daemon.crash_in = 1 + int(self.dice.expovariate(4 / mean))
        else:
            daemon.kill_in = 1 + int(self.dice.expovariate(1 / mean))

    def _after_step(self, process: Process) -> None:
        if isinstance(process, Daemon):
            self.world.daemon_steps += 1
            if process.kill_in > 0 and self.world.loop.now >= self.lull_until:
                process.kill_in -= 1
                if process.kill_in == 0 and not self.healed:
                    self.world.count_fault("daemon-killed-at-await")
                    process.kill()

    def _at_point(self, name: str) -> None:
        daemon = self.world.loop.current
        if not isinstance(daemon, Daemon):
            return
        if not daemon.alive:
            raise Killed
        if (daemon.crash_in > 0 and self.world.loop.now >= self.lull_until) or name == self.dies_at:
            daemon.crash_in -= 1
            if daemon.crash_in == 0 or name == self.dies_at:
                self.dies_at = ""
                self.world.count_fault("daemon-killed-at-point")
                self.world.oracle.trace("crash", name)
                daemon.kill()
                raise Killed

    def _mourn(self, process: Process) -> None:
        """A daemon has died: its file is looked into now and then; somebody starts it again."""
        if isinstance(process, Daemon) and self.dice.random() < RECOUNTS and process.state.transactions:
            for sentence in recount(process.state.folder):
                self.world.oracle.violated("I3", sentence)
        if process is self.world.ruler and not self.home_down:
            delay = 1.0 if self.healed else self.dice.choice(RESTART_S) * self.dice.random()
            self.world.loop.kernel.call_later(delay, self._start)

    def _start(self) -> None:
        ruler = self.world.ruler
        if not self.home_down and (ruler is None or not ruler.alive):
            self.world.start_daemon()

    def _kill_now(self) -> bool:
        daemon = self.world.ruler
        if daemon is None or not daemon.alive:
            return False
        daemon.kill()
        return True

    def _pause(self) -> bool:
        daemon = self.world.ruler
        if daemon is None or not daemon.alive:
            return False
        daemon.pause()
        self._in(self.dice.choice((1.0, 30.0, 200.0, 900.0)) * self.dice.random(), daemon.wake)
        return True

    def _restart_home(self, *, power: bool) -> None:
        """The daemon's host goes down with all that runs there, and comes back."""
        world = self.world
        self.home_down = True
        for daemon in world.daemons:
            if daemon.alive and daemon.host is world.home:
                if power:
                    daemon.state.lose_power(daemon, self.dice)
                daemon.kill()
        world.home.crash(power=power)
        world.loop.kernel.call_later(self.dice.choice((5.0, 60.0)) * self.dice.random(), self._home_up)

    def _home_up(self) -> None:
        self.home_down = False
        self._start()

    # -- disks and clocks

    def _fill_disk(self) -> None:
        self._trouble("full", True)

    def _break_disk(self) -> None:
        self._trouble("broken", self.dice.choice((0.05, 0.5, 1.0)))

    def _trouble(self, name: str, value: object) -> None:
        disk = self.world.state.trouble
        setattr(disk, name, value)
        self._in(self.dice.choice((1.0, 20.0, 120.0)) * self.dice.random(), lambda: setattr(disk, name, 0))

    def _jump(self) -> None:
        self.world.home.offset_s += self.dice.choice((-86400.0, -3600.0, -30.0, -1.0, 1.0, 30.0, 3600.0, 86400.0))

    def _in(self, delay: float, call: object) -> None:
        self.world.loop.kernel.call_later(delay, lambda: None if self.healed else call())

    # -- two of them

    def _second_daemon(self) -> bool:
        """Somebody starts another one on the same state: it must refuse."""
        ruler = self.world.ruler
        if ruler is None or not ruler.alive:
            return False
        self.world.start_rival()
        return True

    def _take_over(self) -> bool:
        """A copy of the state goes on while the original is frozen; then the original wakes, and must do no harm."""
        old = self.world.ruler
        if old is None or not old.alive or old.engine is None or len(self.usurped) > 3:
            return False
        old.pause()
        self.usurped.append(old)
        self._rule_by_copy(self.world.state)
        self._in(self.dice.choice((1.0, 20.0, 400.0)) * self.dice.random(), old.wake)
        self._in(self.dice.choice((100.0, 1000.0)), old.kill)
        return True

    def _back_up(self) -> bool:
        if self.world.state.transactions == 0:
            return False
        self.backups = [*self.backups[-2:], self.world.state.copy(self.world.new_folder())]
        return True

    def _restore(self) -> bool:
        """The state is put back from a backup that knows nothing of what came after."""
        if not self.backups:
            return False
        backup = self.dice.choice(self.backups)
        old = self.world.ruler
        self._rule_by_copy(backup)
        if old is not None:
            old.kill()
        return True

    def _rule_by_copy(self, state: State) -> None:
        """Each source fences for itself alone, and tells what lies there when it is asked. A promise beyond one source
        holds once each of them was: until then none may be out of reach."""
        self.copied = True
        self.world.rule(state.copy(self.world.new_folder()))
        if len(self.world.far_sides) > 1:
            self.unasked = set(self.world.far_sides)
            self._ask_all()

    def _ask_all(self) -> None:
        if self.healed:
            return
        daemon = self.world.ruler
        if daemon is not None and daemon.alive and daemon.engine is not None:
            self.unasked -= {loop.name for loop in daemon.engine._loops.values() if loop.ready or _is_foreign(loop)}
        for side in self.world.far_sides.values():
            side.spare(bool(self.unasked))
        if self.unasked:
            self.world.loop.kernel.call_later(0.2, self._ask_all)


def _is_foreign(loop: SourceLoop) -> bool:
    """Nothing of ours can lie there."""
    return loop.problem is not None and loop.problem.reason == "ForeignRoot"
