"""A configuration, a repository and a store of their own for tests of the command line; no daemon runs there."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from git_repository import GitRepository

from reconciler.controller.acceptance import policy_of
from reconciler.core import identity
from reconciler.core.model import (
    Attempt,
    AttemptKey,
    Commit,
    Digest,
    HostIdentity,
    InstanceId,
    Phase,
    Resources,
    SourceName,
    SweepName,
    Task,
)
from reconciler.core.parameters import expand
from reconciler.core.spec import SweepSpec
from reconciler.manifests import load
from reconciler.store import Draft, Event, RepositoryRow, Store

T = TypeVar("T")

AT = 1_700_000_000.0  # 2023-11-14T22:13:20Z
COMMIT = Commit("c0ffee" + "0" * 34)
HERE = SourceName("here")

LR = """\
apiVersion: reconciler/v1alpha1
kind: Sweep
metadata: {name: lr}
spec:
  command: [python, train.py, "lr=$(lr)"]
  parameters:
    lr: [0.1, 0.01, 0.001]
  retry: {limit: 2}
"""


def finished(steps: Generator[int, None, T]) -> T:
    """Run a store's bulk operation to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


class Lab:
    """Everything lies in one folder; `config` is what `--config` is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "reconciler.yaml"
        self.repository = GitRepository(folder / "repository")
        self.config.write_text(
            json.dumps(
                {
                    "repository": {"url": str(self.repository.directory)},
                    "sources": {HERE: {"scheduler": "process", "slots": 2, "root": str(folder / "source")}},
                    "state": {"dir": str(self.state)},
                    "results": {"dir": str(folder / "results")},
                    "http": {"listen": "127.0.0.1:0"},
                }
            )
        )

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The store, open for writing."""
        store = Store.create(self.state, instance=InstanceId("test"), at=AT)
        try:
            yield store
        finally:
            store.close()

    def accept(self, manifest: str = LR) -> SweepSpec:
        """Put the manifest in force, as the daemon would."""
        loaded = load(manifest.encode(), file="sweeps.d/lr.yaml", read=_no_table)
        spec = loaded.spec
        with self.store() as store:
            finished(store.stage(spec.name, enumerate(expand(spec))))
            draft = Draft(
                name=spec.name,
                path="sweeps.d/lr.yaml",
                commit=COMMIT,
                document=json.dumps(loaded.document),
                document_digest=identity.spec_digest(spec),
                pin=COMMIT,
                policy=policy_of(spec, COMMIT),
            )
            finished(store.accept(draft, freeze=False, at=AT))
            store.set_repository(RepositoryRow(accepted=COMMIT, fetched=COMMIT, checked_at=AT))
        return spec

    def tasks(self, sweep: str = "lr") -> list[Task]:
        """The tasks in declared order."""
        with self.store() as store:
            return store.tasks(SweepName(sweep), limit=100)

    def attempt(self, task: Task, phase: Phase, **changes: object) -> Attempt:
        """Give the task an attempt in this phase, with a folder for its logs."""
        number = task.attempts + 1
        directory = self.folder / "attempts" / f"{task.key.task}-{number}"
        directory.mkdir(parents=True)
        attempt = Attempt(
            key=AttemptKey(*task.key, number),
            eid=identity.eid(InstanceId("test"), task.key, number),
            source=HERE,
            digest=self._digest(task.key.sweep),
            phase=Phase.QUEUED,
            home=HostIdentity(host="h", machine="m", boot="b"),
            resources=Resources(),
            intended_at=AT,
        )
        with self.store() as store:
            store.intend([attempt])
        ended = AT + 9 if phase.ended else None
        running = replace(attempt, accepted_at=AT, started_at=AT + 1, directory=str(directory))
        return self._record(replace(running, phase=phase, ended_at=ended, **changes))

    def end(self, attempt: Attempt) -> Attempt:
        """The attempt succeeds."""
        return self._record(replace(attempt, phase=Phase.SUCCEEDED, ended_at=AT + 9))

    def _record(self, attempt: Attempt) -> Attempt:
        key = attempt.key
        with self.store() as store:
            task = store.task(key.task_key)
            assert task is not None
            event = Event(
                reason=attempt.phase.title(), message="told", sweep=key.sweep, task=key.task, attempt=key.number
            )
            store.record([(attempt, replace(task, phase=attempt.phase, reason=attempt.reason))], AT + 9, [event])
        return attempt

    def _digest(self, sweep: SweepName) -> Digest:
        with self.store() as store:
            row = store.sweep(sweep)
            assert row is not None
            assert row.policy is not None
            return row.policy.digest

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """The lock of the state is held, as it is while a daemon runs."""
        self.state.mkdir(exist_ok=True)
        with (self.state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _no_table(_: str) -> bytes:
    raise FileNotFoundError
