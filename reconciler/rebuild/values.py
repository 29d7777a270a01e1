"""What a rebuild tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.model import Commit, InstanceId, Phase, SourceName, SweepName
from reconciler.rebuild.past import Left
from reconciler.store.whole import Examined


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTold:
    """A source, whose root it has ("" for nobody's), and how many attempts of ours were found there.

    jobs  how many of these are in the queue of its scheduler; a rehearsal does not ask
    """

    name: SourceName
    root: str
    owner: InstanceId
    attempts: int
    jobs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTold:
    """A sweep as it now is.

    standing  in force, broken (its last good manifest counts), gone, or new: nothing of it was ever started
    tasks     desired ones by phase
    attempts  how many were found
    active    tasks that run or may, desired or not
    waits     whether removals of it wait for an approval
    """

    name: SweepName
    standing: str
    tasks: Mapping[Phase, int]
    attempts: int
    active: int
    waits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild came to.

    found      the state as it was
    plan       what `reconciler approve` takes, "" when no removal waits
    nameless   attempts of ours that no task was found for
    strangers  attempts of others, and of tasks that cannot be: they are left alone
    doubled    attempts of which a stronger namesake was found on another source
    kept       where the files of the old state are now; none after a rehearsal
    """

    found: Examined
    instance: InstanceId
    revision: Commit
    sources: tuple[SourceTold, ...]
    sweeps: tuple[SweepTold, ...]
    plan: str
    nameless: tuple[Left, ...]
    strangers: tuple[Left, ...]
    doubled: tuple[Left, ...]
    kept: tuple[Path, ...] = ()
