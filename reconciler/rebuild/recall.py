"""The past is written into a new store: the tasks that have attempts, the attempts, and what git asks for since.

    1  a generation of exactly the tasks that have attempts
    2  their attempts, as if they were observed now: the very rules by which a daemon observes
    3  the generation that git asks for: it adds what never ran, keeps what did, and lets go what has left

What the lost state alone had known, nobody guesses: what would end something that runs is frozen until a person has
approved it, because it may have been waiting for just that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from reconciler.catalog import Catalog, Sweep
from reconciler.controller.acceptance import policy_of
from reconciler.controller.queues import wanted_resources
from reconciler.controller.steps import finish
from reconciler.core import identity
from reconciler.core.diagnosis import lost
from reconciler.core.diff import DiffPolicy, Reason
from reconciler.core.evidence import Scheduled, evidence
from reconciler.core.model import Attempt, AttemptKey, Commit, Instant, Json, Phase, Resources, SweepName, Task, TaskKey
from reconciler.core.parameters import expand
from reconciler.core.resolve import resolve
from reconciler.core.spec import SweepSpec
from reconciler.core.wire import Ended
from reconciler.cron import first_tick_after
from reconciler.manifests import from_document
from reconciler.rebuild.past import Left, Past
from reconciler.store import Draft, Store

PAGE = 500
FIRST_STEP_S = 60.0  # back in time, doubled, to before the tick that had opened a schedule's gate
STEPS = 24


class Standing(Enum):
    """What the repository says of a sweep that has a past."""

    IN_FORCE = "in force"
    BROKEN = "broken"  # its manifest cannot be understood now: the last good one counts
    GONE = "gone"  # its manifest has left


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A sweep that has a past, with its manifest in force: the last good one. document None: none was found."""

    name: SweepName
    standing: Standing
    path: str
    document: Json
    commit: Commit
    pin: Commit | None


