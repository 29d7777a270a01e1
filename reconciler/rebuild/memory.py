"""Which manifest each sweep was last served with: git remembers what the lost state had accepted.

A manifest that is broken now, or that has left, stands in the history as it was when it was good.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.controller.survey import AtCommit, Manifest, Survey, Surveyor
from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit, SweepName
from reconciler.core.settings import SELF
from reconciler.core.spec import SweepSpec
from reconciler.rebuild.past import Past
from reconciler.rebuild.recall import Remembered, Standing
from reconciler.repository import Repository

HISTORY_MAX = 1_000  # commits that are looked through for a manifest that is not good now


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The manifests of the head, and the last good ones of sweeps that have none there, each with its commit."""

    head: Commit
    survey: Survey
    former: dict[SweepName, tuple[Manifest, Commit]]

    def desired(self, name: SweepName) -> SweepSpec | None:
        """The spec in force, or that was in force; None when nobody remembers."""
        if name in self.survey.sweeps:
            return self.survey.sweeps[name].loaded.spec
        return self.former[name][0].loaded.spec if name in self.former else None

    def standing(self, name: SweepName) -> Standing:
        """What the head says of a sweep: that it has left only if that is certain."""
        if name in self.survey.sweeps:
            return Standing.IN_FORCE
        gone = self.survey.complete and name not in self.survey.broken_names
        return Standing.GONE if gone else Standing.BROKEN


async def recollect(repository: Repository, surveyor: Surveyor, head: Commit, names: Iterable[SweepName]) -> Memory:
    """Look through the history for as long as one of these sweeps has no good manifest. Raises RepositoryError."""
    survey = await surveyor.survey(AtCommit(repository, head))
    missing = set(names) - survey.sweeps.keys()
    former: dict[SweepName, tuple[Manifest, Commit]] = {}
    for commit in await repository.history(head, limit=HISTORY_MAX) if missing else ():
        then = await surveyor.survey(AtCommit(repository, commit))
        former.update({name: (then.sweeps[name], commit) for name in missing & then.sweeps.keys()})
        missing -= then.sweeps.keys()
        if not missing:
            break
    return Memory(head=head, survey=survey, former=former)


async def remember(repository: Repository, memory: Memory, past: Past, name: SweepName) -> Remembered:
    """A sweep as it was last served, pinned to the commit that its attempts ran."""
    standing = memory.standing(name)
    manifest, commit = memory.survey.sweeps.get(name), memory.head
    if manifest is None and name in memory.former:
        manifest, commit = memory.former[name]
    pin = None if manifest is None else await _pin(repository, manifest.loaded.spec, commit, past)
    if manifest is None or pin is None:
        return Remembered(name=name, standing=standing, path="", document=None, commit=commit, pin=None)
    document = manifest.loaded.document
    return Remembered(name=name, standing=standing, path=manifest.path, document=document, commit=commit, pin=pin)


async def _pin(repository: Repository, spec: SweepSpec, commit: Commit, past: Past) -> Commit | None:
    """None: its revision cannot be found. Then the next pass says so, and nothing of it starts."""
    known = past.pin(spec.name, spec)
    if known is not None:
        return known
    if spec.project != SELF:  # it is asked for when the daemon serves again
        return None
    if spec.revision is None:
        return commit
    try:
        return await repository.resolve(spec.revision)
    except RepositoryError:
        return None
