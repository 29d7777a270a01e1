"""A `process` source: machines on which the production agent runs, behind a link that fails."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.settings import SourceConfig
from reconciler.dialects.process import ProcessDialect
from tests.sim.farside import Fault
from tests.sim.link import SimLink, Wire
from tests.sim.machine import CONT, KILL, STOP, TERM, Machine, Proc

if TYPE_CHECKING:
    from tests.sim.world import World

HOME = "/home/me"
NEVER = float("inf")
SHORT_S = (0.5, 3.0, 20.0, 90.0)  # how long what ends by itself may last
CALLS = 120  # about as many calls a shim makes


@dataclass
class Weather:
    """How the link to one source is at this moment."""

    dice: random.Random
    typical_s: float
    happened: Counter[str]
    down: bool = False
    black_hole: bool = False
    slow_s: float = 0.0

    def delay_s(self) -> float:
        return self.typical_s * (0.5 + self.dice.random()) + self.slow_s * self.dice.random()

    def unreachable(self) -> str:
        return "no route to host" if self.down else ""

    def swallows(self) -> bool:
        return self.black_hole

    def lost(self, what: str) -> None:
        self.happened[what] += 1


class ProcessSide:
    """See `FarSide`. machine: the one whose root it is; alias: another host that sometimes answers in its place."""

    def __init__(self, world: World, config: SourceConfig, machine: Machine, *, local: bool) -> None:
        self.world = world
        self.config = config
        self.machine = machine
        self.alias: Machine | None = None
        self.astray = False
        self.local = local
        self.dice = random.Random(world.dice.getrandbits(64))
        typical_s = 0.0005 if local else self.dice.choice((0.005, 0.03, 0.2))
        self.weather = Weather(self.dice, typical_s, world.happened)
        self.wires: list[Wire] = []
        self.fragile = 0.0  # the chance that an agent or shim dies at a crash point, or in the middle of its calls
        self.restless = 0.0  # the chance that others run in the middle of its calls
        self.healed = False
        self.spared = False
        self._adopt(machine)

    def _adopt(self, machine: Machine) -> None:
        machine.at_crashpoint = self._at_crashpoint
        machine.made = self._made
        machine.stall = self._stall
        machine.errand_s = lambda: self.dice.expovariate(2.0)

    def share_with(self, alias: Machine) -> None:
        """Another host, which sees the same home over a network file system, sometimes answers in its place."""
        self._adopt(alias)
        self.alias = alias
        self.machine.files.make_folders(HOME)
        alias.files.root.entries["home"] = self.machine.files.root.entries["home"]
        self.machine.mounts = alias.mounts = self.machine.mounts + "2 1 0:5 / /home rw - nfs srv:/home rw\n"

    def belong_to_others(self) -> None:
        """The root is another installation's, with all that lies there."""
        files, root = self.machine.files, self.config.root
        files.text(f"{root}/OWNER", "zzzz\n")
        files.text(f"{root}/attempts/aa/gzzzzaaaaaaaaaa/spec.json", "{}")
        for inode in files.walk(files.get(root)):
            inode.stranger = True

    def dialect(self) -> ProcessDialect:
        return ProcessDialect()

    def link(self, host: Machine) -> SimLink:
        return SimLink(self._answering, self.weather, self.wires, self.dice, local=self.local)

    def faults(self) -> Sequence[Fault]:
        machine = self.machine
        found: list[Fault] = [
            ("agent-killed", 3, lambda: self._kill(self._agents())),
            ("agent-paused", 1, lambda: self._freeze(self._agents())),
            ("shim-killed", 3, lambda: self._kill(self._shims())),
            ("shim-paused", 1, lambda: self._freeze(self._shims())),
            ("task-killed", 3, lambda: self._kill(self._tasks())),
            ("task-told-to-end", 1, lambda: self._signal(self._tasks(), TERM)),
            ("fork-fails", 1, lambda: self._for_a_while(machine, "cannot_fork", lambda: True, _never)),
            ("source-disk-full", 2, lambda: self._for_a_while(machine.files, "full", True)),
            ("unreadable", 1, self._hide),
            ("worktree-fails", 1, self._no_worktrees),
            ("strangers", 3, self._strangers),
            ("purged", 0.5, self._purge),
        ]
        if not self.local:
            slow = (1.0, 8.0, 45.0)
            found += [
                ("link-cut", 4, self._cut),
                ("link-down", 2, self._go_down),
                ("black-hole", 2, lambda: self._for_a_while(self.weather, "black_hole", True)),
                ("link-slow", 2, lambda: self._for_a_while(self.weather, "slow_s", self.dice.choice(slow), 0.0)),
                ("reboot", 1, lambda: self._restart(power=False)),
                ("source-power-lost", 1, lambda: self._restart(power=True)),
                ("source-clock-jumps", 1, self._jump),
            ]
        if self.alias is not None:
            found.append(("wrong-host", 2, self._go_astray))
        return found

    def spare(self, spared: bool) -> None:
        """See `FarSide`."""
        self.spared = spared
        if spared:
            self._reach()

    def _reach(self) -> None:
        """Whoever connects now finds it, and can look at all that lies there."""
        self.astray = False
        self.weather.down = self.weather.black_hole = False
        self.weather.slow_s = 0.0
        self.machine.files.full = False
        self.machine.unreadable.clear()

    def heal(self) -> None:
        self.healed = True
        self.fragile = self.restless = 0.0
        self._reach()
        machine = self.machine
        machine.cannot_fork = lambda: False
        machine.worktree_trouble = lambda: None
        for each in self._machines():
            for proc in each.living():
                proc.wake()

    def _machines(self) -> list[Machine]:
        return [self.machine] if self.alias is None else [self.machine, self.alias]

    def close(self) -> None:
        for machine in self._machines():
            machine.crash(power=False)

    def claimed_at(self, eid: str) -> float:
        """When its claim was written, which is when it began, though its shim may have stood still since."""
        claim = self.machine.files.find(f"{self.config.root}/attempts/{eid[-2:]}/{eid}/claim")
        return NEVER if claim is None else claim.changed

    def is_dead(self, eid: str) -> bool:
        """See `FarSide`: it has started once, or its claim is taken, and no process of it is left."""
        truth = self.world.oracle.truths.get(eid)
        shims = (proc for machine in self._machines() for proc in machine.living() if proc.kind == "shim")
        if (truth is not None and truth.family) or any(proc.comm == eid for proc in shims):
            return False
        taken = self.machine.files.find(f"{self.config.root}/attempts/{eid[-2:]}/{eid}/claim") is not None
        return taken or (truth is not None and truth.starts > 0)

    # -- who is there

    def _answering(self) -> Machine:
        return self.alias if self.astray and self.alias is not None else self.machine

    def _agents(self) -> list[Proc]:
        return [proc for proc in self.machine.living() if proc.kind == "agent"]

    def _shims(self) -> list[Proc]:
        return [proc for proc in self.machine.living() if proc.kind == "shim"]

    def _tasks(self) -> list[Proc]:
        return [proc for proc in self.machine.living() if proc.kind == "task"]

    # -- what happens to them

    def _some(self, procs: list[Proc]) -> Iterator[Proc]:
        most = self.dice.choice((1, 1, 2, 50))
        yield from self.dice.sample(procs, min(len(procs), most))

    def _kill(self, procs: list[Proc]) -> bool:
        return self._signal(procs, KILL)

    def _signal(self, procs: list[Proc], number: int) -> bool:
        chosen = list(self._some(procs))
        for proc in chosen:
            self.machine.signal(proc, number, None)
        return bool(chosen)

    def _freeze(self, procs: list[Proc]) -> bool:
        chosen = list(self._some(procs))
        for proc in chosen:
            self.machine.signal(proc, STOP, None)
            self.machine.later(self._a_while(), lambda proc=proc: proc.alive and self.machine.signal(proc, CONT, None))
        return bool(chosen)

    def _at_crashpoint(self, name: str, proc: Proc) -> None:
        if self.fragile and not self.spared and self.dice.random() < self.fragile:
            self.world.count_fault(f"{proc.kind}-killed-at-point")
            proc.end(KILL)

    def _made(self, proc: Proc) -> None:
        """A new agent or shim: will it die in the middle of its calls, or be interrupted there?"""
        if self.fragile and self.dice.random() < self.fragile * 4:
            proc.calls_left = self.dice.randrange(CALLS)
            proc.interrupted = lambda: self._die(proc)
        elif self.restless and self.dice.random() < self.restless:
            self._interrupt_later(proc)
        if self.restless and self.dice.random() < 0.3:
            proc.restless = 0.1
        if self.restless and self.dice.random() < 0.1:
            proc.stall_in = self.dice.randrange(CALLS)

    def _die(self, proc: Proc) -> None:
        if self.spared:
            return
        self.world.count_fault(f"{proc.kind}-killed-in-call")
        proc.end(KILL)

    def _stall(self, proc: Proc) -> None:
        """Stopped between two statements, as on a very busy machine; it goes on where it was."""
        if not self.healed and not (self.spared and proc.kind == "agent"):
            self.world.count_fault(f"{proc.kind}-stalled")
            proc.pause()
            self.machine.later(self._a_while(), proc.wake)
            if self.dice.random() < 0.5:
                proc.stall_in = self.dice.randrange(CALLS)

    def _interrupt_later(self, proc: Proc) -> None:
        proc.calls_left = self.dice.randrange(1, CALLS)

        def others() -> None:
            if not self.healed:
                self._interrupt_later(proc)
            proc.loop.interleave(self.dice.randrange(1, 30))

        proc.interrupted = others

    # -- what happens to machines and links

    def _a_while(self) -> float:
        return self.dice.choice(SHORT_S) * (0.2 + self.dice.random())

    def _for_a_while(self, thing: object, name: str, value: object, normal: object = False) -> None:
        """Until then, unless everything was healed before."""
        setattr(thing, name, value)
        self._in(self._a_while(), lambda: setattr(thing, name, normal))

    def _in(self, delay: float, call: Callable[[], object]) -> None:
        self.world.loop.kernel.call_later(delay, lambda: None if self.healed else call())

    def _cut(self) -> bool:
        open_ones = [wire for wire in self.wires if not wire.cut_here]
        for wire in open_ones:
            wire.cut(there_after_s=self.dice.choice((0.0, 0.5, 10.0, 120.0)) * self.dice.random())
        return bool(open_ones)

    def _go_down(self) -> None:
        self._cut()
        self._for_a_while(self.weather, "down", True)

    def _restart(self, *, power: bool) -> None:
        self._cut() if self.dice.random() < 0.5 else None
        self.machine.crash(power=power)
        self._for_a_while(self.weather, "down", True)

    def _jump(self) -> None:
        self.machine.offset_s += self.dice.choice((-86400.0, -300.0, -5.0, 5.0, 300.0, 86400.0))

    def _hide(self) -> bool:
        """Some attempts' files cannot be read for a while."""
        folder = self.machine.files.find(f"{self.config.root}/attempts")
        eids = [eid for shard in (folder.entries.values() if folder else ()) for eid in shard.entries]
        if not eids:
            return False
        names = set(self.dice.sample(eids, min(len(eids), 3)))
        self.machine.unreadable |= names
        self._in(self._a_while(), lambda: self.machine.unreadable.difference_update(names))
        return True

    def _purge(self) -> bool:
        """Somebody tidies up: folders of attempts are gone, of those that have started, as every state knows.

        Of any other the claim is what keeps it from starting once more: nobody can promise anything without it.
        """
        folder = self.machine.files.find(f"{self.config.root}/attempts")
        there = {eid: shard for shard in (folder.entries.values() if folder else ()) for eid in shard.entries}
        known = sorted(eid for eid in there if self.world.fate.is_known(eid))
        chosen = self.dice.sample(known, min(len(known), self.dice.choice((1, 1, 50))))
        for eid in chosen:
            del there[eid].entries[eid]
        return bool(chosen)

    def _no_worktrees(self) -> None:
        trouble = self.dice.choice((("Busy", "later"), ("WorktreeFailed", "no such commit")))
        self._for_a_while(self.machine, "worktree_trouble", lambda: trouble, _never)

    def _go_astray(self) -> None:
        """The source's name leads to another host that shares its files."""
        self._cut()
        self._for_a_while(self, "astray", True)

    def _strangers(self) -> None:
        """Other people's processes of this account come and go; pids that were ours become theirs."""
        for _ in range(self.dice.randrange(1, 12)):
            stranger = Proc(self.machine, self.dice.choice(("python3", "bash", "idle", "task")), None)
            stranger.kind, stranger.stranger = "stranger", True
            self.machine.later(self.dice.expovariate(1 / 60), stranger.end, 0)


def _never() -> None:
    """What nothing goes wrong with."""
