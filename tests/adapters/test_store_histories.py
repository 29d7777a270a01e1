"""Random histories: whatever happens, and in whatever order, a recount finds what the store keeps."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from store_lab import LAPTOP, SWEEP, A, B, Lab, drain

from reconciler.core.diff import Verb
from reconciler.core.model import Phase
from reconciler.core.spec import DeletionPolicy, OnRemove, SweepState, UpdatePolicy

POINTS = st.lists(st.integers(0, 5), max_size=6)
POLICIES = st.fixed_dictionaries(
    {
        "digest": st.sampled_from([A, B]),
        "state": st.sampled_from(SweepState),
        "update_policy": st.sampled_from(UpdatePolicy),
        "on_remove": st.sampled_from(OnRemove),
        "deletion": st.sampled_from([None, None, None, *DeletionPolicy]),
    }
)


class History(RuleBasedStateMachine):
    """Edits, attempts, cancellations, approvals and crashes of one small sweep."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="s-", dir="/tmp")
        self.lab = Lab(Path(self.folder.name))
        self.points: list[int] = []
        self.policy: dict[str, object] = {}
        self.prepared = False

    @rule(points=POINTS, policy=POLICIES)
    def prepare(self, points: list[int], policy: dict[str, object]) -> None:
        self.points, self.policy, self.prepared = points, policy, True
        self.lab.prepare(points, **policy)

    @precondition(lambda self: self.prepared)
    @rule(freeze=st.booleans())
    def commit(self, freeze: bool) -> None:
        """Once a generation is in force, the same diff again has nothing to do."""
        frozen = self.lab.commit(freeze=freeze).frozen
        self.prepared = False
        self.lab.stage(self.points)
        policy = self.lab.draft(**self.policy, freeze=frozen).policy
        summary = drain(self.lab.store.summarise(SWEEP, policy))
        assert set(summary.counts) <= {Verb.KEEP, Verb.LEAVE}

    @precondition(lambda self: self.prepared)
    @rule()
    def abandon(self) -> None:
        drain(self.lab.store.abandon(SWEEP))
        self.prepared = False

    @rule(limit=st.integers(1, 4))
    def start(self, limit: int) -> None:
        self.lab.start(limit)

    @precondition(lambda self: self.lab.open())
    @rule(data=st.data(), phase=st.sampled_from([p for p in Phase if p is not Phase.WAITING]), retried=st.booleans())
    def learn(self, data: st.DataObject, phase: Phase, retried: bool) -> None:
        attempt = data.draw(st.sampled_from(self.lab.open()))
        retried = retried and phase in (Phase.FAILED, Phase.LOST)
        not_before = self.lab.now + 5 if retried else None
        self.lab.learn(attempt, phase, Phase.WAITING if retried else None, not_before=not_before)

    @precondition(lambda self: self.lab.open())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self.lab.open()))
        self.lab.store.intend_cancel([attempt.eid], "UserAsked", self.lab.now)

    @rule()
    def retry(self) -> None:
        phases = [Phase.FAILED, Phase.LOST, Phase.CANCELLED]
        drain(self.lab.store.reset(SWEEP, None, phases=phases, reason="Retried", at=self.lab.now))

    @rule()
    def approve(self) -> None:
        drain(self.lab.store.release_frozen(SWEEP, self.lab.now))

    @rule()
    def crash(self) -> None:
        self.lab.reopen()
        self.prepared = False

    @rule()
    def wait(self) -> None:
        self.lab.now += 5

    @invariant()
    def a_recount_finds_what_is_kept(self) -> None:
        assert [] == self.lab.faults()

    @invariant()
    def no_task_has_two_open_attempts(self) -> None:
        tasks = [attempt.key.task for attempt in self.lab.store.open_attempts(LAPTOP)]
        assert len(set(tasks)) == len(tasks)

    def teardown(self) -> None:
        if hasattr(self, "lab"):
            self.lab.close()
            self.folder.cleanup()


History.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestHistory = History.TestCase
