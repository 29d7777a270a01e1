"""What one pass over the repository comes to, by the design: what is put in force, which removals wait for a word."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from machine_manifest import FAULTS, Written
from machine_model import Sweep
from machine_points import Draw


@dataclass(frozen=True)
class File:
    """A manifest in the repository; `fault`: what is wrong with its text, or ""."""

    written: Written
    fault: str = ""

    @property
    def text(self) -> bytes:
        text = self.written.text()
        return FAULTS[self.fault][0](text) if self.fault else text

    @property
    def readable(self) -> bool:
        """Whether one can tell which sweep it is about."""
        return not self.fault or FAULTS[self.fault][1]


@dataclass
class Plan:
    """The sweeps that change, not put in force yet; and whether removals wait: `freeze` for those that are named."""

    changes: dict[str, Sweep]
    freeze: frozenset[str]
    blocked: bool
    rewritten: bool
    head: str


@dataclass
class Repository:
    """All sweeps, and what is known of the history. history, blocked: why removals wait."""

    prune_max_tasks: int
    draw: Callable[[str], Draw]
    sweeps: dict[str, Sweep] = field(default_factory=dict)
    accepted: str | None = None
    history: bool = False
    blocked: bool = False

    def plan(
        self,
        files: Mapping[str, File],
        head: str,
        *,
        descends: bool,
        resolve: Callable[[str], str | None],
        repin: Collection[str],
    ) -> Plan:
        rewritten = self.accepted is not None and not descends
        changes = dict(self._edits(files, head, resolve, repin))
        changes |= self._deletions(files)
        blocked = self._brake(changes)
        waits = rewritten or blocked
        freeze = {name for name, sweep in changes.items() if self._removes(sweep) and (waits or self._beside(changes))}
        return Plan(changes, frozenset(freeze), blocked, rewritten, head)

    def _edits(
        self,
        files: Mapping[str, File],
        head: str,
        resolve: Callable[[str], str | None],
        repin: Collection[str],
    ):
        good = [file.written for file in files.values() if not file.fault]
        for spec in good:
            old = self.sweeps.get(spec.name)
            alive = old is not None and not old.deleted
            if [each.name for each in good].count(spec.name) > 1:
                continue  # a name that is taken twice is an error of both
            if alive and old.spec.text() == spec.text() and spec.name not in repin:
                continue
            key = (spec.command, spec.environment, spec.revision)
            same = alive and key == (old.spec.command, old.spec.environment, old.spec.revision)
            pin = old.pin if same and spec.name not in repin else resolve(spec.revision) if spec.revision else head
            if pin is None:
                continue  # its revision is not there: the last good spec stays
            base = old if old is not None else Sweep(spec)
            yield spec.name, base.after(spec, pin, self.draw(spec.name), deleted=False)

    def _deletions(self, files: Mapping[str, File]) -> dict[str, Sweep]:
        """While a manifest's sweep cannot be named, nobody can tell that a sweep is gone."""
        if not all(file.readable for file in files.values()):
            return {}
        there = {file.written.name for file in files.values()}
        gone = [name for name, sweep in self.sweeps.items() if not sweep.deleted and name not in there]
        return {
            name: self.sweeps[name].after(self.sweeps[name].spec, self.sweeps[name].pin, self.draw(name), deleted=True)
            for name in gone
        }

    def _brake(self, changes: Mapping[str, Sweep]) -> bool:
        """Half of the sweeps, two at least, or too many active tasks; what waits already is judged with it."""
        waiting = [sweep for name, sweep in self.sweeps.items() if sweep.frozen and name not in changes]
        pending = sum(sweep.deleted and sweep.frozen for sweep in self.sweeps.values())
        alive = sum(not sweep.deleted for sweep in self.sweeps.values())
        leaving = sum(sweep.deleted for sweep in changes.values()) + pending
        ending = sum(ends for sweep in [*changes.values(), *waiting] for _, ends in sweep.leaving())
        return (leaving >= 2 and 2 * leaving > alive + pending) or ending > self.prune_max_tasks

    def _beside(self, changes: Mapping[str, Sweep]) -> bool:
        """Whether removals of other sweeps wait for an approval."""
        return self.blocked and any(sweep.frozen for name, sweep in self.sweeps.items() if name not in changes)

    def _removes(self, sweep: Sweep) -> bool:
        return any(True for _ in sweep.leaving())

    # -- it happens

    def flip(self, plan: Plan, name: str, *, freeze: bool) -> None:
        """A sweep's new generation is in force."""
        sweep = self.sweeps[name] = plan.changes.pop(name)
        sweep.frozen = freeze
        sweep.settle()

    def finish(self, plan: Plan) -> None:
        """The pass is over: the history may have become the history."""
        built_upon = self.history and not plan.rewritten and plan.head != self.accepted
        if built_upon and not plan.blocked and not self.blocked:
            self.thaw()
        self.history |= plan.rewritten
        self.blocked |= plan.blocked
        self.accepted = plan.head
        self._forget()

    def thaw(self) -> None:
        for sweep in self.sweeps.values():
            if sweep.frozen:
                sweep.frozen = False
                sweep.settle()

    def approve(self) -> None:
        self.thaw()
        self._forget()

    def _forget(self) -> None:
        if not any(sweep.frozen for sweep in self.sweeps.values()):
            self.history = self.blocked = False
