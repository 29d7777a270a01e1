"""A new generation comes in force: prepare (invisible, in chunks) → flip (one small transaction) → settle (in chunks).

    prepare   new tasks are written with `added` = the next generation, so nobody sees them; what happens to known tasks
              goes into the redo log; kept tasks are not written at all. A crash leaves the old generation in force.
    flip      the next generation is in force: its new tasks are counted and may start
    settle    the redo log is applied; until that is done nothing of the sweep starts. A crash is rolled forward.

Chunks keep each transaction short, so that the loop that calls goes on serving attempts meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, replace
from itertools import islice

from reconciler.core.diff import Change, Standing, Verb
from reconciler.core.errors import StoreError
from reconciler.core.model import Instant, SweepName
from reconciler.store import moves, rows
from reconciler.store.database import Database, Row
from reconciler.store.events import write_events
from reconciler.store.ledger import Ledger
from reconciler.store.settle import Sweep, settle, sweep_of
from reconciler.store.staging import Staging, Tally
from reconciler.store.values import Accepted, DiffSummary, Draft, Event

CHUNK = 5_000
GENERATIONS_KEPT = 1_000

_ADD = "INSERT INTO tasks (sweep, task, added, place, ordinal) VALUES (?, ?, ?, ?, ?)"
_LOG = "INSERT OR REPLACE INTO changes (sweep, task, wanted, ordinal) VALUES (?, ?, ?, ?)"
_POINTS = """
    INSERT INTO points (sweep, added, place, replicate, parameters)
    SELECT ?, ?, ordinal, replicate, parameters FROM temp.declared WHERE ordinal >= ? AND ordinal < ?
"""
_HEADS = """
    INSERT INTO heads (sweep, added, wake, ordinal, task)
    SELECT ?, ?, 0.0, ordinal, task FROM temp.declared WHERE ordinal >= ? AND ordinal < ?
"""
_FLIP = """
    UPDATE sweeps SET generation = ?, path = ?, head = ?, document = ?, document_digest = ?, pin = ?, policy = ?,
        created_at = coalesce(created_at, ?), accepted_at = ?, deleted = ?, frozen = ?, preparing = NULL, draft = NULL,
        settling = EXISTS (SELECT 1 FROM changes WHERE sweep = sweeps.id)
            OR EXISTS (SELECT 1 FROM moves WHERE sweep = sweeps.id)
            OR EXISTS (SELECT 1 FROM attempts WHERE sweep = sweeps.id AND open = 1)
    WHERE id = ?
