"""Bugs that were in our own code, put back: what found each of them once, and what catches it now."""

from __future__ import annotations

from tests.mutants.model import Edit, Mutant, suite

MUTANTS = (
    Mutant(
        name="state-folder-is-not-synced",
        guard="the folders of a new state are there after a power loss",
        edits=(Edit("reconciler/store/database.py", "        _keep_names(directory)\n", ""),),
        caught_by=suite("torn/test_store_images.py::test_no_power_loss_takes_back_what_was_promised[all gone]"),
        bug="crash images: a power loss took a whole new state away, though intents had been promised",
    ),
    Mutant(
        name="owner-is-not-synced",
        guard="the owner of a root is there after a power loss",
        edits=(
            Edit(
                "reconciler/agent/place.py",
                'win(path, self.instance + "\\n", "owner", durable=True)',
                'win(path, self.instance + "\\n", "owner")',
            ),
        ),
        caught_by=suite(
            "torn/test_source_images.py::test_a_session_takes_over_what_is_left_starts_nothing_of_it_and_works[zeros]"
        ),
        shows="ForeignRoot",
        bug="crash images, and the simulator: the owner's name was empty, and the root refused its own daemon",
    ),
    Mutant(
        name="deaf-for-code-that-is-late",
        guard="nobody waits for an instant that has passed",
        edits=(
            Edit(
                "reconciler/project/projects.py",
                "        return replace(hold, until=None) if overdue else hold\n",
                "        return hold\n",
            ),
        ),
        caught_by=suite(
            "adapters/test_sourceloop.py::"
            "test_code_that_is_tried_again_is_waited_for_without_an_instant_that_has_passed"
        ),
        bug="real kills at crash points: code that could not be brought made the daemon deaf half a minute later",
    ),
    Mutant(
        name="clock-set-back-holds-a-retry",
        guard="a retry waits no longer than its longest backoff, whatever the clock does",
        edits=(
            Edit(
                "reconciler/store/reader.py",
                "        found += self._database.rows(ASTRAY, (sweep, generation, max(now + longest_s, 0.0), limit))\n",
                "",
            ),
        ),
        caught_by=suite("adapters/test_store_attempts.py::test_a_backoff_from_before_the_clock_was_set_back_is_over"),
        bug="the simulator, seed 52: after a clock was set back by a day, a task in backoff waited for that day",
    ),
    Mutant(
        name="doubtful-listing-keeps-old-misses",
        guard="who is listed now is not missed any more, however doubtful the listing",
        edits=(
            Edit(
                "reconciler/core/listings.py",
                "        kept = {eid: miss for eid, miss in register.misses.items() if eid not in here}\n",
                "        kept = register.misses\n",
            ),
        ),
        caught_by=suite("core/test_listings.py"),
        bug="review: who stood in a doubtful listing could be given up one listing too early",
    ),
    Mutant(
        name="pushed-page-judged-by-the-login-node",
        guard="where there is a scheduler, the host that looks proves nothing",
        edits=(
            Edit(
                "reconciler/core/evidence.py",
                "    if scheduled is None:\n",
                "    if scheduled is None or found.listing is Listing.NONE:\n",
            ),
        ),
        caught_by=suite(
            "adapters/test_sourceloop_scheduled.py::"
            "test_a_page_that_the_agent_pushes_is_not_judged_by_the_host_that_it_runs_on"
        ),
        bug="review: a login node that was rebooted lost all jobs that ran",
    ),
    Mutant(
        name="walltime-by-our-clock",
        guard="a walltime is measured by the source's own clock",
        edits=(
            Edit(
                "reconciler/core/resolve.py",
                "return _gone(attempt, facts, facts.gone.at, now)",
                "return _gone(attempt, facts, now, now)",
            ),
        ),
        caught_by=suite("sim/test_cluster_protocol.py::test_no_jump_of_our_clock_ends_what_no_scheduler_lists"),
        bug="review: a jump of our clock by a day ended what lived on a node that was cut off",
    ),
    Mutant(
        name="restored-state-never-polls",
        guard="what is known to be there is asked for, whether or not we know that we sent it",
        edits=(
            Edit(
                "reconciler/sourceloop.py",
                "if each.sent_at is not None or each.accepted_at is not None]",
                "if each.sent_at is not None]",
            ),
        ),
        caught_by=suite(
            "adapters/test_sourceloop_scheduled.py::"
            "test_what_a_restored_state_does_not_know_as_sent_is_polled_once_it_was_seen"
        ),
        bug="review: after a state was put back, an attempt whose job was lost stayed open for ever",
    ),
    Mutant(
        name="half-a-mass-removal",
        guard="what a pass removes is judged together with what waits already",
        edits=(
            Edit(
                "reconciler/controller/acceptance.py",
                "            + sum(map(self._store.held_back, beside)),\n",
                "            + 0,\n",
            ),
        ),
        caught_by=suite(
            "adapters/test_controller_acceptance.py::"
            "test_what_an_interrupted_mass_removal_left_waiting_is_judged_with_the_rest_of_it"
        ),
        bug="state machine of edits and kills: a crash in the middle of a mass removal let its second half through",
    ),
    Mutant(
        name="torn-claim-is-no-claim",
        guard="a claim that cannot be understood may be one: nobody starts, and somebody is told",
        edits=(Edit("reconciler/core/resolve.py", "    if ClaimTorn() in facts.signs:\n", "    if False:\n"),),
        caught_by=suite("core/test_resolve.py::test_an_attempt_whose_claim_was_torn"),
        bug="crash images: an attempt whose claim was torn was sent again and again, without a pause or a word",
    ),
    Mutant(
        name="whatever-lies-there-is-a-record",
        guard="what lies in place of a record is judged where it is read",
        edits=(
            Edit(
                "reconciler/agent/look.py",
                '        return record_of(read_json(directory + "/exit.json"))\n',
                '        return read_json(directory + "/exit.json")\n',
            ),
        ),
        caught_by=suite("torn/test_garbage.py::test_a_task_that_writes_a_file_of_our_name_harms_no_other"),
        shows="Garbled",
        bug="crash images: one odd file in an attempt's folder stopped its whole source for ever",
    ),
    Mutant(
        name="record-put-in-place-once",
        guard="a record that cannot be put in place is tried again",
        edits=(
            Edit("reconciler/agent/shim.py", "RECORD_PAUSES_S = (0.05, 0.2, 1.0, 5.0, 30.0)", "RECORD_PAUSES_S = ()"),
            Edit(
                "reconciler/agent/shim.py", "        if not os.path.exists(self.record_path):\n", "        if False:\n"
            ),
        ),
        caught_by=suite("torn/test_garbage.py::test_a_task_that_removes_what_lies_in_its_folder_still_has_an_end"),
        hangs=True,
        bug="an error at each call: one failed rename after a task's end made it run once more",
    ),
    Mutant(
        name="abandoned-worktrees-pile-up",
        guard="what killed makers of worktrees have left is thrown away",
        edits=(Edit("reconciler/agent/side.py", "if MAKING in entry.name and now", "if False and now"),),
        caught_by=suite(
            "adapters/test_agent_parts.py::test_a_worktree_that_nobody_makes_any_more_is_thrown_away_and_nothing_else"
        ),
        bug="real kills at crash points: half a worktree lay on the source for ever",
    ),
    Mutant(
        name="damage-in-unreadable-words",
        guard="whatever is wrong with the state is told as damage, with advice",
        edits=(
            Edit(
                "reconciler/store/database.py",
                "except UnicodeDecodeError as error:  # SQLite names in",
                "except ZeroDivisionError as error:  # SQLite names in",
            ),
        ),
        caught_by=suite("adapters/test_store_file.py::test_whatever_cannot_have_been_written_is_told_as_damage"),
        shows="UnicodeDecodeError",
        bug="a state garbled at random: every command ended with a traceback",
    ),
    Mutant(
        name="reason-of-a-wait-outlives-it",
        guard="why removals wait is forgotten with the last of them",
        edits=(
            Edit(
                "reconciler/controller/acceptance.py",
                'return known if waiting else replace(known, blocked="", rewritten_from=None)',
                "return known",
            ),
        ),
        caught_by=suite("adapters/test_controller_acceptance.py"),
        bug="state machine of edits and kills: an approval that was cut short made the next removal wait for it, too",
    ),
    Mutant(
        name="walltime-of-centuries",
        guard="a shim outlives whatever a manifest asks for",
        edits=(Edit("reconciler/agent/supervise.py", "FOREVER_S = 1e9", "FOREVER_S = 1e99"),),
        caught_by=suite("conformance/test_ends.py::test_a_walltime_of_centuries_is_none"),
        hangs=True,
        bug="hostile numbers: the shim died of such a walltime, and each success of such a task was lost and run again",
    ),
    Mutant(
        name="resources-beyond-numbers",
        guard="what retry rules add to resources stays a number",
        edits=(Edit("reconciler/core/lifecycle.py", "SCALE_MAX = 1e6", "SCALE_MAX = math.inf"),),
        caught_by=suite("core/test_lifecycle.py"),
        bug="hostile numbers: after a hundred retries times a thousand the end of an attempt could not be recorded",
    ),
    Mutant(
        name="manifest-kept-in-another-order",
        guard="a manifest is kept in its declared order",
        edits=(
            Edit(
                "reconciler/controller/acceptance.py",
                "document=identity.declared_json(manifest.loaded.document)",
                "document=identity.canonical_json(manifest.loaded.document)",
            ),
        ),
        caught_by=suite("adapters/test_controller_acceptance.py"),
        shows="names nothing that this point has",
        bug="hostile manifests: a derived value that names one later in the alphabet took its whole source down",
    ),
    Mutant(
        name="copy-of-a-state-is-not-recognised",
        guard="a state that was put back from a copy asks its sources what lies there before it places anything",
        edits=(
            Edit(
                "reconciler/marks.py",
                "return bool(daemon) and daemon != source.daemon and",
                "return False and",
            ),
        ),
        caught_by=suite("adapters/test_marks.py"),
        bug="a state put back from a copy: tasks that had run on one source ran again on another",
    ),
    Mutant(
        name="meant-for-another-login-node-for-ever",
        guard="what was meant for another host of the same files, and has not begun, is given up",
        edits=(Edit("reconciler/core/resolve.py", "if seen.shared and attempt.phase", "if False and attempt.phase"),),
        caught_by=suite(
            "sim/test_process_protocol.py"
            "::test_what_was_meant_for_another_host_of_the_same_files_is_given_up_and_runs_again"
        ),
        bug="the simulator, world 1607: what was meant for another login node of an alias waited for ever",
    ),
    Mutant(
        name="who-is-not-listed-is-forgotten-with-the-session",
        guard="since when a job is not listed is remembered by the next daemon",
        edits=(Edit("reconciler/core/resolve.py", "        return facts.unlisted.at\n", "        return None\n"),),
        caught_by=suite(
            "adapters/test_sourceloop_unlisted.py"
            "::test_how_long_it_is_not_listed_is_remembered_by_the_next_session_and_the_next_daemon"
        ),
        bug="a soak on a real Slurm: while daemon and controller died every few seconds, lost jobs kept all places",
    ),
    Mutant(
        name="placed-elsewhere-than-it-lies",
        guard="an attempt that lies on a source is placed there, and nowhere else",
        edits=(
            Edit(
                "reconciler/controller/placement.py",
                "lying = store.names(eids.values())",
                "lying = dict[Eid, SourceName]()",
            ),
        ),
        caught_by=suite("adapters/test_marks.py"),
    ),
    Mutant(
        name="approval-of-what-nobody-has-seen",
        guard="an approval lets through what was seen, and nothing that a pass has frozen meanwhile",
        edits=(Edit("reconciler/controller/acceptance.py", "            self._check_plan(plan)\n", ""),),
        caught_by=suite(
            "adapters/test_controller_acceptance.py::"
            "test_an_approval_lets_nothing_through_that_a_pass_has_frozen_meanwhile"
        ),
        bug="the simulator, seed 198: an approval that had waited for a pass let through what that pass had frozen",
    ),
    Mutant(
        name="torn-claim-cannot-be-ended",
        guard="what may have started can be said to be dead by a person, though its claim cannot be understood",
        edits=(Edit("reconciler/core/resolve.py", "if torn and attempt.phase is Phase.QUEUED:", "if False:"),),
        caught_by=suite("core/test_resolve.py::test_a_queued_attempt"),
        bug="the simulator, seed 326: an attempt of a torn claim stayed queued for ever, and nobody could end it",
    ),
    Mutant(
        name="said-dead-of-another-attempt",
        guard="who says that an attempt is dead says nothing of the next one",
        edits=(Edit("reconciler/controller/actions.py", " or newest.key.number != number:", ":"),),
        caught_by=suite("adapters/test_controller_actions.py"),
        bug="an operator for the simulator: what was said dead before a crash was said again, of the next attempt",
    ),
    Mutant(
        name="copy-hides-what-came-after-it",
        guard="what a state that was put back has come to since says nothing of what was told before",
        edits=(Edit("reconciler/marks.py", "moment > store.known_of(daemon)", "moment > store.moment()"),),
        caught_by=suite(
            "adapters/test_marks.py::test_what_a_copy_has_come_to_since_hides_nothing_of_what_came_after_it"
        ),
        bug="the simulator, seed 3057: a copy that was killed before it had asked all sources ran tasks twice",
    ),
    Mutant(
        name="unknown-copies-are-forebears",
        guard="a mark of a daemon that the state does not know is that of another copy",
        edits=(
            Edit(
                "reconciler/store/reader.py",
                '            return -1\n        row = self._database.row("SELECT moment FROM lives WHERE',
                '            known = (-1,)\n        row = self._database.row("SELECT moment FROM lives WHERE',
            ),
        ),
        caught_by=suite(
            "adapters/test_marks.py::"
            "test_a_mark_of_somebody_unknown_tells_that_another_copy_was_served_however_far_that_had_come"
        ),
        bug="a state lost fifty times: the second of two copies that were put back ran again what the first had run",
    ),
    Mutant(
        name="claim-that-was-tidied-away-is-won",
        guard="what had started, as we know, is not given up by winning a claim that somebody took away",
        edits=(
            Edit(
                "reconciler/apply.py",
                "        if attempt.phase is Phase.QUEUED\n    ]\n",
                "        if attempt.phase.active\n    ]\n",
            ),
        ),
        caught_by=suite(
            "adapters/test_sourceloop_scheduled.py::test_who_wins_the_claim_of_what_had_started_has_ended_nothing"
        ),
        bug="the simulator, with a purge of old folders: a cancel took a task that lived for one that had not started",
    ),
    Mutant(
        name="state-in-the-making-is-refused",
        guard="a state that was being made when the disk failed is made by the next daemon",
        edits=(
            Edit(
                "reconciler/store/whole.py",
                """        if error.reason == "OlderState" or _is_empty(error):\n            return\n""",
                """        if error.reason == "OlderState":\n            return\n""",
            ),
        ),
        caught_by=suite("adapters/test_store_file.py::test_a_state_that_was_being_made_holds_nothing_and_is_no_damage"),
        shows="UnfinishedState",
        bug="an error that lasts, at each second call: a daemon whose disk had failed at first never started",
    ),
)
