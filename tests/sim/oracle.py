"""The one who knows everything: what really started, lived and ended, what each store recorded, what must never be.

It asks nobody. The far sides tell it every start and end of a user's program and every signal and removal; triggers on
each daemon's connection tell it every change of an attempt as it is committed. Each promise is checked when something
happens that could break it:

    I1  an attempt starts once                              at each start
    I2  at most one attempt of a task lives                 at each start
    I3  every desired task waits, runs or has ended         at recounts, and when all has come to rest
    I4  a recorded end is true                              at each commit, and at each start: it cannot start any more
    I5  nothing of a stranger is signalled or removed       at each signal and removal
    I6  a recorded success stays, and is not run again      at each commit
    I7  absence is not desire                               at each commit of a cancellation
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reconciler.core.model import Commit
from tests.sim.desire import Desire, Lawyer
from tests.sim.machine import Machine, Proc

ENDED = frozenset({"succeeded", "failed", "cancelled", "lost"})


@dataclass
class Truth:
    """One attempt as it really was. status: of its program, as wait tells it; None: it has not ended."""

    eid: str
    task: tuple[str, str]
    starts: int = 0
    status: int | None = None
    family: set[Any] = field(default_factory=set)  # living processes
    place: str = ""
    words: tuple[str, ...] = ()
    began_at: float = 0.0
    told_to_end: bool = False  # by its shim, or by the agent in the shim's place
    powerless: bool = False  # its machine has lost power since, and perhaps its claim
    forgotten: bool = False  # and since then a state that did not know it, a copy of an older one, intends it


@dataclass(frozen=True)
class Recorded:
    """One attempt as a store has it."""

    eid: str
    sweep: str
    task: str
    number: int
    phase: str
    digest: str
    cancel: str
    open: int
    source: str = ""
    assumed: bool = False


class Ledger:
    """What one state directory has committed; a copy of the directory takes a copy of this."""

    def __init__(self) -> None:
        self.attempts: dict[str, Recorded] = {}
        self.successes: set[tuple[str, str, str]] = set()
        self.desire = Desire()

    def copy(self) -> Ledger:
        other = Ledger()
        other.attempts = dict(self.attempts)
        other.successes = set(self.successes)
        other.desire = self.desire.copy()
        return other


class Oracle:
    """Violations are sentences; the first one ends a world."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.truths: dict[str, Truth] = {}
        self.living: dict[tuple[str, str], set[str]] = {}
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.told: Callable[[str], None] | None = None
        self.concluded: dict[str, str] = {}  # how attempts are recorded to have ended, by any store
        self.wanted_cancelled: set[str] = set()  # eids that some store has ever wanted cancelled
        self.lawyer: Lawyer | None = None
        self.overdue: Callable[[str], bool] = lambda eid: False
        self.in_vain: Callable[[Ledger, str], bool] = lambda ledger, eid: False
        self.begin: Callable[[Machine, Proc], None] = lambda machine, proc: None
        self._trace = hashlib.sha256()

    # -- the trace

    def trace(self, kind: str, *details: object) -> None:
        """One more event of this world's history."""
        self.counts[kind] += 1
        line = f"{self.now():.5f} {kind} {' '.join(map(str, details))}"
        self._trace.update(line.encode())
        if self.told is not None:
            self.told(line)

    @property
    def hash(self) -> str:
        return self._trace.hexdigest()[:16]

    def violated(self, promise: str, sentence: str) -> None:
        self.violations.append(f"{promise}: {sentence}")
        self.trace("violation", promise, sentence)

    # -- told by the far sides

    def started(self, place: str, eid: str, task: tuple[str, str], words: tuple[str, ...]) -> Truth:
        """A user's program has begun."""
        self.trace("start", place, eid, *task)
        truth = self.truths.setdefault(eid, Truth(eid, task))
        truth.starts += 1
        truth.place, truth.words, truth.began_at = place, words, self.now()
        if truth.starts > 1 and not (truth.powerless and truth.forgotten):  # nothing is left that could tell
            self.violated("I1", f"attempt {eid} of {task} started {truth.starts} times")
        if eid in self.concluded:
            self.violated("I4", f"{eid} begins, and was recorded as {self.concluded[eid]}")
        truth.powerless = truth.forgotten = False
        others = {other for other in self.living.get(task, ()) if other != eid and self.truths[other].family}
        if others:
            self.violated("I2", f"{task} runs as {eid} while {sorted(others)} lives")
        self.living.setdefault(task, set()).add(eid)
        return truth

    def ended(self, truth: Truth, status: int) -> None:
        """Its program has ended (not all that it has left behind)."""
        self.trace("end", truth.place, truth.eid, status)
        truth.status = status

    def gone(self, truth: Truth) -> None:
        """Nothing of it lives any more."""
        self.living.get(truth.task, set()).discard(truth.eid)

    def lost_power(self, place: str) -> None:
        """A machine has lost power: what was not synced there may have gone with it."""
        for truth in self.truths.values():
            truth.powerless |= truth.place == place

    # -- a witness of machines

    def began(self, machine: Machine, proc: Proc, words: list[str], environment: dict[str, str]) -> None:
        eid = environment["RECONCILER_OUTPUT"].split("/")[-2]
        task = (environment["RECONCILER_SWEEP"], environment["RECONCILER_TASK"])
        truth = self.started(machine.name, eid, task, tuple(words))
        proc.attempt = eid
        proc.family = _Family(truth, self)
        proc.family.add(proc)
        proc.resources.append(lambda: self._program_ended(truth, proc))
        self.begin(machine, proc)

    def _program_ended(self, truth: Truth, proc: Proc) -> None:
        self.ended(truth, proc.status)
        proc.family.discard(proc)

    def signalled(self, machine: Machine, target: Proc, number: int, by: Proc | None) -> None:
        if by is None:
            return
        self.trace("signal", machine.name, number, target.kind, target.attempt or target.comm)
        eid = target.comm if target.kind == "shim" else target.attempt
        if eid in self.truths and number not in (0, 18):
            self.truths[eid].told_to_end = True
        if target.kind not in ("shim", "task", "child", "side"):
            self.violated("I5", f"{by.comm} sent signal {number} to {target.kind} {target.pid} on {machine.name}")
        elif by.kind == "agent" and eid not in self.wanted_cancelled and not self.overdue(eid):
            self.violated("I5", f"an agent sent signal {number} to {eid}, which nobody wants ended")
        elif by.kind == "shim" and target.kind != "side" and eid != by.comm:
            self.violated("I5", f"the shim of {by.comm} sent signal {number} to a process of {eid}")

    def removed(self, machine: Machine, path: str) -> None:
        self.violated("I5", f"a stranger's file was removed or replaced: {path} on {machine.name}")

    # -- told by the stores, when a transaction is committed

    def committed(self, ledger: Ledger, new: Recorded) -> None:
        """An attempt as it is now in one store."""
        old = ledger.attempts.get(new.eid)
        if old == new:
            return
        self.trace("record", new.eid, new.number, new.phase, new.cancel)
        if old is None:
            self._intended(ledger, new)
        elif old.phase in ENDED and new.phase != old.phase and (old.phase == "succeeded" or new.phase not in ENDED):
            self.violated("I6", f"{new.eid} had ended as {old.phase}, and is now {new.phase}")
        if new.cancel and (old is None or not old.cancel) and self._asked_for(ledger, new):
            self.wanted_cancelled.add(new.eid)
        if new.phase in ENDED and (old is None or old.phase != new.phase):
            self._concluded(new)
        if new.phase == "succeeded":
            ledger.successes.add((new.sweep, new.task, new.digest))
        ledger.attempts[new.eid] = new

    def _asked_for(self, ledger: Ledger, new: Recorded) -> bool:
        """Whether somebody wants it to be cancelled.

        An older state that has slept may take for unsent what has started since, as the one that rules knows: it is
        fenced there, and what it intends harms nobody. If it were not, whoever is hit was wanted by nobody.
        """
        truth = self.truths.get(new.eid)
        lives = truth is not None and bool(truth.family)
        objection = "" if self.lawyer is None else self.lawyer.objection(ledger.desire, new, lives=lives)
        if not objection:
            return True
        if new.cancel == "Outdated" and self.in_vain(ledger, new.eid):
            return False
        self.violated("I7", f"{new.eid} of {new.sweep}/{new.task} is cancelled ({new.cancel}), but {objection}")
        return True

    def accepted(self, ledger: Ledger, commit: str | None) -> None:
        """A store has accepted a head."""
        if commit != ledger.desire.accepted:
            self.trace("accepted", commit)
            if self.lawyer is not None:
                self.lawyer.accept(ledger.desire, None if commit is None else Commit(commit))

    def in_force(self, ledger: Ledger, name: str, commit: str, *, deleted: bool) -> None:
        """A store has put a sweep's new generation in force."""
        self.trace("in-force", name, commit, deleted)
        if self.lawyer is not None:
            self.lawyer.put_in_force(ledger.desire, name, Commit(commit), deleted=deleted, now=self.now())

    def _intended(self, ledger: Ledger, new: Recorded) -> None:
        self.counts["intent"] += 1
        self.concluded.pop(new.eid, None)  # a copy of an older state asks what became of it
        if (truth := self.truths.get(new.eid)) is not None:
            truth.forgotten = truth.powerless
        if (new.sweep, new.task, new.digest) in ledger.successes:
            self.violated("I6", f"{new.sweep}/{new.task} had succeeded with {new.digest}, and runs again as {new.eid}")
        for other in ledger.attempts.values():
            if (other.sweep, other.task) == (new.sweep, new.task) and other.phase not in ENDED:
                self.violated("I2", f"{new.eid} is intended while {other.eid} of the same task is {other.phase}")

    def _concluded(self, new: Recorded) -> None:
        """I4: is the end that was recorded the one that happened?"""
        self.concluded[new.eid] = new.phase
        truth = self.truths.get(new.eid)
        if new.assumed:
            return
        if truth is not None and truth.family:
            self.violated("I4", f"{new.eid} is recorded as {new.phase}, and lives")
        status = None if truth is None else truth.status
        if new.phase == "succeeded" and status != 0:
            self.violated("I4", f"{new.eid} is recorded as succeeded, and ended with {status}")
        if new.phase == "failed" and truth is not None and status == 0 and not truth.told_to_end:
            self.violated("I4", f"{new.eid} is recorded as failed, and ended well")


class _Family(set[Any]):
    """The living processes of one attempt."""

    def __init__(self, truth: Truth, oracle: Oracle) -> None:
        super().__init__()
        self._truth = truth
        self._oracle = oracle
        truth.family = self

    def discard(self, proc: Any) -> None:
        super().discard(proc)
        if not self:
            self._oracle.gone(self._truth)
