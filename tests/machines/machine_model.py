"""What the design says, as plainly as it can be written: which tasks there are, and what becomes of them.

Nothing here is taken from the code: the rules are those of the design's chapters on manifests and on the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from machine_manifest import Written
from machine_points import Draw, points

BACKOFF_S = 10.0


@dataclass
class Task:
    """phase: waiting, active or an end. standing: desired, frozen, removed or orphaned. work: of its newest attempt."""

    phase: str = "waiting"
    standing: str = "desired"
    work: Any = None
    cancelling: bool = False
    done: set[Any] = field(default_factory=set)  # every work with which it succeeded
    failures: int = 0
    wake: float = 0.0
    attempts: int = 0

    @property
    def counted(self) -> bool:
        """A removal that waits for a word is none yet."""
        return self.standing in ("desired", "frozen")

    def again(self) -> None:
        """Waiting, with a fresh budget."""
        self.phase, self.work, self.failures, self.wake = "waiting", None, 0, 0.0


@dataclass
class Sweep:
    spec: Written
    pin: str = ""
    wanted: list[str] = field(default_factory=list)
    deleted: bool = True
    frozen: bool = False
    tasks: dict[str, Task] = field(default_factory=dict)

    @property
    def work(self) -> Any:
        """What defines the work besides the point."""
        return self.spec.command, self.spec.environment, self.spec.derived, self.pin

    @property
    def desired(self) -> set[str]:
        return {name for name, task in self.tasks.items() if task.counted}

    def startable(self, now: float) -> set[str]:
        return {
            name
            for name, task in self.tasks.items()
            if (task.phase, task.standing) == ("waiting", "desired") and task.wake <= now
        }

    def removal(self) -> str:
        """How an active task leaves."""
        if self.spec.state == "Cancelled":
            return "Cancel"
        if self.deleted:
            return self.spec.deletion
        return "Cancel" if self.spec.remove == "Cancel" else "Drain"

    # -- a new generation

    def after(self, spec: Written, pin: str, draw: Draw, *, deleted: bool) -> Sweep:
        """The sweep with a new spec, its tasks not judged yet."""
        return Sweep(spec, pin, [] if deleted else points(spec, draw), deleted, False, self.tasks)

    def leaving(self) -> Iterator[tuple[Task, bool]]:
        """The removal set, and whether the active attempt of each would be ended or let go."""
        for name, task in self.tasks.items():
            active = task.phase == "active"
            gone = name not in self.wanted and (self.deleted or self.spec.remove != "Keep")
            if task.counted and gone:
                yield task, active and self.removal() != "Drain"
            elif (active and self._replaced(task) and (task.counted or name in self.wanted)) or self._drains(
                name, task
            ):
                yield task, True

    def _wants(self, name: str, task: Task) -> bool:
        return task.counted or name in self.wanted

    def _replaced(self, task: Task) -> bool:
        kept = self.spec.state == "Cancelled" or task.cancelling or task.work == self.work
        return self.spec.update == "Replace" and not kept

    def _drains(self, name: str, task: Task) -> bool:
        """It was let finish, and now something stricter is asked for."""
        drains = task.phase == "active" and task.standing == "removed" and not task.cancelling
        return drains and name not in self.wanted and self.removal() != "Drain"

    def settle(self) -> None:
        """Every task as the spec in force has it."""
        for name in self.wanted:
            self.tasks.setdefault(name, Task())
        for name, task in list(self.tasks.items()):
            keeps = task.counted and not self.deleted and self.spec.remove == "Keep"
            frozen = self.frozen and not (task.phase == "active" and self.spec.state == "Cancelled")
            if name in self.wanted or keeps:
                task.standing = "desired"
                if task.phase == "active":
                    replaced = self._replaced(task) and not self.frozen
                    task.cancelling |= replaced or self.spec.state == "Cancelled"
                else:
                    self.judge(task)
            elif task.counted and frozen:
                task.standing = "frozen"
            elif task.counted or (self._drains(name, task) and not frozen):
                self._remove(name, task)

    def _remove(self, name: str, task: Task) -> None:
        task.standing = "removed"
        if task.phase == "active" and self.removal() == "Orphan":
            task.standing = "orphaned"
        elif task.phase == "active" and self.removal() == "Cancel":
            task.cancelling = True
        elif task.phase == "waiting" and not task.attempts:
            del self.tasks[name]

    # -- what happens to one task

    def judge(self, task: Task) -> None:
        """A desired task that is not active: does what it came to still stand?"""
        if task.phase == "succeeded" and task.work == self.work:
            return
        if self.work in task.done:
            task.phase, task.work = "succeeded", self.work
            return
        stands = {
            "succeeded": self.spec.update == "Keep",
            "cancelled": self.spec.state == "Cancelled",
            "failed": task.work == self.work,
            "waiting": task.work in (None, self.work),
        }
        if not stands[task.phase]:
            task.again()

    def intended(self, task: Task) -> None:
        if task.work != self.work:
            task.failures = 0
        task.phase, task.work, task.cancelling, task.wake = "active", self.work, False, 0.0
        task.attempts += 1

    def ended(self, task: Task, outcome: str, now: float, *, counted: bool) -> None:
        """outcome: succeeded, failed or cancelled; counted: it had started."""
        task.phase, task.cancelling = outcome, False
        if outcome == "succeeded":
            task.done.add(task.work)
        wants = task.counted and not self.deleted and self.spec.state != "Cancelled"
        outdated = task.work != self.work and not (outcome == "succeeded" and self.spec.update == "Keep")
        task.failures += outcome == "failed" and counted
        if wants and outdated:
            task.again()
        elif wants and outcome == "cancelled":
            task.phase = "waiting"
        elif wants and outcome == "failed" and (not counted or task.failures <= self.spec.limit):
            task.phase, task.wake = "waiting", now + BACKOFF_S
        if task.standing == "desired":
            self.judge(task)
