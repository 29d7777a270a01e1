"""Guards of the store: what is durable, what is final, what is visible when."""

from __future__ import annotations

from tests.mutants.model import Edit, Mutant, suite

STORE = "reconciler/store"

DURABLE = (
    Mutant(
        name="intent-not-durable",
        guard="an intent is on the disk before anything is sent",
        edits=(
            Edit(
                f"{STORE}/writer.py",
                'with self._database.transaction("intend"):',
                'with self._database.soft_transaction("intend"):',
            ),
        ),
        caught_by=suite("torn/test_store_images.py::test_no_power_loss_takes_back_what_was_promised[all gone]"),
    ),
    Mutant(
        name="end-not-durable",
        guard="an end is on the disk before the source may forget it",
        edits=(
            Edit(
                f"{STORE}/writer.py",
                'self._database.transaction("conclude") if ended else self._database.soft_transaction("record")',
                'self._database.soft_transaction("record")',
            ),
        ),
        caught_by=suite("torn/test_store_images.py::test_no_power_loss_takes_back_what_was_promised[all gone]"),
    ),
    Mutant(
        name="nothing-is-synced",
        guard="the writer waits for the disk",
        edits=(
            Edit(
                f"{STORE}/database.py",
                '            self.execute("PRAGMA synchronous = FULL")\n            self.execute(f"PRAGMA wal',
                '            self.execute("PRAGMA synchronous = NORMAL")\n            self.execute(f"PRAGMA wal',
            ),
        ),
        caught_by=suite("torn/test_store_images.py::test_no_power_loss_takes_back_what_was_promised[all gone]"),
    ),
    Mutant(
        name="soft-for-ever",
        guard="after what need not be durable comes what must be",
        edits=(
            Edit(
                f"{STORE}/database.py",
                '        finally:\n            self.execute("PRAGMA synchronous = FULL")\n',
                "        finally:\n            pass\n",
            ),
        ),
        caught_by=suite("torn/test_store_images.py::test_no_power_loss_takes_back_what_was_promised[all gone]"),
    ),
)

FINAL = (
    Mutant(
        name="success-overwritten",
        guard="a recorded success is final",
        edits=(
            Edit(
                f"{STORE}/attempts.py",
                "    return stored.phase is Phase.SUCCEEDED or not learned.phase.ended or stored == learned\n",
                "    return not learned.phase.ended or stored == learned\n",
            ),
        ),
        caught_by=suite("adapters/test_store_attempts.py::test_a_recorded_success_is_final"),
    ),
    Mutant(
        name="end-taken-back",
        guard="an end is never taken back by older news",
        edits=(
            Edit(
                f"{STORE}/attempts.py",
                "    return stored.phase is Phase.SUCCEEDED or not learned.phase.ended or stored == learned\n",
                "    return stored.phase is Phase.SUCCEEDED or stored == learned\n",
            ),
        ),
        caught_by=suite("adapters/test_store_attempts.py::test_an_end_is_not_taken_back_by_older_news"),
    ),
    Mutant(
        name="number-given-again",
        guard="a number is never given twice",
        edits=(
            Edit(
                f"{STORE}/attempts.py",
                "        if attempt.key.number <= row.attempts or attempt.eid in self._taken:\n",
                "        if False:\n",
            ),
        ),
        caught_by=suite("adapters/test_store_attempts.py::test_a_number_is_never_given_twice"),
    ),
    Mutant(
        name="numbers-begin-anew",
        guard="numbers go on after a point has left and returned",
        edits=(
            Edit(
                f"{STORE}/settle.py",
                "        if verb is Verb.WITHDRAW and row.attempts == 0:\n",
                "        if verb in (Verb.WITHDRAW, Verb.FORGET):\n",
            ),
        ),
        caught_by=suite("adapters/test_store_attempts.py::test_numbers_go_on_after_a_removed_point_returns"),
        shows="FOREIGN KEY",
    ),
    Mutant(
        name="two-attempts-at-once",
        guard="a task that does not wait gets no attempt",
        edits=(
            Edit(
                f"{STORE}/attempts.py",
                "        if row.phase is not Phase.WAITING or row.standing is not Standing.DESIRED:\n",
                "        if False:\n",
            ),
        ),
        caught_by=suite("adapters/test_store_attempts.py::test_no_task_has_two_attempts_at_once"),
    ),
    Mutant(
        name="cancel-forgotten",
        guard="news does not undo an intended cancellation",
        edits=(
            Edit(
                f"{STORE}/attempts.py",
                "                attempt = replace(attempt, cancel=stored.cancel, cancel_at=stored.cancel_at)\n",
                "                pass\n",
            ),
        ),
        caught_by=suite("adapters/test_store_attempts.py::test_news_does_not_undo_an_intended_cancellation"),
    ),
)

