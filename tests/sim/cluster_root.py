"""What lies on a cluster's shared file system: staged attempts, claims, records, submissions, the owner and the epochs.

A link is decided by the server, at once and for all. What a client sees may be old: each file becomes visible a while
after it was written, as caches of attributes and of names that were not there have it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reconciler.core.errors import Fenced, Refused
from reconciler.core.model import Eid, InstanceId
from reconciler.core.wire import AttemptSpec, Claim, ExitRecord
from reconciler.links.base import Ruler
from tests.sim.files import failure

ENOSPC = 28


@dataclass
class Folder:
    """attempts/<eid>: seen_at says when a client that has not looked there before sees the file."""

    spec: AttemptSpec | None = None
    claim: Claim | None = None
    claim_seen_at: float = 0.0
    exit: ExitRecord | None = None
    exit_seen_at: float = 0.0
    told: bool = False  # the outbox has it no more
    said: str = ""  # by a job that ended before it had claimed anything


@dataclass
class Batch:
    """batches/<beid>: its elements in order, the claim of its submission, and the scheduler's answer to that."""

    eids: tuple[Eid, ...]
    claimed: bool = False
    array: int | None = None


@dataclass
class Root:
    """One root, and how long clients may not see what is new there."""

    now: Callable[[], float]
    dice: random.Random
    lag_s: float = 0.0
    full: bool = False
    owner: InstanceId | None = None
    epoch: int = 0
    ruler: str = ""
    mark: str = ""  # of the daemon that submitted last
    folders: dict[Eid, Folder] = field(default_factory=dict)
    batches: dict[Eid, Batch] = field(default_factory=dict)

    def rule(self, instance: InstanceId, ruler: Ruler) -> int:
        """Own the root, and win the next epoch. Raises Refused and Fenced."""
        if self.owner is None:
            self.owner = instance
        if self.owner != instance:
            raise Refused("ForeignRoot", f"the root belongs to {self.owner}", hint="give the source another root")
        if ruler.after and self.epoch > ruler.after and self.ruler not in (ruler.daemon, *ruler.earlier):
            raise Fenced("Fenced", "another daemon has ruled this root since")
        self.epoch, self.ruler = self.epoch + 1, ruler.daemon
        return self.epoch

    def stage(self, specs: Sequence[AttemptSpec]) -> None:
        """Lay what the attempts run. Raises OSError."""
        self._writable()
        for spec in specs:
            folder = self.folders.setdefault(spec.eid, Folder())
            folder.spec = folder.spec or spec

    def claim(self, eid: Eid, claim: Claim) -> bool:
        """link(2): whether this claim is the one that lies there. Raises OSError. Who loses has seen the winner's."""
        folder = self.folders.setdefault(eid, Folder())
        if folder.claim is None:
            self._writable()
            folder.claim, folder.claim_seen_at = claim, self._seen_at()
            return True
        folder.claim_seen_at = 0.0
        return False

    def record(self, eid: Eid, record: ExitRecord) -> None:
        """The exit record: its place was kept when the attempt began, so that a full disk does not matter."""
        folder = self.folders[eid]
        folder.exit, folder.exit_seen_at = record, self._seen_at()

    def claim_of(self, eid: Eid) -> Claim | None:
        """As far as a client sees."""
        folder = self.folders.get(eid)
        return folder.claim if folder is not None and folder.claim_seen_at <= self.now() else None

    def record_of(self, eid: Eid) -> ExitRecord | None:
        """As far as a client sees."""
        folder = self.folders.get(eid)
        return folder.exit if folder is not None and folder.exit_seen_at <= self.now() else None

    def news(self) -> list[Eid]:
        """What the outbox shows."""
        return [eid for eid, folder in self.folders.items() if not folder.told and self.record_of(eid) is not None]

    def _writable(self) -> None:
        if self.full:
            raise failure(ENOSPC)

    def _seen_at(self) -> float:
        return self.now() + self.lag_s * self.dice.random() if self.lag_s else 0.0
