"""A machine: its files, its processes, its boot. Whatever happens to it happens here, and is told to the oracle.

Pids come from a small space, so that they are soon given again, to strangers too. A process is an agent, a shim, a
user's program or a stranger; agents and shims are stepped by the loop, the others only live, hear signals and end.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterator
from typing import Protocol

from tests.sim.files import Files, Opened, failure
from tests.sim.loop import Process, SimLoop

TICKS_S = 100
PIDS = (300, 900)  # where numbers are given from, round and round
KILL, TERM, CHLD, CONT, STOP = 9, 15, 17, 18, 19


class Witness(Protocol):
    """Who is told the truth, as it happens."""

    def began(self, machine: Machine, proc: Proc, words: list[str], environment: dict[str, str]) -> None: ...

    def signalled(self, machine: Machine, target: Proc, number: int, by: Proc | None) -> None: ...

    def removed(self, machine: Machine, path: str) -> None: ...

    def lost_power(self, place: str) -> None: ...


class Proc(Process):
    """A process of a machine. heard: what it does when a signal comes (KILL, STOP and CONT are the kernel's)."""

    def __init__(self, machine: Machine, name: str, parent: Proc | None) -> None:
        super().__init__(machine.loop, name)
        self.machine = machine
        self.pid = machine.take_pid()
        self.parent = parent
        self.children: list[Proc] = []
        self.comm = name
        self.kind = ""  # agent, shim, side, task, child, stranger
        self.group = parent.group if parent is not None else self.pid
        self.session = parent.session if parent is not None else self.pid
        self.start = int(machine.uptime() * TICKS_S)
        self.fds: dict[int, Opened] = {}
        self.inheritable: set[int] = set()
        self.cwd = "/"
        self.status = 0
        self.zombie = False
        self.subreaper = False
        self.stranger = False
        self.heard: Callable[[int], None] | None = None
        self.child_ended: Callable[[], None] | None = None
        self.stall_in = -1  # statements until it is stopped for a while; below 0: it is not
        self.restless = 0.0  # the chance to lose its turn before a statement
        self.calls_left = -1  # until something happens in the middle of a step; below 0: nothing will
        self.stir: Callable[[], None] = _nobody
        self.pending: list[int] = []  # signals kept until they are waited for
        self.attempt = ""
        self.family: set[Proc] = set()
        self.interrupted: Callable[[], None] | None = None
        machine.processes[self.pid] = self
        if parent is not None:
            parent.children.append(self)
        self.resources.append(self._let_go)

    def open(self, opened: Opened, *, low: int = 3) -> int:
        number = low
        while number in self.fds:
            number += 1
        self.fds[number] = opened
        return number

    def inherit(self, number: int, opened: Opened) -> None:
        opened.references += 1
        self.fds[number] = opened

    def end(self, status: int) -> None:
        """It exits (status as of wait): its parent may reap it, its children get another parent."""
        if self.alive:
            self.status = status
            self.kill()

    def _let_go(self) -> None:
        machine = self.machine
        for opened in self.fds.values():
            opened.close()
        self.fds.clear()
        for child in self.children:
            child.parent = machine.reaper_of(self)
            if child.parent is not None:
                child.parent.children.append(child)
            elif child.zombie:
                machine.forget(child)
        self.children = []
        if self.parent is not None and self.parent.alive:
            self.zombie = True
            if self.parent.child_ended is not None:
                self.parent.child_ended()
        else:
            machine.forget(self)


def _nobody() -> None:
    """Nobody waits."""


class Machine:
    """One host. `offset_s` is what its wall clock is off; `witness` hears what happens."""

    def __init__(self, loop: SimLoop, name: str, dice: random.Random, witness: Witness, epoch: float) -> None:
        self.loop = loop
        self.name = name
        self.dice = dice
        self.witness = witness
        self.epoch = epoch
        self.offset_s = 0.0
        self.machine_id = f"{dice.getrandbits(128):032x}"
        self.host = name
        self.boots = 0
        self.booted_at = 0.0
        self.boot = ""
        self.processes: dict[int, Proc] = {}
        self.ended: list[Callable[[Proc], None]] = []
        self._next_pid = PIDS[0]
        self.files = Files(self.now, lambda: loop.now, loop.number)
        self.files.removed = lambda path, inode: witness.removed(self, path) if inode.stranger else None
        self.kernel = Process(loop, f"{name} kernel")
        self.broken: Callable[[str], None] = lambda told: None
        self.made: Callable[[Proc], None] = lambda proc: None
        self.stall: Callable[[Proc], None] = lambda proc: None
        self.at_crashpoint: Callable[[str, Proc], None] = lambda name, proc: None
        self.errand_s: Callable[[], float] = lambda: 0.05
        self.cannot_fork: Callable[[], bool] = lambda: False
        self.worktree_trouble: Callable[[], tuple[str, str] | None] = lambda: None
        self.mounts = "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        self.unreadable: set[str] = set()  # parts of paths that give an I/O error
        self._lay_system()
        self.start()

    # -- time

    def now(self) -> float:
        """Its wall clock."""
        return self.epoch + self.loop.now + self.offset_s

    def uptime(self) -> float:
        return self.loop.now - self.booted_at

    def later(self, delay: float, call: Callable[..., None], *args: object) -> None:
        """Something that this boot's kernel does."""
        self.kernel.call_later(delay, call, *args)

    # -- power

    def start(self) -> None:
        """Boot."""
        self.boots += 1
        self.booted_at = self.loop.now
        self.boot = f"boot-{self.name}-{self.boots}"
        self.kernel = Process(self.loop, f"{self.name} kernel")

    def crash(self, *, power: bool) -> None:
        """Everything stops at once. With `power`, what was not written back may be lost."""
        self.kernel.kill()
        for proc in list(self.processes.values()):
            proc.parent = None
            proc.kill()
        self.processes.clear()
        if power:
            self.files.lose_power(self.dice.random)
            self.witness.lost_power(self.name)
        self.start()

    # -- processes

    def take_pid(self) -> int:
        low, high = PIDS
        while self._next_pid in self.processes:
            self._next_pid = low + (self._next_pid - low + 1) % (high - low)
        pid = self._next_pid
        self._next_pid = low + (self._next_pid - low + 1) % (high - low)
        return pid

    def forget(self, proc: Proc) -> None:
        if self.processes.get(proc.pid) is proc:
            del self.processes[proc.pid]
        if proc.parent is not None and proc in proc.parent.children:
            proc.parent.children.remove(proc)

    def reaper_of(self, proc: Proc) -> Proc | None:
        """Who becomes the parent of its orphans; None: init, who reaps at once."""
        above = proc.parent
        while above is not None:
            if above.alive and above.subreaper:
                return above
            above = above.parent
        return None

    def signal(self, target: Proc, number: int, by: Proc | None) -> None:
        """Deliver one. Raises ProcessLookupError for the dead."""
        if target.zombie:
            return
        if not target.alive:
            raise failure(errno.ESRCH)
        if number:
            self.witness.signalled(self, target, number, by)
        if number == KILL:
            target.end(number)
        elif number == STOP:
            target.pause()
        elif number == CONT:
            target.wake()
        if number not in (0, KILL, STOP) and target.alive and target.heard is not None:
            target.heard(number)

    def execute(self, parent: Proc, program: str, words: list[str], environment: dict[str, str]) -> Proc:
        """A user's program begins in a group of its own, and inherits what may be inherited."""
        proc = Proc(self, program.rpartition("/")[2], parent)
        proc.group, proc.kind = proc.pid, "task"
        for number in parent.inheritable:
            if number in parent.fds:
                proc.inherit(number, parent.fds[number])
                proc.inheritable.add(number)
        self.witness.began(self, proc, words, environment)
        return proc

    def null(self) -> Opened:
        """/dev/null, opened."""
        return Opened(inode=self.files.get("/dev/null"), reads=True, writes=True, path="/dev/null")

    def living(self) -> Iterator[Proc]:
        return (proc for proc in list(self.processes.values()) if proc.alive)

    # -- the system's own files

    def _lay_system(self) -> None:
        self.files.text("/dev/null", "")
        for folder in ("/tmp", "/var/tmp"):
            self.files.make_folders(folder)
        for inode in self.files.walk(self.files.root):
            inode.stranger = True  # nobody changes these, and no power loss reaches them
