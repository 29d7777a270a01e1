"""What is left of attempts, put in order: which is whose, which are nobody's, and what they tell about their sweeps.

Names are hashes of what they name. So an eid proves which attempt it is, whatever else was lost: what a spec says is
believed only when it hashes to its own eid, and an attempt without a spec is recognised by trying.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from reconciler.core.identity import canonical_json, eid, short_hash, work_digest
from reconciler.core.model import (
    AttemptKey,
    Commit,
    Digest,
    Eid,
    HostIdentity,
    InstanceId,
    Instant,
    Point,
    SourceName,
    SweepName,
    TaskId,
    TaskKey,
)
from reconciler.core.spec import SweepSpec
from reconciler.core.wire import ClaimKind, Remains, SpecRemains

GAP = 2  # so many numbers may be missing: intents of which nothing had come to be there
_SWEEP = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?")
_TASK = re.compile(r"[a-z2-7]{10}")
_WORKTREE = re.compile(r".*/projects/self/([0-9a-f]{40}|[0-9a-f]{64})")  # of attempts that do not name their code


class Left(NamedTuple):
    """What is left of one attempt, and where."""

    source: SourceName
    scheduled: bool  # whether a scheduler keeps the queue there
    here: HostIdentity  # who looked
    remains: Remains

    @property
    def eid(self) -> Eid:
        return self.remains.found.eid

    @property
    def spec(self) -> SpecRemains | None:
        return self.remains.spec

    @property
    def digest(self) -> Digest | None:
        """Of the work that it was for; the claim says what really ran."""
        claim = self.remains.found.claim
        told = (claim.digest if claim is not None else "") or (self.spec.digest if self.spec is not None else "")
        return Digest(told) if told else None

    @property
    def at(self) -> Instant | None:
        """When it started, or was given up."""
        claim = self.remains.found.claim
        return None if claim is None else claim.at

    @property
    def started(self) -> bool:
        claim = self.remains.found.claim
        return claim is not None and claim.kind is ClaimKind.STARTED

    @property
    def strength(self) -> int:
        """Which of two counts, should one name lie on two sources: success, then what may run, then what has ended."""
        record = self.remains.found.exit
        if self.started:
            return 4 if record is None else 5 if record.exit_code == 0 else 3
        return 2 if self.remains.found.torn else 1 if self.remains.found.claim is not None else 0


class Past:
    """All attempts that were found.

    attempts   by task and number
    points     of their tasks, as far as they were looked for
    nameless   ours by their name, but without a spec that is true, and not recognised so far
    strangers  another instance's, or of a task that cannot be
    doubled    one name on two sources: the weaker of the two
    moment     how far the lost state had come at least, by its marks; daemons: who had left those
    """

    def __init__(self, instance: InstanceId) -> None:
        self.instance = instance
        self.moment = 0
        self.daemons: set[str] = set()
        self.attempts: dict[AttemptKey, Left] = {}
        self.points: dict[TaskKey, Point] = {}
        self.nameless: dict[Eid, Left] = {}
        self.strangers: list[Left] = []
        self.doubled: list[Left] = []
        self._newest: defaultdict[SweepName, dict[TaskKey, int]] = defaultdict(dict)

    def add(self, left: Left) -> None:
        """Take one in."""
        found = left.remains.found
        if not (found.staged or found.exit or found.torn):
            return  # a folder, and nothing in it: nobody has come so far as to be remembered
        if not left.eid.startswith(f"g{self.instance}"):
            self.strangers.append(left)
            return
        key = _claimed_key(left.spec)
        if key is not None and eid(self.instance, key.task_key, key.number) == left.eid:
            self._take(key, left)
            return
        other = self.nameless.get(left.eid)
        self.nameless[left.eid] = left._replace(remains=replace(left.remains, spec=None))
        if other is not None:
            self.doubled.append(other)

    def sweeps(self) -> list[SweepName]:
        """Those that have attempts, by name."""
        return sorted(self._newest)

    def tasks(self, name: SweepName) -> list[TaskKey]:
        """Those of a sweep that have attempts, by id."""
        return sorted(self._newest[name])

    def numbered(self, key: TaskKey) -> list[tuple[AttemptKey, Left]]:
        """A task's attempts, the first one first."""
        numbers = range(1, self._newest[key.sweep][key] + 1)
        keys = (AttemptKey(*key, number) for number in numbers)
        return [(each, self.attempts[each]) for each in keys if each in self.attempts]

    def find_points(self, name: SweepName, desired: Iterable[Point], replicates_max: int) -> Iterator[int]:
        """Find the points of a sweep's tasks, and recognise attempts without a spec; yields how many it has looked at.

        desired: what the manifest asks for now. Whoever is no task of the sweep, now or then, is a stranger.
        """
        known = self._newest[name]
        for number, point in enumerate(desired):
            key = TaskKey(name, point.task)
            self._recognise(key)
            if key in known:
                self.points[key] = point
            yield number
        former = [key for key in self.tasks(name) if key not in self.points]
        for key in former:
            self._recognise(key)
        self._find_former(name, former, replicates_max)
        for key in [key for key in former if key not in self.points]:
            self.strangers += [self.attempts.pop(each) for each, _ in self.numbered(key)]
            del known[key]
        if not known:
            del self._newest[name]

    def pin(self, name: SweepName, spec: SweepSpec) -> Commit | None:
        """The commit to which the sweep was pinned under this very spec: that of the newest attempt which ran it."""
        digests: dict[Commit, Digest] = {}
        found: list[tuple[Instant, Commit]] = []
        for left in self._of(name):
            commit = _commit(left.spec)
            if commit is None:
                continue
            if commit not in digests:
                digests[commit] = work_digest(spec, commit)
            if digests[commit] == left.digest:
                found.append((left.at or 0.0, commit))
        return max(found)[1] if found else None

    def newest_digest(self, name: SweepName) -> Digest | None:
        """Of the attempt that started last."""
        dated = [(left.at or 0.0, left.digest) for left in self._of(name) if left.digest is not None]
        return max(dated)[1] if dated else None

    def began(self, name: SweepName) -> Instant | None:
        """When the first attempt of a sweep started, or was given up."""
        return min((left.at for left in self._of(name) if left.at is not None), default=None)

    def _of(self, name: SweepName) -> Iterator[Left]:
        return (left for task in self._newest[name] for _, left in self.numbered(task))

    def _take(self, key: AttemptKey, left: Left) -> None:
        other = self.attempts.get(key)
        weaker, stronger = sorted((other, left), key=lambda each: each.strength) if other is not None else (None, left)
        if weaker is not None:
            self.doubled.append(weaker)
        self.attempts[key] = stronger
        numbers = self._newest[key.sweep]
        numbers[key.task_key] = max(key.number, numbers.get(key.task_key, 0))

    def _recognise(self, key: TaskKey) -> None:
        """Is one of the nameless an attempt of this task?"""
        number, missed = 1, 0
        while self.nameless and (missed < GAP or number <= self._newest[key.sweep].get(key, 0)):
            left = self.nameless.pop(eid(self.instance, key, number), None)
            if left is not None:
                self._take(AttemptKey(*key, number), left)
            missed = missed + 1 if left is None else 0
            number += 1

    def _find_former(self, name: SweepName, former: Iterable[TaskKey], replicates_max: int) -> None:
        """Points that are not asked for any more: their specs have the parameters, their ids tell the replicate."""
        alike: defaultdict[str, dict[TaskId, SpecRemains]] = defaultdict(dict)
        for key in former:
            for _, left in self.numbered(key):
                if left.spec is not None and (text := _open_text(name, left.spec)):
                    alike[text][key.task] = left.spec
        for text, specs in alike.items():
            for replicate in range(replicates_max):
                spec = specs.pop(task := TaskId(short_hash(f"{text},{replicate}]")), None)
                if spec is not None:
                    self.points[TaskKey(name, task)] = Point(task, replicate, spec.parameters)
                if not specs:
                    break


def _commit(spec: SpecRemains | None) -> Commit | None:
    """Of the code that an attempt ran, if its spec tells."""
    if spec is None:
        return None
    worktree = _WORKTREE.fullmatch(spec.cwd or "")
    return Commit(spec.commit) if spec.commit else Commit(worktree[1]) if worktree is not None else None


def _claimed_key(spec: SpecRemains | None) -> AttemptKey | None:
    """Whose it says that it is; None when no task or number can be called so."""
    if spec is None or spec.attempt < 1 or not (_SWEEP.fullmatch(spec.sweep) and _TASK.fullmatch(spec.task)):
        return None
    return AttemptKey(SweepName(spec.sweep), TaskId(spec.task), spec.attempt)


def _open_text(name: SweepName, spec: SpecRemains) -> str:
    """What a task's id is a hash of, without the replicate at its end; "" when no task has such parameters."""
    try:
        return canonical_json([name, spec.parameters])[:-1]
    except (ValueError, TypeError):
        return ""
