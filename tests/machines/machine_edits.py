"""The machine's body: a world and its model side by side, and what must hold between them after every step."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine_model import BACKOFF_S, Sweep, Task
from machine_pass import File, Plan, Repository
from machine_points import draw
from machine_steps import Job, Killed
from machine_world import World
from store_lab import CHECKS

from reconciler import crashpoints
from reconciler.core.model import Attempt, Eid, Phase, TaskKey
from reconciler.requests import Verb

ENDS = {Phase.SUCCEEDED: "succeeded", Phase.FAILED: "failed", Phase.LOST: "failed", Phase.CANCELLED: "cancelled"}
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"


class Pair:
    """`world` is what is, `model` what should be."""

    def __init__(self, *, slots: int, prune_max_tasks: int) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="m-", dir=MEMORY)
        self.world = World(Path(self.folder.name), slots=slots, prune_max_tasks=prune_max_tasks)
        self.model = Repository(prune_max_tasks, draw)
        self.files: dict[str, File] = {}
        self.trees: dict[str, dict[str, File]] = {self.world.git.main: {}}
        self.looking: Job | None = None
        self.acting: Job | None = None
        self.plan: Plan | None = None
        self.repin: set[str] = set()  # asked for, answered, and not done so far
        self.pinning: frozenset[str] = frozenset()  # what the pass that is under way does of that
        self.asked: list[tuple[Verb, str]] = []
        self.disturbed = False  # something happened while a pass gave way
        self.attempts: dict[Eid, tuple[str, str, int]] = {}
        self.digests: dict[Any, str] = {}
        self.unsure: set[tuple[str, str]] = set()
        self.generations: Counter[str] = Counter()
        self.sound = True  # nothing was found to be wrong
        self.doom = 0  # crash points left to live
        self.seen: Counter[str] = Counter()
        crashpoints.arm(self._point)

    def close(self) -> None:
        crashpoints.arm(None)
        self.world.close()
        self.folder.cleanup()

    # -- whatever the daemon does may be the last thing that it does

    def _point(self, name: str) -> None:
        if self.doom and name.startswith(("store.", "apply.", "repository.", "requests.", "project.")):
            self.doom -= 1
            if not self.doom:
                raise Killed(name)

    def do(self, work: Callable[[], object]) -> bool:
        """Returns whether it lived through it."""
        self.sound = False
        try:
            work()
        except Killed:
            self.restart()
            return False
        self.absorb()
        return True

    def restart(self) -> None:
        """Another daemon on the same state."""
        self.seen["kills and restarts"] += 1
        for job in (self.looking, self.acting):
            if job is not None:
                job.drop()
        self.looking = self.acting = None
        while True:
            self.world.close()
            try:
                self.world.open()
                break
            except Killed:
                continue
        self._pinned()  # it may have come so far
        self.flips()
        plan, self.plan = self.plan, None
        if plan is not None and self.world.store.repository().accepted == plan.head != self.model.accepted:
            self._finished(plan)  # all but its last word was said
        self.absorb()

    # -- the repository pass

    def begin(self) -> None:
        git = self.world.git
        self.disturbed = False
        if not git.away:
            head, accepted = git.main, self.model.accepted
            resolve = {"main": head, **git.tags}.get
            descends = accepted is None or accepted in git.line(head)
            self.pinning = frozenset(map(str, self.world.store.repins()))
            assert self.repin <= self.pinning, "what was asked for was forgotten"
            self.plan = self.model.plan(self.trees[head], head, descends=descends, resolve=resolve, repin=self.pinning)
        self.looking = self.world.look()

    def step(self) -> None:
        """One step of the pass."""
        job = self.looking
        assert job is not None
        if self.do(job.step) and job.done:
            self.looking = None
            if self.plan is not None:
                self._finished(self.plan)
                self.plan = None
                self._pinned()

    def _pinned(self) -> None:
        """Whoever died between doing what was asked and saying so: it is done, and the next one only says so."""
        self.repin -= self.pinning
        self.asked = [each for each in self.asked if each[0] is not Verb.RECONCILE or each[1] not in self.pinning]

    def look(self) -> None:
        """A whole pass."""
        if self.looking is None:
            self.begin()
        while self.looking is not None:
            self.step()

    def _finished(self, plan: Plan) -> None:
        assert not plan.changes, f"not put in force: {set(plan.changes)}"
        known = self.world.store.repository()
        if self.disturbed:
            plan.blocked = bool(known.blocked) and not self.model.blocked
        self.model.finish(plan)
        expected = self.model.accepted, self.model.history, self.model.blocked
        assert (known.accepted, known.rewritten_from is not None, bool(known.blocked)) == expected

    def flips(self) -> None:
        """Generations that have come in force, and removals that go ahead, are so in the model, too."""
        for name in list(self.world.names()):
            row = self.world.store.sweep(name)
            assert row is not None
            known = self.model.sweeps.get(name)
            if row.generation != self.generations[name]:
                assert row.generation > self.generations[name]
                assert self.plan is not None
                assert name in self.plan.changes, f"{name} has a generation that nobody asked for"
                self.generations[name] = row.generation
                assert self.disturbed or bool(row.frozen) == (name in self.plan.freeze), (name, row.frozen, self.plan)
                self.model.flip(self.plan, name, freeze=bool(row.frozen))
                self.seen["generations accepted"] += 1
                self.seen["generations accepted while other things went on"] += self.disturbed
                self.seen["removals that waited"] += bool(row.frozen)
                self._digest(self.model.sweeps[name], row.policy.digest)
            elif known is not None and known.frozen and not row.frozen:
                known.frozen = False
                known.settle()
                self.seen["removals that went ahead after waiting"] += 1

    def _digest(self, sweep: Sweep, digest: str) -> None:
        """Equal work has an equal digest, other work another one."""
        assert self.digests.setdefault(sweep.work, digest) == digest
        assert len(set(self.digests.values())) == len(self.digests)

    # -- what the daemon did to attempts

    def absorb(self) -> None:
        """Tell the model what became of attempts, and judge what it did not expect."""
        self.flips()
        for attempt in self.world.open_attempts():
            if attempt.eid not in self.attempts:
                self._intended(attempt)
        known = self.world.store.attempts_by_eid(self.attempts)
        for eid, (name, task, number) in list(self.attempts.items()):
            attempt, entry = known[eid], self.model.sweeps[name].tasks[task]
            if attempt.phase.ended:
                del self.attempts[eid]
                self.seen[f"attempts {attempt.phase.value}"] += 1
                self._ended(attempt, self.model.sweeps[name], entry, newest=number == entry.attempts)
            elif attempt.cancel and not entry.cancelling:
                self._cancelled(attempt, self.model.sweeps[name], entry)

    def _intended(self, attempt: Attempt) -> None:
        name, task, number = attempt.key
        sweep = self.model.sweeps[name]
        assert task in sweep.startable(self.world.clock.time), f"{attempt.key} may not start"
        assert (sweep.spec.state, sweep.deleted) == ("Active", False), sweep.spec
        entry = sweep.tasks[task]
        assert sweep.work not in entry.done, f"{attempt.key} runs again what succeeded"
        assert number == entry.attempts + 1
        assert attempt.digest == self.digests[sweep.work]
        sweep.intended(entry)
        active = sum(each.phase == "active" for each in sweep.tasks.values())
        assert not sweep.spec.parallelism or active <= sweep.spec.parallelism
        self.attempts[attempt.eid] = (name, task, number)
        self.seen["attempts"] += 1
        self.seen["attempts beyond the first of a task"] += number > 1

    def _ended(self, attempt: Attempt, sweep: Sweep, task: Task, *, newest: bool) -> None:
        assert newest, attempt
        assert self._truth(attempt), attempt
        name = attempt.key.sweep
        started = attempt.started_at is not None
        sweep.ended(task, ENDS[attempt.phase], self.world.clock.time, counted=started)
        row = self.world.store.sweep(name)
        assert row is not None
        if row.settling:
            self.unsure.add((name, attempt.key.task))

    def _truth(self, attempt: Attempt) -> bool:
        """Whether it ended so on the source."""
        entry = self.world.agent.entries.get(attempt.eid)
        if entry is None:  # a reboot has lost it before it started
            return attempt.started_at is None and attempt.phase in (Phase.LOST, Phase.CANCELLED)
        record = entry.exit or {}
        match attempt.phase:
            case Phase.SUCCEEDED:
                return record.get("exit_code") == 0
            case Phase.FAILED:
                return record.get("exit_code", 0) != 0
            case Phase.LOST:
                return entry.state == "died"
            case _:
                return bool(attempt.cancel) and entry.state in ("revoked", "ended", "died")

    def _cancelled(self, attempt: Attempt, sweep: Sweep, task: Task) -> None:
        """Only what has not started, and would run an older spec, may be given up beside what the manifests ask for."""
        unstarted = not self.world.agent.starts[attempt.eid]
        asked = sweep.spec.state == "Cancelled" and not sweep.deleted
        outdated = task.work != sweep.work or sweep.deleted
        assert asked or (unstarted and outdated and attempt.cancel == "Outdated"), (attempt, sweep.spec)
        task.cancelling = True

    # -- the source

    def act(self, steps: int = 10_000) -> None:
        """Connect if need be, start what is intended, end what is to be cancelled; so many steps of it."""
        for _ in range(steps):
            self.acting = self.acting or self.world.act()
            if self.do(self.acting.step) and self.acting.done:
                self.acting = None
            if self.acting is None:
                return

    # -- what people ask for

    def ask(self, verb: Verb, name: str) -> None:
        """What was asked of a daemon that died is done by the next one that looks."""
        self.asked.append((verb, name))
        repin = {"repin": True} if verb is Verb.RECONCILE else {}
        lived = self.do(lambda: self.world.ask(verb, sweep=name, **repin))
        for each in {name for asked, name in self.asked if asked is Verb.RETRY} & self.model.sweeps.keys():
            self._retried(each)
        if lived:
            known = {sweep.name for sweep in self.world.catalog.sweeps()}
            self.repin |= {name for asked, name in self.asked if asked is Verb.RECONCILE} & known
            self.asked.clear()

    def _retried(self, name: str) -> None:
        """What has failed, or was cancelled, waits again with a fresh budget."""
        for task_id, task in self.model.sweeps[name].tasks.items():
            found = self.world.store.task(TaskKey(name, task_id))
            if (
                found is not None
                and found.phase is Phase.WAITING
                and task.counted
                and task.phase in ("failed", "cancelled")
            ):
                task.again()

    def approve(self) -> None:
        self.do(self.world.approve)
        if not any(sweep.frozen for sweep in self.model.sweeps.values()):
            self.model.approve()

    # -- the end

    def come_to_rest(self) -> None:
        """Faults end: everything that is wanted is done, and a fresh start would want the same."""
        self.doom, self.world.git.away = 0, False
        while self.looking is not None:
            self.step()
        self.files = {file.written.name: file for file in self.files.values()}  # one of each name
        self.files = {f"sweeps.d/{name}.yaml": File(file.written) for name, file in self.files.items()}
        self.files = {path: File(replace(file.written, revision="")) for path, file in self.files.items()}
        self.trees[self.world.git.push({path: file.text for path, file in self.files.items()})] = dict(self.files)
        self.look()
        self.approve()
        while any(self._unfinished(sweep) for sweep in self.model.sweeps.values()) or self._tracked():
            before = self.seen["attempts"], len(self.attempts)
            for _ in range(3):  # a backoff, or a connection that was lost, may take a round
                self._work()
            self.check()
            if before == (self.seen["attempts"], len(self.attempts)):
                break
        assert not self._tracked()
        assert not [name for name, sweep in self.model.sweeps.items() if self._unfinished(sweep)]
        self.restart()
        self.check()
        self._check_fresh()

    def _work(self) -> None:
        """A little of everything."""
        agent = self.world.agent
        self.do(self.world.tell)
        self.do(self.world.dispatch)
        self.act()
        for eid in agent.waiting():
            agent.start(eid)
        for eid in agent.live():
            agent.end(eid, code=0) if not agent.entries[eid].told_to_end else agent.end(eid, code=1, by="cancel")
        self.do(lambda: self.world.hear(1000))
        self.world.clock.time += BACKOFF_S + 1

    def _tracked(self) -> list[Eid]:
        """Open attempts that are looked after: what was orphaned may never be heard of again."""
        tasks = ((eid, self.model.sweeps[name].tasks[task]) for eid, (name, task, _) in self.attempts.items())
        return [eid for eid, task in tasks if task.standing != "orphaned"]

    def _unfinished(self, sweep: Sweep) -> set[str]:
        return sweep.startable(float("inf")) if sweep.spec.state == "Active" and not sweep.deleted else set()

    def _check_fresh(self) -> None:
        fresh = World(Path(self.folder.name) / "fresh", slots=1, prune_max_tasks=1, git=self.world.git)
        job = fresh.look()
        while not job.done:
            job.step()
        for name in {file.written.name for file in self.files.values()}:
            now = [task.key.task for task in self.world.store.tasks(name, limit=10_000)]
            anew = [task.key.task for task in fresh.store.tasks(name, limit=10_000)]
            kept = self.model.sweeps[name].desired - set(self.model.sweeps[name].wanted)
            assert anew == [task for task in now if task not in kept]
            assert not kept or self.model.sweeps[name].spec.remove == "Keep"
        assert {str(name) for name in fresh.names()} == {file.written.name for file in self.files.values()}
        fresh.close()

    # -- what must hold

    def picture(self) -> object:
        """All that a reader can see."""
        store, now = self.world.store, self.world.clock.time
        sweeps = {
            name: (store.sweep(name), store.tasks(name, limit=999), store.counts(name)) for name in self.world.names()
        }
        heads = {name: store.heads(name, limit=999, now=now) for name in sweeps}
        return sweeps, heads, store.repository(), store.active_counts(), self.world.open_attempts()

    def check(self) -> None:
        """After every step."""
        self.sound = False
        self._check_counts()
        for name, sweep in self.model.sweeps.items():
            row = self.world.store.sweep(name)
            assert row is not None
            if not row.settling:
                self._synchronise(name)
                self._check_sweep(name, sweep)
            else:
                assert [] == self.world.store.heads(name, limit=99, now=self.world.clock.time)
        self.sound = True

    def _synchronise(self, name: str) -> None:
        """What ended while a generation was being applied was judged by the old or by the new one: either is right."""
        for each in [each for each in self.unsure if each[0] == name]:
            self.unsure.discard(each)
            found = self.world.store.task(TaskKey(*each))
            task = self.model.sweeps[name].tasks.get(each[1])
            if found is None or task is None:
                continue
            works = {digest: work for work, digest in self.digests.items()}
            task.phase = ENDS.get(found.phase, "active" if found.phase.active else "waiting")
            task.work = works.get(found.digest)
            task.failures, task.wake = found.failures, found.not_before or 0.0

    def _check_sweep(self, name: str, sweep: Sweep) -> None:
        found = self.world.store.tasks(name, limit=10_000)
        ids = [task.key.task for task in found]
        assert sweep.desired == set(ids), (name, sweep.desired ^ set(ids))
        assert [task for task in ids if task in sweep.wanted] == sweep.wanted, "the order is the declared one"
        phases = {task.key.task: ENDS.get(task.phase, "active" if task.phase.active else "waiting") for task in found}
        assert phases == {task: sweep.tasks[task].phase for task in ids}
        heads = {task.key.task for task in self.world.store.heads(name, limit=10_000, now=self.world.clock.time)}
        assert heads == sweep.startable(self.world.clock.time)
        marked = {attempt.key.task for attempt in self.world.open_attempts() if attempt.cancel}
        for task, entry in sweep.tasks.items():
            if entry.phase == "active" and entry.standing != "orphaned":
                assert entry.cancelling == (task in marked), (name, task, entry)

    def _check_counts(self) -> None:
        rows = self.world.store._database.rows
        half = rows("SELECT 1 FROM sweeps WHERE preparing IS NOT NULL")
        checks = [each for each in CHECKS if each[0] != "points" or not half]
        assert [] == [what for what, kept, counted in checks if sorted(rows(kept)) != sorted(rows(counted))]
        tasks = [attempt.key[:2] for attempt in self.world.open_attempts()]
        assert len(set(tasks)) == len(tasks), "a task has two open attempts"
