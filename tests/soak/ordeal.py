"""The soak itself: kill, start again, change the manifest, until every task has come to its end."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes.recount import faults
from tests.soak.ground import SWEEP, Ground, Start
from tests.soak.oracle import Log, Verdict

TASKS_PER_KILL = 10  # unless it is told how many kills there are to be
EDIT_SHARE = 0.4  # of the lives of a daemon
HURT_SHARE = 0.3
LEAVE_MOST = 8  # values that one commit takes out, or brings back
LEAVE_SHARE = 0.03  # of all tasks, if that is less
SURELY_S = 1.0  # after its last line a task has ended, however busy the machine is
LOOK_S = 0.02
GONE_S = 20.0  # an agent ends a moment after its daemon


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to happen.

    kills    at least so many; they go on until all tasks are done
    seconds  after so long, and so many kills, nothing is killed any more, whatever is left to do
    pause_s  how long a daemon lives: at least and at most, log-uniform
    hurt     agents and shims are killed, too
    """

    tasks: int
    kills: int
    seconds: float | None
    seed: int
    pause_s: tuple[float, float] = (0.2, 5.0)
    slots: int = 8
    hurt: bool = False


class Ordeal:
    """One soak on one ground; `tell` is called now and then."""

    def __init__(self, ground: Ground, plan: Plan, tell: Callable[[Ordeal], None]) -> None:
        self.ground = ground
        self.plan = plan
        self.log = Log(ground.log)
        self.kills = self.starts = self.edits = self.shims = 0
        self.steady_s: list[float] = []
        self.removals: Counter[int] = Counter()  # how often each value was taken out before its end
        self.removed = 0
        self.hurt: set[int] = set()  # values whose shim was killed
        self.faults: list[str] = []
        self._tell = tell
        self._dice = random.Random(plan.seed)
        self._present: set[int] = set()
        self._away: set[int] = set()
        self._began = time.monotonic()
        self._news = (0, 0.0)  # lines of the log, and when they became so many

    @property
    def done(self) -> int:
        """Tasks that have come to their end."""
        return len(self.log.ends)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def run(self) -> None:
        """The whole of it. Afterwards nothing of it runs, unless that is what it has found."""
        self._present = set(range(self._due()))
        self.ground.push(self._present)
        while not self._enough() and not self.faults:
            self._live_and_die()
        self._calm()

    # -- under attack

    def _due(self) -> int:
        """How many values have been handed out by now: so that there is work until the last kill."""
        planned = self.plan.kills or max(1, self.plan.tasks // TASKS_PER_KILL)
        return min(self.plan.tasks, math.ceil(self.plan.tasks * (self.kills + 1) / planned))

    def _enough(self) -> bool:
        if self.kills < self.plan.kills:
            return False
        over = self.plan.seconds is not None and self.elapsed_s >= self.plan.seconds
        return over or (self.done == self.plan.tasks and not self._away)

    def _live_and_die(self) -> None:
        """One life of a daemon, and its end."""
        low, high = (math.log(bound) for bound in self.plan.pause_s)
        life_s = math.exp(self._dice.uniform(low, high))
        edit = self._dice.random() < EDIT_SHARE or len(self._present) + len(self._away) < self._due()
        attacks = self.ground.attacks(self._dice, life_s)
        if edit:
            attacks.append((self._dice.uniform(0, life_s), self._edit))
        if self.plan.hurt and self._dice.random() < HURT_SHARE:
            attacks.append((self._dice.uniform(0, life_s), self._hurt_somebody))
        start = self._start()
        began = time.monotonic()
        for at, attack in [*sorted(attacks, key=lambda pair: pair[0]), (life_s, self._kill)]:
            self._watch(start, began + at)
            attack()
        if start.steady_s is not None:
            self.steady_s.append(start.steady_s)

    def _start(self) -> Start:
        self.starts += 1
        return self.ground.start()

    def _watch(self, start: Start, until: float) -> None:
        while time.monotonic() < until:
            start.look()
            self._look()
            time.sleep(LOOK_S)

    def _look(self) -> None:
        self.log.read()
        lines = self.log.runs.total() + self.log.ends.total()
        now = time.monotonic()
        if lines != self._news[0] or not self._news[1]:
            self._news = (lines, now)
        elif now - self._news[1] > self.ground.STUCK_S and not self.faults:
            self.faults.append(f"no task has started or ended for {self.ground.STUCK_S:.0f} s")
        code = self.ground.died()
        if code is not None and not self.faults:
            self.faults.append(f"the daemon ended by itself, with exit code {code}")
        self._tell(self)

    def _kill(self) -> None:
        self.ground.world.kill()
        self.kills += 1

    def _edit(self) -> None:
        """Some values leave, some come back, and those that are due come for the first time."""
        most, last = math.ceil(min(LEAVE_MOST, LEAVE_SHARE * self.plan.tasks)), self.kills >= self.plan.kills
        back = self._some(self._away, len(self._away) if last else most)
        leave = set() if last else self._some(self._present, most)
        new = set(range(len(self._present) + len(self._away), self._due()))
        self.log.read()
        self.removals.update(value for value in leave if not self.log.has_ended(value, for_s=SURELY_S))
        self.removed += len(leave)
        self._away = self._away - back | leave
        self._present = self._present - leave | back | new
        self.edits += 1
        self.ground.push(self._present)

    def _some(self, values: set[int], most: int) -> set[int]:
        """At most so many of them; rather those that have not come to their end."""
        open_ = [value for value in sorted(values) if not self.log.ends[value]]
        candidates = open_ if open_ and self._dice.random() < 0.8 else sorted(values)
        return set(self._dice.sample(candidates, min(len(candidates), most)))

    def _hurt_somebody(self) -> None:
        if self._dice.random() < 0.5:
            self.ground.kill_agent(self._dice)
            return
        value = self.ground.kill_shim(self._dice)
        if value is not None:
            self.hurt.add(value)
            self.shims += 1

    # -- after it

    def _calm(self) -> None:
        """No more attacks: everything comes to its end, and the daemon is asked to stop."""
        self._present, self._away = set(range(self.plan.tasks)), set()
        self.ground.restore()
        self.ground.push(self._present)
        start = self._start()
        while not (start.steady_s is not None and self._settled()) and not self.faults:
            self._watch(start, time.monotonic() + 0.2)
        if self.ground.died() is None and (code := self.ground.world.stop()) != 0:
            self.faults.append(f"the daemon was asked to stop, and ended with exit code {code}")
        self.ground.close()
        self._wait_for_the_last()
        self.log.read()

    def _settled(self) -> bool:
        told = self.ground.world.counts(SWEEP)
        return told.get("desired") == told.get("succeeded") == self.plan.tasks and self.ground.settled()

    def _wait_for_the_last(self) -> None:
        end = time.monotonic() + GONE_S
        while self.ground.processes.left() and time.monotonic() < end:
            time.sleep(LOOK_S)

    def verdict(self) -> Verdict:
        """By the tasks' own word."""
        return self.log.judge(self._present, self.removals, self._present if self.ground.REPEATS else self.hurt)

    def all_faults(self) -> list[str]:
        """What else is wrong: with the daemons, the processes and the store that are left."""
        told = self.ground.world.counts(SWEEP)
        wrong = [f"{n} tasks are {phase}" for phase, n in told.items() if n and phase not in ("desired", "succeeded")]
        left = [f"still running: {process}" for process in self.ground.processes.left()]
        return [*self.faults, *wrong, *left, *self.ground.faults(), *faults(self.ground.world.state)]
