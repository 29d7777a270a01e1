"""What may be concluded about attempts after the source lost its power, from whatever its disk still holds.

The daemon knows of each attempt at least that it was intended, in the boot that ended; perhaps it knows more, if the
source told it in time. Both must come to a right end.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import source_life
from source_life import SCRIPTS, eid_of
from torn_disk import FATES, History
from torn_tap import Note, Tap

from reconciler.agent.look import look
from reconciler.agent.place import Place
from reconciler.core.evidence import evidence
from reconciler.core.model import (
    Attempt,
    AttemptKey,
    Digest,
    Eid,
    HostIdentity,
    Phase,
    Resources,
    SourceName,
    SweepName,
    TaskId,
)
from reconciler.core.resolve import resolve
from reconciler.core.wire import Found
from reconciler.core.wire_json import found_from_json

OLD_BOOT = "11111111-2222-3333-4444-555555555555"
ROLES = ("source_life.py", "-I -S -X utf8")
EIDS = {eid_of(name): name for name in SCRIPTS}
SHARP = frozenset({Phase.SUCCEEDED, Phase.FAILED})


@dataclass(slots=True)
class Recording:
    """One life of a source, and what was true in it.

    records   by attempt: the number of changes before its exit record was written, and the record
    revoked   by attempt: the number of changes before we had won its claim
    told      (number of changes before, attempt, nonce) of what the daemon may know
    epochs    (number of changes before, epoch) of each session
    """

    history: History
    log: list[str]
    home: HostIdentity
    records: dict[Eid, tuple[int, Any]] = field(default_factory=dict)
    revoked: dict[Eid, int] = field(default_factory=dict)
    told: list[tuple[int, Eid, str]] = field(default_factory=list)
    epochs: list[tuple[int, int]] = field(default_factory=list)

    def known(self, eid: Eid, count: int) -> Attempt:
        """The attempt as a daemon knows it that has committed everything that it was told."""
        nonce = next((nonce for at, each, nonce in self.told if each == eid and at < count and nonce), None)
        fresh = intended(eid, self.home)
        return fresh if nonce is None else replace(fresh, phase=Phase.RUNNING, nonce=nonce, started_at=2.0)

    def epoch(self, count: int) -> int:
        """The last one that the daemon knows to have won."""
        return max((epoch for at, epoch in self.epochs if at < count), default=0)


def intended(eid: Eid, home: HostIdentity) -> Attempt:
    return Attempt(
        key=AttemptKey(SweepName("s"), TaskId(eid[-10:]), 1),
        eid=eid,
        source=SourceName("local"),
        digest=Digest("d"),
        phase=Phase.QUEUED,
        home=home,
        resources=Resources(),
        intended_at=1.0,
    )


def record(folder: Path) -> Recording:
    """Live the life once, with the tap on its files, in `folder`/disk."""
    disk, log = folder / "disk", folder / "log"
    disk.mkdir()
    with Tap(disk, ROLES, boot=OLD_BOOT) as tap:
        environment = {**os.environ, **tap.environment(notes=True)}
        subprocess.run([sys.executable, source_life.__file__, str(disk), str(log)], env=environment, check=True)
        notes = tap.notes()
    shutil.rmtree(disk)
    return understood(str(disk), notes, log.read_text().split())


def understood(root: str, notes: Sequence[Note], log: list[str]) -> Recording:
    """The changes, and between them the marks."""
    changes = [note for note in notes if note.path != f"{root}/{source_life.MARKS}"]
    claim = next(json.loads(note.data) for note in changes if "/claim." in note.path and note.kind == "W")
    home = HostIdentity(host=claim["host"], machine=claim["machine"], boot=claim["boot"])
    recording = Recording(History(root, changes), log, home)
    at = 0
    for note in notes:
        if note.path == f"{root}/{source_life.MARKS}":
            if note.kind == "W":
                _mark(recording, at, json.loads(note.data))
            continue
        at += 1
        eid = Eid(note.path.split("/")[-2])
        if note.kind == "W" and "/.exit." in note.path and note.data.strip():
            recording.records[eid] = (at, json.loads(note.data))
        if note.kind == "W" and "/claim." in note.path and json.loads(note.data)["kind"] == "revoked":
            recording.revoked[eid] = at
    return recording


def _mark(recording: Recording, at: int, words: Any) -> None:
    if "told" in words:
        recording.told.append((at, Eid(words["told"]), words["nonce"]))
    if "epoch" in words:
        recording.epochs.append((at, words["epoch"]))


def faults(recording: Recording, count: int, fate: str, seed: int, disk: Path) -> list[str]:
    """What is wrongly concluded from the disk that is left after `count` changes; `disk` is made, and removed."""
    put(recording, count, fate, seed, disk)
    try:
        place = Place(str(disk / "root"))
        found = {eid: found_from_json(eid, look(place, eid).told()) for eid in EIDS}
    finally:
        shutil.rmtree(disk)
    return list(misjudged(recording, count, found, replace(recording.home, boot="another")))


def put(recording: Recording, count: int, fate: str, seed: int, disk: Path) -> None:
    """Make the disk as it is after `count` changes and a power loss."""
    dice = random.Random(f"{seed} {count} {fate}")
    image = recording.history.image(count, FATES[fate](recording.history, count, dice))
    disk.mkdir()
    image.put(disk)


def misjudged(recording: Recording, count: int, found: dict[Eid, Found], here: HostIdentity) -> Iterator[str]:
    """Each attempt must end, and only as it did, or lost, or given up."""
    for eid, sight in found.items():
        for attempt in (intended(eid, recording.home), recording.known(eid, count)):
            end = resolve(attempt, evidence(attempt, sight, here), 9.0)
            if not (isinstance(end, Attempt) and end.phase.ended):
                yield f"{EIDS[eid]}, known as {attempt.phase}: no end: {end}"
            elif not _allowed(recording, count, eid, end):
                yield f"{EIDS[eid]}, known as {attempt.phase}: {end.phase} ({end.exit_code}, {end.signal})"


def _allowed(recording: Recording, count: int, eid: Eid, end: Attempt) -> bool:
    at, record = recording.records.get(eid, (count, {}))
    if end.phase is Phase.LOST:
        return True
    if at < count and (end.exit_code, end.signal) == (record["exit_code"], record["signal"]):
        return (end.phase is Phase.SUCCEEDED) == (record["exit_code"] == 0)
    return end.phase is Phase.CANCELLED and recording.revoked.get(eid, count) < count
