"""Guards of the daemon: in which order it asks and records, what an absence means, who may serve a state."""

from __future__ import annotations

from tests.mutants.model import Edit, Mutant, suite

ACCEPTANCE = "reconciler/controller/acceptance.py"

SOURCES = (
    Mutant(
        name="acknowledged-before-recorded",
        guard="an end is acknowledged after it is committed",
        edits=(
            Edit(
                "reconciler/sourceloop.py",
                "        seen = observe(self._store,",
                "        self._to_acknowledge.extend(found.eid for found in page if found.exit is not None)\n"
                "        self._recorded.set()\n        seen = observe(self._store,",
            ),
        ),
        caught_by=suite(
            "adapters/test_sourceloop_order.py::test_an_end_that_could_not_be_recorded_is_not_acknowledged"
        ),
    ),
    Mutant(
        name="acts-before-it-has-looked",
        guard="a session begins with a look at all that is open",
        edits=(
            Edit(
                "reconciler/sourceloop.py",
                "            await self._look_at([attempt.eid for attempt in self._store.open_attempts(self.name)])\n"
                '            crashpoint("source.looked")\n',
                "",
            ),
        ),
        caught_by=suite("adapters/test_sourceloop_order.py::test_a_session_begins_with_a_look_at_all_that_is_open"),
    ),
    Mutant(
        name="places-before-it-has-looked",
        guard="nothing is placed on a source before it has told what is open there",
        edits=(
            Edit(
                "reconciler/sourceloop.py",
                "return self.source.state.up and self._settled and not self._refused",
                "return self.source.state.up and not self._refused",
            ),
        ),
        caught_by=suite("adapters/test_sourceloop_order.py::test_nothing_is_placed_on_a_source_that_is_still_looking"),
    ),
    Mutant(
        name="outdated-intent-is-sent",
        guard="what would run an older spec is not sent",
        edits=(
            Edit(
                "reconciler/apply.py",
                "        if sweep is None or sweep.digest != attempt.digest:\n",
                "        if sweep is None:\n",
            ),
        ),
        caught_by=suite(
            "adapters/test_sourceloop.py::test_an_intent_whose_spec_changes_while_its_code_is_brought_is_given_up"
        ),
    ),
    Mutant(
        name="intent-of-another-boot-is-sent",
        guard="an intent is sent only to the very system for which it was made",
        edits=(
            Edit("reconciler/apply.py", "if limits.scheduled or each.home == here]", "if limits.scheduled or here]"),
        ),
        caught_by=suite("adapters/test_sourceloop_order.py::test_an_intent_for_another_boot_is_not_sent"),
    ),
    Mutant(
        name="cancel-asked-is-cancel-done",
        guard="a cancellation is done when its end is proven, not when it was asked for",
        edits=(
            Edit(
                "reconciler/apply.py",
                "revoked = [eid for eid, outcome in outcomes.items() if outcome is CancelOutcome.REVOKED]",
                "revoked = list(outcomes)",
            ),
        ),
        caught_by=suite("adapters/test_sourceloop_order.py::test_a_cancellation_that_was_only_asked_for_is_no_end"),
    ),
)