"""


class Acceptance:
    """The writer's part that changes what is desired."""

    def __init__(self, database: Database, staging: Staging) -> None:
        self._database = database
        self._staging = staging

    def prepare(self, draft: Draft) -> Generator[int, None, DiffSummary]:
        """See `Store.prepare`."""
        sweep = yield from self._begin(draft)
        assert sweep.preparing is not None
        tally, new = Tally(), bytearray()
        policy = replace(draft.policy, freeze=False)
        changes = self._staging.changes(draft.name, policy)
        while chunk := list(islice(changes, CHUNK)):
            tally.take(chunk)
            with self._database.transaction("prepare"):
                self._write(sweep.id, sweep.preparing, chunk, new)
            yield tally.total
        yield from self._publish(sweep.id, sweep.preparing, new)
        summary = tally.summary(self._staging.count if policy.deletion is None else 0)
        with self._database.transaction("prepared"):
            text = rows.draft_text(replace(draft, policy=policy), summary)
            self._database.execute("UPDATE sweeps SET draft = ? WHERE id = ?", (text, sweep.id))
        return summary

    def commit(self, name: SweepName, *, freeze: bool, at: Instant) -> Generator[int, None, Accepted]:
        """See `Store.commit`."""
        row = self._database.row("SELECT id, preparing, draft FROM sweeps WHERE name = ?", (name,))
        if row is None or row[2] is None:
            raise StoreError(
                "NotPrepared", f"no generation of {name} is prepared", hint="this is a defect: please report it"
            )
        sweep, generation, text = row
        draft, summary = rows.draft(text)
        freeze = freeze and summary.removed > 0
        with self._database.transaction("flip"):
            self._flip(sweep, generation, draft, summary, freeze=freeze, at=at)
        yield 0
        yield from self.finish(name, at)
        return Accepted(generation=generation, summary=summary, frozen=freeze)

    def finish(self, name: SweepName, at: Instant) -> Generator[int, None, int]:
        """Settle what is in force, if that is not done."""
        sweep = sweep_of(self._database, name)
        row = self._database.row("SELECT settling FROM sweeps WHERE name = ?", (name,))
        if sweep is None or row is None or not row[0]:
            return 0
        return (yield from settle(self._database, sweep, at))

    def abandon(self, name: SweepName) -> Generator[int, None, None]:
        """See `Store.abandon`."""
        sweep = sweep_of(self._database, name)
        if sweep is None or sweep.preparing is None:
            return
        last, done = "", 0
        sql = "SELECT task, added, place FROM tasks WHERE sweep = ? AND task > ? ORDER BY task LIMIT ?"
        while page := self._database.rows(sql, (sweep.id, last, CHUNK)):
            last = page[-1][0]
            with self._database.transaction("abandon"):
                self._discard(sweep.id, [row for row in page if row[1] > sweep.generation])
            done += len(page)
            yield done
        with self._database.transaction("abandoned"):
            self._database.execute("DELETE FROM changes WHERE sweep = ?", (sweep.id,))
            self._database.execute("DELETE FROM moves WHERE sweep = ?", (sweep.id,))
            self._database.execute("UPDATE sweeps SET preparing = NULL, draft = NULL WHERE id = ?", (sweep.id,))

    def _discard(self, sweep: int, new: list[Row]) -> None:
        heads = [(sweep, place, task) for task, _, place in new]
        self._database.many("DELETE FROM heads WHERE sweep=? AND wake=0.0 AND ordinal=? AND task=?", heads)
        points = [(sweep, added, place) for _, added, place in new]
        self._database.many("DELETE FROM points WHERE sweep=? AND added=? AND place=?", points)
        self._database.many("DELETE FROM tasks WHERE sweep=? AND task=?", [(sweep, task) for task, _, _ in new])

    def recover(self, at: Instant) -> Generator[int, None, None]:
        """See `Store.recover`."""
        sql = "SELECT name FROM sweeps WHERE preparing IS NOT NULL OR settling = 1"
        for (name,) in self._database.rows(sql):
            yield from self.abandon(name)
            yield from self.finish(name, at)

    def release_frozen(self, name: SweepName, at: Instant) -> Generator[int, None, int]:
        """See `Store.release_frozen`."""
        sweep = sweep_of(self._database, name)
        if sweep is None or sweep.policy is None or not sweep.policy.freeze:
            return 0
        policy = rows.policy_text(replace(sweep.policy, freeze=False))
        with self._database.transaction("release"):
            sql = "UPDATE sweeps SET policy = ?, frozen = '', settling = 1 WHERE id = ?"
            self._database.execute(sql, (policy, sweep.id))
            event = Event(reason="RemovalApproved", message="the frozen removals are applied", sweep=name)
            write_events(self._database, [event], at)
        return (yield from self.finish(name, at))

    def _begin(self, draft: Draft) -> Generator[int, None, Sweep]:
        """Whatever a former call left is finished or discarded; then the next generation's number is taken."""
        yield from self.abandon(draft.name)
        yield from self.finish(draft.name, self._accepted_at(draft.name))
        with self._database.transaction("begin"):
            self._database.execute("INSERT OR IGNORE INTO sweeps (name, path) VALUES (?, ?)", (draft.name, draft.path))
            sql = "UPDATE sweeps SET preparing = generation + 1 WHERE name = ?"
            self._database.execute(sql, (draft.name,))
        sweep = sweep_of(self._database, draft.name)
        assert sweep is not None
        return sweep

    def _accepted_at(self, name: SweepName) -> Instant:
        row = self._database.row("SELECT accepted_at FROM sweeps WHERE name = ?", (name,))
        return 0.0 if row is None or row[0] is None else float(row[0])

    def _write(self, sweep: int, generation: int, chunk: list[Change], new: bytearray) -> None:
        """New tasks under the next generation, the others into the logs; `new[ordinal]` marks the new ones."""
        added, moved, logged = [], [], []
        for verb, task, _, wanted, known in chunk:
            if known is None and wanted is not None:
                added.append((sweep, task, generation, wanted.ordinal, wanted.ordinal))
                if wanted.ordinal >= len(new):
                    new.extend(bytes(max(CHUNK, wanted.ordinal + 1 - len(new))))
                new[wanted.ordinal] = 1
                continue
            thawed = known is not None and known.standing is Standing.FROZEN
            ordinal = None if wanted is None else wanted.ordinal
            if verb not in (Verb.KEEP, Verb.LEAVE) or thawed:
                logged.append((sweep, task, wanted is not None, ordinal))
            elif ordinal is not None and known is not None and ordinal != known.ordinal:
                moved.append((sweep, task, ordinal))
        self._database.many(_ADD, added)
        self._database.many(moves.LOG, moved)
        self._database.many(_LOG, logged)

    def _publish(self, sweep: int, generation: int, new: bytearray) -> Generator[int, None, None]:
        """The new points, and their places among the heads, are copied in declared order: appended, not sorted in."""
        begin = new.find(1)
        while begin >= 0:
            room = CHUNK
            with self._database.transaction("publish"):
                while begin >= 0 and room > 0:
                    end = new.find(0, begin, begin + room)
                    end = min(begin + room, len(new)) if end < 0 else end
                    for sql in (_POINTS, _HEADS):
                        self._database.execute(sql, (sweep, generation, begin, end))
                    room -= end - begin
                    begin = new.find(1, end)
            yield begin

    def _flip(
        self, sweep: int, generation: int, draft: Draft, summary: DiffSummary, *, freeze: bool, at: Instant
    ) -> None:
        deleted = draft.policy.deletion is not None
        policy = replace(draft.policy, freeze=freeze)
        frozen = summary.removal_hash if freeze else ""
        manifest = (generation, draft.path, draft.commit, draft.document, draft.document_digest, draft.pin)
        self._database.execute(
            _FLIP,
            (*manifest, rows.policy_text(policy), at, at, deleted, frozen, sweep),
        )
        counts = rows.dump(asdict(summary)["counts"])
        self._database.execute(
            "INSERT INTO generations (sweep, generation, head, at, document_digest, digest, counts, frozen)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (sweep, generation, draft.commit, at, draft.document_digest, policy.digest, counts, freeze),
        )
        limit = generation - GENERATIONS_KEPT
        self._database.execute("DELETE FROM generations WHERE sweep = ? AND generation <= ?", (sweep, limit))
        ledger = Ledger(self._database)
        ledger.count_new(sweep, summary.counts.get(Verb.ADD, 0))
        ledger.flush()
        reason = "Deleted" if deleted else "Accepted"
        message = f"generation {generation} at {draft.commit[:12]}"
        write_events(self._database, [Event(reason=reason, message=message, sweep=draft.name)], at)
