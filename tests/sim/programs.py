"""What users' programs do: how long they take, how they end, what they leave behind, and whether they listen.

The truth about a program is what happens here, and it is told to nobody but the oracle.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.sim.machine import CONT, KILL, TERM, Machine, Proc

RESUME = 75


@dataclass
class Habits:
    """How programs are in this world; the chances are drawn with each start."""

    length_s: float = 5.0
    fails: float = 0.0
    crashes: float = 0.0
    resumes: float = 0.0
    deaf: float = 0.0  # TERM does not end it
    slow_to_end: float = 0.0  # TERM ends it a while later
    breeds: float = 0.0  # has a child, which may outlive it
    endless: float = 0.0  # only a signal ends it


class Programs:
    """Starts and ends them."""

    def __init__(self, dice: random.Random, habits: Habits) -> None:
        self.dice = dice
        self.habits = habits
        self.endless: list[tuple[Machine, Proc]] = []

    def begin(self, machine: Machine, proc: Proc) -> None:
        """Decide its fate."""
        habits, chance = self.habits, self.dice.random
        deaf, slow = chance() < habits.deaf, chance() < habits.slow_to_end
        length = habits.length_s * (0.1 + self.dice.expovariate(1.0))
        status = 0
        fate = chance()
        if fate < habits.fails:
            status = self.dice.choice((1, 1, 2, 97, 98)) << 8
        elif fate < habits.fails + habits.crashes:
            status = self.dice.choice((KILL, 11, 6))
        elif fate < habits.fails + habits.crashes + habits.resumes:
            status = RESUME << 8
        proc.heard = lambda number: self._hear(machine, proc, number, deaf=deaf, slow=slow)
        if chance() >= habits.endless:
            machine.later(length, proc.end, status)
        else:
            self.endless.append((machine, proc))
        if chance() < habits.breeds:
            self._breed(machine, proc, length)

    def _breed(self, machine: Machine, parent: Proc, length: float) -> None:
        """A child in a group of its own, perhaps, that holds what its parent holds."""
        child = Proc(machine, "child", parent)
        if self.dice.random() < 0.5:
            child.group = child.pid
        for number in parent.inheritable:
            child.inherit(number, parent.fds[number])
            child.inheritable.add(number)
        child.heard = lambda number: None if number == CONT else child.end(number)
        child.kind, child.attempt, child.family = "child", parent.attempt, parent.family
        child.family.add(child)
        child.resources.append(lambda: child.family.discard(child))
        machine.later(length * self.dice.choice((0.5, 1.5, 4.0)), child.end, 0)

    def _hear(self, machine: Machine, proc: Proc, number: int, *, deaf: bool, slow: bool) -> None:
        if number == CONT or (number == TERM and deaf):
            return
        if number == TERM and slow:
            machine.later(self.dice.random() * 15, proc.end, self.dice.choice((TERM, 0, RESUME << 8)))
        else:
            proc.end(number)

    def heal(self) -> None:
        """From now on programs do what they should; those that would never end do so by and by."""
        self.habits.fails = self.habits.crashes = self.habits.resumes = self.habits.endless = 0.0
        for machine, proc in self.endless:
            if proc.alive:
                machine.later(self.dice.random() * 60, proc.end, 0)
