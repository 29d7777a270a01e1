"""Absence is not desire: which cancellations anybody has asked for, by the commits themselves.

Asked again from the history, without the reconciler's diff: the commit that is in force for a sweep, what its manifest
says, and whether that commit's removals had to wait, because it rewrote history or took very much away.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.core.model import Commit, TaskId
from tests.sim.git import History
from tests.sim.manifests import Sweep, Tree

if TYPE_CHECKING:
    from tests.sim.oracle import Recorded

ALWAYS = frozenset({"ProjectNotReady"})  # nothing of it had started, and git has no part in it


@dataclass(frozen=True)
class InForce:
    """What a store has put in force for one sweep, and why its removals must wait ("": they need not).

    heads: those that say the same of it, each accepted after the other; when they rewrite history, too.
    """

    commit: Commit
    deleted: bool
    spec: Sweep | None  # the last manifest that could be understood
    waits: str
    at: float
    heads: tuple[Commit, ...] = ()

    @property
    def left(self) -> object:
        """What is desired of it."""
        return None if self.deleted or self.spec is None else self.spec.tasks


@dataclass
class Desire:
    """What one store has accepted so far."""

    accepted: Commit | None = None
    sweeps: dict[str, InForce] = field(default_factory=dict)
    approved_at: float = -1.0
    approved: frozenset[tuple[str, object]] = frozenset()  # removals as they were seen then: sweeps, and what is left
    removed: dict[Commit, int] = field(default_factory=dict)  # active attempts that each commit has ended

    def copy(self) -> Desire:
        return replace(self, sweeps=dict(self.sweeps), removed=dict(self.removed))

    def approve(self, now: float) -> None:
        """A person has seen what waits, and lets it go ahead, also when the next pass finds the very same."""
        self.approved_at = now
        self.approved = frozenset((name, found.left) for name, found in self.sweeps.items())


class Lawyer:
    """Judges cancellations. prune_max: as in the configuration; slack: how many may start meanwhile."""

    def __init__(self, history: History, *, prune_max: int, slack: int) -> None:
        self._history = history
        self._most = prune_max + slack

    def put_in_force(self, desire: Desire, name: str, commit: Commit, *, deleted: bool, now: float) -> None:
        """A store has flipped a sweep's generation."""
        known = desire.sweeps.get(name)
        spec = self._tree(commit).sweeps.get(name) if not deleted else None
        last_good = spec or (known.spec if known is not None else None)
        waits = self._waits(desire, commit, deleted=deleted)
        desire.sweeps[name] = InForce(commit, deleted, last_good, waits, now)

    def accept(self, desire: Desire, commit: Commit | None) -> None:
        """A store has accepted a head: what waits, and stands there as well, waits for whoever builds upon this one."""
        desire.accepted = commit
        for name, found in desire.sweeps.items():
            if found.waits and commit is not None and self._says_the_same(commit, name, found):
                desire.sweeps[name] = replace(found, heads=(*found.heads, commit))

    def objection(self, desire: Desire, new: Recorded, *, lives: bool) -> str:
        """Why this cancellation must not be; "" when somebody asked for it.

        lives: it runs at this moment. What has ended is not harmed by it: a copy of an older state may ask that of an
        attempt that it believes to be waiting.
        """
        if new.cancel in ALWAYS or (new.cancel == "Outdated" and not lives):
            return ""
        found = desire.sweeps.get(new.sweep)
        if found is None:
            return "nothing of that sweep is in force"
        if found.spec is not None and found.spec.state == "Cancelled" and not found.deleted:
            return ""
        cause = self._asked_for(found, new)
        if cause:
            return cause
        approved = desire.approved_at >= found.at or (new.sweep, found.left) in desire.approved
        if found.waits and not approved and not self._built_upon((found.commit, *found.heads)):
            return found.waits
        desire.removed[found.commit] = desire.removed.get(found.commit, 0) + 1
        if desire.removed[found.commit] > self._most and not approved:
            return f"it is the {desire.removed[found.commit]}th that {found.commit[:8]} ends"
        return ""

    def _asked_for(self, found: InForce, new: Recorded) -> str:
        tree = self._tree(found.commit)
        if found.deleted:
            if new.sweep in tree.sweeps:
                return f"{found.commit[:8]} still has that sweep"
            if not tree.named or new.sweep in tree.broken:
                return f"at {found.commit[:8]} a manifest is broken: nobody can tell that it is gone"
            if found.spec is not None and found.spec.deletion != "Cancel" and found.spec.state != "Cancelled":
                return f"its deletion policy is {found.spec.deletion}"
            return ""
        spec = found.spec
        if spec is None:
            return "its manifest was never understood"
        if spec.update == "Replace" and new.cancel == "Outdated":
            return ""
        if TaskId(new.task) in spec.tasks:
            return f"{found.commit[:8]} has that point"
        return "" if spec.on_remove == "Cancel" else f"its point left, and onRemove says {spec.on_remove}"

    def _waits(self, desire: Desire, commit: Commit, *, deleted: bool) -> str:
        """Why removals of this commit, accepted after what the store had accepted before, must wait."""
        before = desire.accepted
        if before is None:
            return ""
        if not self._history.descends(commit, before):
            return f"{commit[:8]} rewrites history: it does not descend from {before[:8]}"
        gone_before = {name for name, found in desire.sweeps.items() if found.deleted and found.commit != commit}
        there = self._tree(before).sweeps.keys() - gone_before  # by a pass that did not come to its end
        gone = there - self._tree(commit).sweeps.keys() - self._tree(commit).broken
        if deleted and len(gone) >= 2 and len(gone) * 2 > len(there):
            return f"{commit[:8]} takes {len(gone)} of {len(there)} sweeps away"
        return ""

    def _says_the_same(self, commit: Commit, name: str, found: InForce) -> bool:
        spec = self._tree(commit).sweeps.get(name)
        return spec is None if found.deleted else spec == found.spec

    def _built_upon(self, heads: tuple[Commit, ...]) -> bool:
        """Somebody has pushed upon one of them since: then the rewritten history is the history."""
        pushed = [commit for _, commit in self._history.pushed]
        return any(each != head and self._history.descends(each, head) for head in heads for each in pushed)

    def _tree(self, commit: Commit) -> Tree:
        return self._history.changes[commit].tree
