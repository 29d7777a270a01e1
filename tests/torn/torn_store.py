"""What a store must be after the power failed: a state that was committed, none older than what had been promised."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import store_life
from store_lab import Lab
from torn_disk import FATES, History
from torn_tap import Note, Tap

from reconciler.core.model import Eid, Phase

ROLE = "store_life.py"


@dataclass(slots=True)
class Recording:
    """One life of a store: its changes to the disk, and what was true between them.

    commits   (number of notes before it, fingerprint) of each state, in order
    promises  (number of notes before it, commits by then, what was promised)
    """

    history: History
    commits: list[tuple[int, str]] = field(default_factory=list)
    promises: list[tuple[int, int, Any]] = field(default_factory=list)

    def allowed(self, count: int) -> list[str]:
        """The states in which the store may be: the one last promised, later ones, and the one just being committed."""
        done = bisect_left(self.commits, (count, ""))
        promised = max((commits for at, commits, _ in self.promises if at < count), default=0)
        return [state for _, state in self.commits[max(0, promised - 1) : done + 1]]

    def promised(self, count: int) -> Any:
        return next((words for at, _, words in reversed(self.promises) if at < count), {})


def record() -> Recording:
    """Live the life once, with the tap on its files."""
    folder = Path(tempfile.mkdtemp(prefix="torn-"))
    with Tap(folder, [ROLE]) as tap:
        environment = {**os.environ, **tap.environment(notes=True)}
        subprocess.run([sys.executable, store_life.__file__, str(folder)], env=environment, check=True)
        notes = tap.notes()
    shutil.rmtree(folder)
    return understood(str(folder), notes)


def understood(root: str, notes: Sequence[Note]) -> Recording:
    """The changes, and between them the marks."""
    changes: list[Note] = []
    marks: list[tuple[int, Any]] = []
    for note in notes:
        if note.path != f"{root}/{store_life.MARKS}":
            changes.append(note)
        elif note.kind == "W":
            marks.append((len(changes), json.loads(note.data)))
    recording = Recording(History(root, changes))
    for at, words in marks:
        if "committed" in words:
            recording.commits.append((at, words["state"]))
        else:
            recording.promises.append((at, len(recording.commits), words["promised"]))
    return recording


def faults(recording: Recording, count: int, fate: str, seed: int, folder: Path) -> list[str]:
    """What is wrong with the store on the disk that is left after `count` changes; `folder` is made, and removed."""
    dice = random.Random(f"{seed} {count} {fate}")
    image = recording.history.image(count, FATES[fate](recording.history, count, dice))
    folder.mkdir()
    try:
        image.put(folder)
        return list(_judged(recording, count, folder / "var" / "state"))
    finally:
        shutil.rmtree(folder)


def _judged(recording: Recording, count: int, directory: Path) -> Sequence[str]:
    lab = Lab(directory)
    try:
        found = []
        state = store_life.fingerprint(lab.store._database)
        allowed = recording.allowed(count)
        if state not in allowed:
            known = [number for number, (_, each) in enumerate(recording.commits) if each == state]
            found.append(
                f"it is state {known or 'unknown'}, not one of the {len(allowed)} from the last promised one on"
            )
        store_life.drain(lab.store.recover(lab.now))
        found += _broken_promises(lab, recording.promised(count))
        found += [str(row) for row in lab.store._database.rows("PRAGMA integrity_check") if row != ("ok",)]
        found += lab.faults()
        _use(lab)
        return found
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this image
        return [f"{type(error).__name__}: {error}"]
    finally:
        lab.close()


def _broken_promises(lab: Lab, promised: Any) -> list[str]:
    known = lab.store.attempts_by_eid([Eid(eid) for eid in promised.get("intended", [])])
    found = [f"lost intent {eid}" for eid in promised.get("intended", []) if eid not in known]
    found += [f"lost sending {eid}" for eid in promised.get("sent", []) if eid in known and not known[Eid(eid)].sent_at]
    found += [
        f"lost end {eid}: {phase}"
        for eid, phase in promised.get("ended", {}).items()
        if eid in known and known[Eid(eid)].phase is not Phase(phase)
    ]
    found += [
        f"lost cancellation {eid}"
        for eid in promised.get("cancelled", [])
        if eid in known and known[Eid(eid)].phase.active and not known[Eid(eid)].cancel
    ]
    return found


def _use(lab: Lab) -> None:
    """Work goes on: something starts, ends, and stands."""
    lab.now += 1000
    if lab.store.sweep(store_life.SWEEP) is not None:
        for attempt in lab.start(1):
            lab.learn(attempt, Phase.SUCCEEDED)
            assert Phase.SUCCEEDED is lab.task(attempt.key.task_key).phase