REPOSITORY = (
    Mutant(
        name="no-brake",
        guard="a removal of very much waits for a person",
        edits=(
            Edit(
                "reconciler/controller/brake.py",
                "    if deleted >= SWEEPS_MIN and deleted * 2 > sweeps:\n",
                "    if False:\n",
            ),
        ),
        caught_by=suite(
            "adapters/test_controller_acceptance.py::test_a_frozen_removal_can_still_be_approved_after_a_restart"
        ),
        shows="no removal waits for an approval",
    ),
    Mutant(
        name="no-brake-on-tasks",
        guard="no more running tasks are cancelled by one edit than the operator allows",
        edits=(Edit("reconciler/controller/brake.py", "    if removed_active > max_tasks:\n", "    if False:\n"),),
        caught_by=suite(
            "adapters/test_controller_acceptance.py::test_while_a_mass_removal_waits_what_another_commit_removes_waits_with_it"
        ),
    ),
    Mutant(
        name="brake-forgets-what-waits",
        guard="the brake judges the pending set, not the newest commit alone",
        edits=(Edit(ACCEPTANCE, "            deleted=len(gone) + pending,\n", "            deleted=len(gone),\n"),),
        caught_by=suite(
            "adapters/test_controller_acceptance.py::test_what_a_rewritten_history_removed_counts_with_what_the_next_commit_removes"
        ),
    ),
    Mutant(
        name="removed-beside-what-waits",
        guard="while removals wait, what else is removed waits with them",
        edits=(Edit(ACCEPTANCE, 'waiting = known.blocked if beside else ""', 'waiting = ""'),),
        caught_by=suite(
            "adapters/test_controller_acceptance.py::"
            "test_what_is_removed_joins_what_waits_though_that_is_no_mass_removal_any_more"
        ),
        bug="while a mass removal waited, the next commit's removals were carried out at once",
    ),
    Mutant(
        name="rewritten-history-cancels",
        guard="a head that is no descendant cancels nothing",
        edits=(
            Edit(
                ACCEPTANCE,
                "rewritten = known.accepted is not None and not await"
                " self._repository.is_descendant(known.accepted, head.commit)",
                "rewritten = False",
            ),
        ),
        caught_by=suite(
            "adapters/test_controller_acceptance.py::test_what_a_rewritten_history_removes_stays_frozen_over_a_restart"
        ),
    ),
    Mutant(
        name="rewritten-head-thaws-itself",
        guard="only a descendant of the rewritten head, or a person, lets its removals go ahead",
        edits=(Edit(ACCEPTANCE, " and not rewritten and head.commit != known.accepted", ""),),
        caught_by=suite(
            "adapters/test_controller_acceptance.py::"
            "test_what_a_rewritten_history_removes_stays_frozen_though_git_was_away_for_a_moment"
        ),
    ),
    Mutant(
        name="unnamed-manifest-deletes-others",
        guard="while a manifest cannot be named, no sweep is deleted",
        edits=(Edit(ACCEPTANCE, "        if missing and not survey.complete:\n", "        if False:\n"),),
        caught_by=suite(
            "adapters/test_controller_acceptance.py::test_while_a_manifest_cannot_be_named_none_is_deleted"
        ),
    ),
    Mutant(
        name="broken-manifest-deletes-its-sweep",
        guard="a broken manifest keeps its sweep's last good spec",
        edits=(Edit(ACCEPTANCE, " and sweep.name not in survey.broken_names", ""),),
        caught_by=suite("e2e/test_hostile_absence.py::test_a_broken_manifest_cancels_nothing_and_is_told"),
    ),
    Mutant(
        name="refused-file-is-no-file",
        guard="a manifest that became a symlink is broken, not gone",
        edits=(Edit("reconciler/controller/survey.py", "for error in listing.refused", "for error in ()"),),
        caught_by=suite(
            "adapters/test_controller_acceptance.py::test_a_manifest_that_became_a_symlink_deletes_nothing"
        ),
    ),
    Mutant(
        name="interrupted-pass-is-forgotten",
        guard="a pass that the store interrupted is carried on by the next one",
        edits=(Edit(ACCEPTANCE, "        if self._interrupted:\n", "        if False:\n"),),
        caught_by=suite(
            "adapters/test_controller_acceptance.py::"
            "test_a_pass_that_the_store_interrupted_is_carried_on_by_the_next_one"
        ),
    ),
)

PEOPLE = (
    Mutant(
        name="any-plan-is-approved",
        guard="an approval names the removal set that it approves",
        edits=(Edit("reconciler/controller/acceptance.py", "        if asked != frozen:\n", "        if False:\n"),),
        caught_by=suite("adapters/test_controller_actions.py::test_an_approval_of_another_plan_removes_nothing"),
    ),
    Mutant(
        name="request-done-twice",
        guard="a request whose outcome is there is not done again",
        edits=(
            Edit(
                "reconciler/requests.py",
                "        if outcome(state_dir, action.id) is None:\n            actions.append(action)\n",
                "        if True:\n            actions.append(action)\n",
            ),
        ),
        caught_by=suite("adapters/test_requests.py::test_killed_between_outcome_and_withdrawal_it_is_not_done_again"),
    ),
    Mutant(
        name="queued-is-assumed-dead",
        guard="only what runs, as far as we know, can be said to be dead",
        edits=(
            Edit(
                "reconciler/controller/actions.py",
                "newest.phase is not Phase.RUNNING or newest.key",
                "not newest.phase.active or newest.key",
            ),
        ),
        caught_by=suite("adapters/test_controller_actions.py::test_what_is_queued_is_not_taken_for_dead"),
    ),
    Mutant(
        name="two-daemons-one-state",
        guard="one daemon for one state",
        edits=(
            Edit(
                "reconciler/locks.py",
                "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
                "            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)\n",
            ),
        ),
        caught_by=suite("e2e/test_hostile_start.py::test_a_second_daemon"),
    ),
)

MUTANTS = (*SOURCES, *REPOSITORY, *PEOPLE)
