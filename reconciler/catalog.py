"""The accepted sweeps, understood: each row of the store with its spec, kept in memory until its generation changes.

The daemon is the store's only writer, so it says itself when a row has changed (`refresh`); nothing is read twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from reconciler.core import command
from reconciler.core.diff import DiffPolicy
from reconciler.core.lifecycle import reruns, settle
from reconciler.core.model import (
    Attempt,
    Code,
    Commit,
    Digest,
    Instant,
    Point,
    ProjectName,
    Resources,
    SweepName,
    Task,
    Work,
)
from reconciler.core.spec import RetryPolicy, SweepSpec, SweepState
from reconciler.manifests import from_document
from reconciler.store import Reader, SweepRow
from reconciler.store.database import damaged


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One accepted sweep: what the store knows of it, and its spec."""

    row: SweepRow
    spec: SweepSpec
    policy: DiffPolicy

    @property
    def name(self) -> SweepName:
        return self.row.name

    @property
    def digest(self) -> Digest:
        return self.policy.digest

    @property
    def pin(self) -> Commit | None:
        return self.row.pin

    @property
    def code(self) -> Code | None:
        """What its tasks run."""
        return None if self.row.pin is None else Code(ProjectName(self.spec.project), self.row.pin)

    @property
    def wants(self) -> bool:
        """Whether its desired tasks are to run at all, now or later."""
        return not self.row.deleted and self.spec.state is not SweepState.CANCELLED

    def work(self, task: Task) -> Work:
        """What the task's next attempt runs."""
        return command.render(self.spec, Point(task.key.task, task.replicate, task.parameters))

    def resources(self, task: Task) -> Resources:
        """What the task's next attempt asks for, before what retry rules add."""
        if self._fixed_resources is not None:
            return self._fixed_resources
        return self.work(task).resources

    @property
    def alike(self) -> bool:
        """Whether all its tasks ask for the same, but for what retry rules add."""
        return self._fixed_resources is not None

    @cached_property
    def _fixed_resources(self) -> Resources | None:
        """The resources of every task, unless they depend on its parameters."""
        return command.fixed_resources(self.spec)


class Catalog:
    """All sweeps of the store by name."""

    def __init__(self, store: Reader) -> None:
        self._store = store
        self._sweeps: dict[SweepName, Sweep] = {}
        self.refresh_all()

    def get(self, name: SweepName) -> Sweep | None:
        return self._sweeps.get(name)

    def sweeps(self) -> Iterable[Sweep]:
        return list(self._sweeps.values())

    def settled(self, task: Task, attempt: Attempt, now: Instant) -> Task:
        """The task after its newest attempt has changed, as its sweep's spec in force has it."""
        sweep = self.get(attempt.key.sweep)
        if sweep is None:
            return settle(task, attempt, retry=RetryPolicy(), desired=False, rerun=False, now=now)
        rerun = reruns(attempt, digest=sweep.digest, policy=sweep.policy.update_policy)
        wanted = task.desired and sweep.wants
        return settle(task, attempt, retry=sweep.spec.retry, desired=wanted, rerun=rerun, now=now)

    def refresh(self, name: SweepName) -> None:
        """The row of this sweep has changed, or nothing of it is active any more."""
        row = self._store.sweep(name)
        if row is None or self._is_over(row):
            self._sweeps.pop(name, None)
        else:
            self._take(row)

    def _is_over(self, row: SweepRow) -> bool:
        """Deleted, and nothing is left to be done for it."""
        over = row.deleted and not row.frozen and not row.settling
        return over and not any(name == row.name for name, _ in self._store.active_counts())

    def refresh_all(self) -> None:
        rows = self._store.sweeps()
        for name in set(self._sweeps) - {row.name for row in rows}:
            del self._sweeps[name]
        for row in rows:
            self._take(row)

    def _take(self, row: SweepRow) -> None:
        if row.policy is None:  # nothing was ever accepted under this name
            self._sweeps.pop(row.name, None)
            return
        known = self._sweeps.get(row.name)
        same = known is not None and known.row.document_digest == row.document_digest
        spec = known.spec if known is not None and same else _spec(row)
        self._sweeps[row.name] = Sweep(row=row, spec=spec, policy=row.policy)


def _spec(row: SweepRow) -> SweepSpec:
    """Of the document that was accepted. Raises StoreError when the state does not hold it any more."""
    try:
        return from_document(json.loads(row.document))
    except (AssertionError, KeyError, ValueError, TypeError, AttributeError) as error:  # it was checked when it came
        raise damaged(f"the state's manifest of {row.name} makes no sense: {error}") from error