GENERATIONS = (
    Mutant(
        name="frozen-task-is-a-head",
        guard="a task in a frozen removal set does not start",
        edits=(
            Edit(
                f"{STORE}/ledger.py",
                "    if row.phase is Phase.WAITING and row.standing is Standing.DESIRED:\n",
                "    if row.phase is Phase.WAITING and row.standing.desired:\n",
            ),
        ),
        caught_by=suite("adapters/test_store_acceptance.py::test_a_frozen_removal_cancels_nothing_and_starts_nothing"),
    ),
    Mutant(
        name="settling-sweep-starts",
        guard="nothing starts between the flip and the last change",
        edits=(Edit(f"{STORE}/reader.py", "limit = 0 if settling else min(", "limit = min("),),
        caught_by=suite("adapters/test_store_acceptance.py::test_nothing_starts_between_the_flip_and_the_last_change"),
    ),
    Mutant(
        name="prepared-tasks-are-visible",
        guard="a prepared generation is invisible before the flip",
        edits=(
            Edit(
                f"{STORE}/reader.py",
                "    WHERE t.sweep = h.sweep AND t.task = h.task AND h.sweep = ? AND h.added <= ? AND h.wake\n",
                "    WHERE t.sweep = h.sweep AND t.task = h.task AND h.sweep = ? AND h.added <= ? + 1 AND h.wake\n",
            ),
        ),
        caught_by=suite("adapters/test_store_acceptance.py::test_a_prepared_generation_is_invisible"),
    ),
    Mutant(
        name="recovery-does-not-finish",
        guard="what was in force when we died is rolled forward",
        edits=(
            Edit(
                f"{STORE}/acceptance.py",
                "            yield from self.abandon(name)\n            yield from self.finish(name, at)\n",
                "            yield from self.abandon(name)\n",
            ),
        ),
        caught_by=suite(
            "adapters/test_store_acceptance.py::test_an_acceptance_that_was_killed_in_force_is_finished_before_anything_else"
        ),
    ),
    Mutant(
        name="recovery-does-not-discard",
        guard="what was only prepared when we died is discarded",
        edits=(
            Edit(
                f"{STORE}/acceptance.py",
                "            self._discard(sweep.id, [row for row in page if row[1] > sweep.generation])".replace(
                    "            self", "                self"
                ),
                "                pass",
            ),
        ),
        caught_by=suite("adapters/test_store_acceptance.py::test_an_abandoned_generation_leaves_nothing"),
    ),
    Mutant(
        name="redo-log-dropped",
        guard="what becomes of known tasks is logged before the flip",
        edits=(Edit(f"{STORE}/acceptance.py", "self._database.many(_LOG, logged)", "self._database.many(_LOG, [])"),),
        caught_by=suite(
            "adapters/test_store_acceptance.py::test_a_point_that_was_never_tried_is_forgotten_when_it_leaves"
        ),
    ),
    Mutant(
        name="changed-meanwhile-and-overlooked",
        guard="a task that changes while a generation is prepared is judged again",
        edits=(
            Edit(
                f"{STORE}/settle.py",
                "    if sweep.touches(row):\n",
                "    if False:\n",
            ),
        ),
        caught_by=suite("adapters/test_store_acceptance.py::test_a_task_that_failed_meanwhile_runs_with_the_new_spec"),
    ),
)

MUTANTS = (*DURABLE, *FINAL, *GENERATIONS)