class Recall:
    """Writes into one new store, at one instant."""

    def __init__(self, store: Store, past: Past, now: Instant) -> None:
        self._store = store
        self._past = past
        self._now = now
        self._catalog = Catalog(store)

    def sweep(self, sweep: Remembered) -> Iterator[int]:
        """A sweep with all its attempts; yields how many of them so far."""
        tasks = self._past.tasks(sweep.name)
        document = _placeholder(sweep.name) if sweep.document is None else sweep.document
        spec = from_document(document)
        policy = self._policy(sweep, spec)
        draft = Draft(
            name=sweep.name,
            path=sweep.path,
            commit=sweep.commit,
            document=identity.declared_json(document),
            document_digest="" if sweep.document is None else identity.spec_digest(spec),
            pin=sweep.pin,
            policy=policy,
        )
        finish(self._store.stage(sweep.name, enumerate(self._past.points[key] for key in tasks)))
        finish(self._store.accept(draft, freeze=False, at=self._opened(sweep.name, spec)))
        yield from self._attempts(sweep.name, tasks)
        if sweep.standing is Standing.GONE:
            self._judge(replace(draft, policy=replace(policy, deletion=spec.deletion_policy)))
        elif sweep.document is not None:
            finish(self._store.stage(sweep.name, enumerate(expand(spec))))
            self._judge(draft)

    def give_up_unstarted(self, without_program: Collection[SweepName]) -> None:
        """What has not started, and is not asked for any more, or not to be run by what is left of its sweep."""
        for source in sorted({left.source for left in self._past.attempts.values()}):
            queued = [each for each in self._store.open_attempts(source) if each.phase is Phase.QUEUED]
            tasks = self._store.tasks_by_key(each.key.task_key for each in queued)
            wanted = {key for key, task in tasks.items() if task.desired and task.reason != Reason.REMOVAL_FROZEN}
            unwanted = [
                each.eid for each in queued if each.key.task_key not in wanted or each.key.sweep in without_program
            ]
            self._store.intend_cancel(unwanted, Reason.POINT_REMOVED, self._now)

    def _policy(self, sweep: Remembered, spec: SweepSpec) -> DiffPolicy:
        policy = policy_of(spec, sweep.pin)
        if sweep.document is not None:
            return policy
        return replace(policy, digest=self._past.newest_digest(sweep.name) or policy.digest)

    def _judge(self, draft: Draft) -> None:
        summary = finish(self._store.prepare(draft))
        finish(self._store.commit(draft.name, freeze=summary.removed_active > 0, at=self._now))

    def _opened(self, name: SweepName, spec: SweepSpec) -> Instant:
        """When the sweep was there already. What a schedule has opened once stays open."""
        began = self._past.began(name)
        if began is None or began > self._now:
            return self._now
        opened = began
        for step in range(STEPS if spec.schedule is not None else 0):
            tick = first_tick_after(spec.schedule or "", opened)
            if tick is not None and tick <= began:
                break
            opened = began - FIRST_STEP_S * 2.0**step
        return opened

    def _attempts(self, name: SweepName, tasks: Sequence[TaskKey]) -> Iterator[int]:
        """First attempts of all tasks, then second ones: each finds its task as the one before has left it."""
        self._catalog.refresh(name)
        sweep = self._catalog.get(name)
        assert sweep is not None, "it was just accepted"
        rounds = [self._past.numbered(key) for key in tasks]
        done, depth = 0, 0
        while rounds := [each for each in rounds if len(each) > depth]:
            for first in range(0, len(rounds), PAGE):
                done += self._record(sweep, rounds[first : first + PAGE], depth)
                yield done
            depth += 1

    def _record(self, sweep: Sweep, page: Sequence[Sequence[tuple[AttemptKey, Left]]], depth: int) -> int:
        """One attempt of each of these tasks."""
        tasks = self._store.tasks_by_key(each[depth][0].task_key for each in page)
        pairs = []
        for each in page:
            key, left = each[depth]
            pairs.append(self._pair(sweep, tasks[key.task_key], key, left, newest=depth == len(each) - 1))
        self._store.record(pairs, self._now)
        return len(pairs)

    def _pair(self, sweep: Sweep, task: Task, key: AttemptKey, left: Left, *, newest: bool) -> tuple[Attempt, Task]:
        attempt = recalled(left, self._intended(sweep, task, key, left), self._now, newest=newest)
        if task.phase.ended and task.digest == attempt.digest:  # it had ended for good: somebody has asked for a retry
            task = replace(task, failures=0, uncounted=0, scale={})
        return attempt, self._catalog.settled(task, attempt, attempt.ended_at or self._now)

    def _intended(self, sweep: Sweep, task: Task, key: AttemptKey, left: Left) -> Attempt:
        """The attempt as it must have been intended."""
        claim = left.remains.found.claim
        at = self._now if left.at is None else left.at
        return Attempt(
            key=key,
            eid=left.eid,
            source=left.source,
            digest=left.digest or task.digest or sweep.digest,
            phase=Phase.QUEUED,
            home=claim.home if claim is not None else left.here,
            resources=_resources(sweep, task, left),
            intended_at=at,
            sent_at=at if left.scheduled else None,
            accepted_at=at if left.started else None,
            directory=left.remains.found.directory,
        )


def recalled(left: Left, intended: Attempt, now: Instant, *, newest: bool) -> Attempt:
    """What has become of an attempt. A later one was made only after its end was proven, whatever still shows that."""
    found, attempt = left.remains.found, intended
    if found.exit is not None and found.exit.ended_by is Ended.CANCEL:  # by us, as far as can be told
        attempt = replace(attempt, cancel=Reason.CANCELLED, cancel_at=found.exit.ended_at)
    if left.remains.dead and not left.scheduled:
        return lost(attempt, now, "the source was rebooted, and its claim cannot be read")
    queue = Scheduled(gone=frozenset(), clock=now) if left.scheduled else None  # one listing is no proof of absence
    known = resolve(attempt, evidence(attempt, found, left.here, queue), now)
    attempt = known if isinstance(known, Attempt) else attempt
    if not newest and not attempt.phase.ended:
        return lost(attempt, now, "its end was proven before the next attempt was made")
    return attempt


def _resources(sweep: Sweep, task: Task, left: Left) -> Resources:
    """What it asked for: as its spec says, as far as that goes, else as the manifest does now."""
    try:
        resources = wanted_resources(sweep, task)
    except ValueError:  # a template of today does not fit a point of yesterday
        resources = Resources()
    if left.spec is None:
        return resources
    return replace(resources, walltime_s=left.spec.walltime_s, gpus=left.spec.gpus)


def _placeholder(name: SweepName) -> Mapping[str, Json]:
    """A manifest for what was forgotten: it starts nothing and, should it ever run, succeeds at nothing."""
    return {
        "apiVersion": "reconciler/v1alpha1",
        "kind": "Sweep",
        "metadata": {"name": name},
        "spec": {"state": "Paused", "command": ["false"], "onRemove": "Keep"},
    }
