"""A power loss for a whole world, daemon, store, agent and shims at once, and what a daemon makes of what is left.

The mirror of the repository is not in it: it can be fetched again, and is.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from recount import faults as recounted
from torn_disk import FATES, History
from torn_tap import Tap
from torn_trials import ENDS, RESTARTS, ROLES, SWEEP, Laboratory, Nursery

from reconciler.core.errors import StoreError
from reconciler.core.model import Phase
from reconciler.store import Reader

OLD_BOOT = "11111111-2222-3333-4444-555555555555"
NEW_BOOT = "66666666-7777-8888-9999-000000000000"
MIRROR = "/repository.git"


@dataclass(slots=True)
class Recording:
    """One world, from the first act of its daemon to its end.

    starts  (number of changes before the claim was made, task and attempt) of each start
    acknowledged  (number of changes before the daemon let the source forget it, task) of each end
    """

    history: History
    starts: list[tuple[int, str]] = field(default_factory=list)
    acknowledged: list[tuple[int, str]] = field(default_factory=list)

    def started(self, count: int) -> set[str]:
        return {run for at, run in self.starts if at < count}

    def done(self, count: int) -> set[str]:
        """Tasks whose success the daemon had promised to keep."""
        return {task for at, task in self.acknowledged if at < count}


class World:
    """A folder in which the same world lives again and again, each time from another disk."""

    def __init__(self, laboratory: Laboratory, nursery: Nursery, folder: Path) -> None:
        self._nursery = nursery
        self._said, self._log = folder / "said", folder / "log"
        self.state = folder / "disk" / "state"
        self.state.parent.mkdir(parents=True)
        self._config = folder / "reconciler.yaml"
        self._config.write_text(laboratory.configuration(self.state, folder / "results"))

    def record(self) -> Recording:
        """Live once, and note every change."""
        with Tap(self.state.parent, ROLES, boot=OLD_BOOT) as tap:
            code = self._live(tap, notes=True)
            assert 0 == code, self._said.read_text()
            notes = [note for note in tap.notes() if MIRROR not in note.path]
        runs = {}
        recording = Recording(History(str(self.state.parent), notes))
        for at, note in enumerate(notes):
            if note.kind == "W" and note.path.endswith("/spec.json"):
                spec = json.loads(note.data)
                runs[spec["eid"]] = f"{spec['task']} {spec['attempt']}"
            if note.kind == "L" and note.other.endswith("/claim"):
                recording.starts.append((at, runs[note.other.split("/")[-2]]))
            if note.kind == "U" and "/outbox/new/" in note.path:
                recording.acknowledged.append((at, runs[note.path.split("/")[-1]].split()[0]))
        return recording

    def faults(self, recording: Recording, count: int, fate: str, seed: int) -> list[str]:
        """What goes wrong after a power loss behind the first `count` changes."""
        dice = random.Random(f"{seed} {count} {fate}")
        shutil.rmtree(self.state.parent)
        self.state.parent.mkdir()
        for file in (self._log, self._said):
            file.unlink(missing_ok=True)
        recording.history.image(count, FATES[fate](recording.history, count, dice)).put(self.state.parent)
        done = self._succeeded() | recording.done(count)
        with Tap(self.state.parent, ROLES, boot=NEW_BOOT) as tap:
            codes = [self._live(tap)]
            while codes[-1] and len(codes) <= RESTARTS:
                codes.append(self._live(tap))
        return list(self._wrong(recording.started(count), done, codes))

    def _wrong(self, before: set[str], done: set[str], codes: list[int]) -> Iterator[str]:
        runs = Counter(self._log.read_text().splitlines() if self._log.exists() else [])
        said = self._said.read_text()
        yield from (f"it said {word}: {said[-800:]}" for word in ("Traceback", "defect") if word in said)
        yield from (f"exit code {code}: {said[-800:]}" for code in codes if code not in ENDS)
        yield from (f"ran {count} times: {run}" for run, count in runs.items() if count != 1)
        yield from (f"ran before the power failed, and again: {run}" for run in before & set(runs))
        yield from (f"had succeeded, and ran again: {run}" for run in runs if run.split()[0] in done)
        if len(self._succeeded()) != 2:
            yield f"not done: {codes}: {said[-800:]}"
        yield from recounted(self.state)

    def _live(self, tap: Tap, *, notes: bool = False) -> int:
        environment = tap.environment(notes=notes) | {"TORN_LOG": str(self._log)}
        return self._nursery.run(["--config", str(self._config), "run", "--once"], environment, self._said)

    def _succeeded(self) -> set[str]:
        try:
            reader = Reader.open(self.state)
        except StoreError:
            return set()
        try:
            return {str(task.key.task) for task in reader.tasks(SWEEP, limit=100) if task.phase is Phase.SUCCEEDED}
        finally:
            reader.close()
