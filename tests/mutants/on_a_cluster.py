"""Guards of the agent where a scheduler keeps the queue: told once, taken back by claim and name, started once."""

from __future__ import annotations

from tests.mutants.model import Edit, Mutant, suite

SCHEDULED, EXECUTE, MAIN = (f"reconciler/agent/{name}.py" for name in ("scheduled", "execute", "main"))
TESTS = "adapters/test_agent_scheduled.py::"

MUTANTS = (
    Mutant(
        name="submission-without-its-claim",
        guard="who finds a submission claimed submits nothing",
        edits=(
            Edit(SCHEDULED, "        if known is None:\n", "        if True:\n"),
            Edit(SCHEDULED, "                if won:\n", "                if won or True:\n"),
        ),
        caught_by=suite(TESTS + "test_what_was_submitted_is_not_submitted_again_and_what_is_known_is_told"),
    ),
    Mutant(
        name="every-failed-submission-was-not-taken",
        guard="only what says so was certainly not taken",
        edits=(Edit(SCHEDULED, "return any(pattern.search(said) for pattern in patterns)", "return True"),),
        caught_by=suite(TESTS + "test_a_failure_that_does_not_say_so_may_have_been_taken_and_is_not_repeated"),
    ),
    Mutant(
        name="a-late-submission-was-not-taken",
        guard="a submission that took too long may have been taken",
        edits=(
            Edit(
                SCHEDULED,
                '    if ran["rc"] == 0 or ran["timed_out"]:\n        return False\n',
                '    if ran["timed_out"]:\n        return True\n    if ran["rc"] == 0:\n        return False\n',
            ),
        ),
        caught_by=suite(TESTS + "test_a_submission_that_takes_too_long_is_ended_and_unknown"),
    ),
    Mutant(
        name="a-rejected-submission-stays-claimed",
        guard="what was certainly not taken may be submitted again",
        edits=(Edit(SCHEDULED, 'unlink(self._folder + "/submit")', "pass"),),
        caught_by=suite(TESTS + "test_what_was_certainly_not_taken_may_be_submitted_again"),
    ),
    Mutant(
        name="a-dead-submitter-has-done-nothing",
        guard="who dies while submitting leaves a doubt",
        edits=(Edit(MAIN, "[number], work, died=scheduled.UNKNOWN)", "[number], work)"),),
        caught_by=suite(TESTS + "test_who_dies_while_submitting_leaves_it_unsubmitted_or_claimed"),
    ),
    Mutant(
        name="withdrawn-without-the-claim",
        guard="who takes an attempt back wins its claim first",
        edits=(Edit(SCHEDULED, 'if win(directory + "/claim"', 'if not win(directory + "/other"'),),
        caught_by=suite(TESTS + "test_a_late_job_of_a_revoked_attempt_leaves_without_running"),
    ),
    Mutant(
        name="withdrawn-by-the-row-alone",
        guard="a row without the name of one of our batches is somebody else's",
        edits=(
            Edit(
                SCHEDULED,
                "eid = by_place.get((row.beid, row.place))",
                "eid = next((eid for (_, place), eid in by_place.items() if place == row.place), None)",
            ),
            Edit(SCHEDULED, "names[beid], [job", "names.get(beid, ''), [job"),
        ),
        caught_by=suite(TESTS + "test_a_strangers_job_of_the_same_number_is_not_ended"),
    ),
    Mutant(
        name="a-running-job-is-ended-by-a-revoke",
        guard="who gives up leaves alone what has started",
        edits=(
            Edit(
                SCHEDULED,
                'if outcome in ("revoked", "unknown")]',
                'if outcome in ("revoked", "unknown", "claimed")]',
            ),
        ),
        caught_by=suite(TESTS + "test_what_runs_is_ended_only_when_asked_for"),
    ),
    Mutant(
        name="files-before-the-listing",
        guard="the past is asked only about those that the listing has not",
        edits=(Edit(SCHEDULED, "(place[0].beid, place[1]) not in rows", "True"),),
        caught_by=suite(TESTS + "test_the_past_is_asked_only_about_those_that_started_and_are_gone"),
    ),
    Mutant(
        name="rebuilt-by-the-lock-of-another-host",
        guard="where a scheduler keeps the queue, the lock and the boot of the host that looks prove nothing",
        edits=(
            Edit(
                "reconciler/rebuild/recall.py",
                "Scheduled(gone=frozenset(), clock=now) if left.scheduled else None",
                "None",
            ),
        ),
        caught_by=suite(
            "adapters/test_rebuild_queue.py::"
            "test_the_lock_and_the_boot_of_the_host_that_looks_prove_nothing_there[lost]"
        ),
    ),
    Mutant(
        name="killed-for-memory-and-taken-for-the-tasks-own-failure",
        guard="a task fails for want of memory if the system has killed a process of it, whichever",
        edits=(
            Edit(
                "reconciler/core/diagnosis.py", "    if record.oom_kills:", "    if record.oom_kills and record.signal:"
            ),
        ),
        caught_by=suite("core/test_resolve.py"),
    ),
    Mutant(
        name="a-jobs-task-outlives-its-shim",
        guard="a task that nobody else can see dies with its shim",
        edits=(
            Edit("reconciler/agent/launch.py", "                system.die_with_parent()\n", "                pass\n"),
        ),
        caught_by=suite("adapters/test_agent_mortal.py"),
    ),
    Mutant(
        name="somebody-elses-killed-processes",
        guard="a group in which others are tells nothing of the task",
        edits=(
            Edit(
                "reconciler/agent/memory.py",
                "if members.read().split() != [str(os.getpid())]:",
                "if not members.read():",
            ),
        ),
        caught_by=suite("adapters/test_agent_memory.py::test_a_group_in_which_others_are_tells_nothing_of_us"),
    ),
    Mutant(
        name="a-node-that-comes-back-is-believed-at-once",
        guard="what went on on a node that was given up has time to end before it counts as ended",
        edits=(
            Edit(
                "reconciler/core/evidence.py", "account.ceased and found.eid not in scheduled.doubted", "account.ceased"
            ),
        ),
        caught_by=suite(
            "adapters/test_sourceloop_nodes.py::"
            "test_a_node_that_comes_back_has_time_to_end_what_went_on_there_before_that_counts_as_ended"
        ),
    ),
    Mutant(
        name="any-array-is-limited",
        guard="only what is listed under the name of one of our batches is told how many may run",
        edits=(
            Edit(
                "reconciler/agent/restrict.py",
                "        if beid in batches:\n            eid = batches[beid][1]\n",
                "        if True:\n            eid = next(iter(batches.values()))[1]\n",
            ),
        ),
        caught_by=suite(
            "adapters/test_agent_restrict.py::test_only_the_batch_that_is_meant_is_told_whatever_else_is_listed"
        ),
    ),
    Mutant(
        name="jobs-that-never-start-are-submitted-for-ever",
        guard="a sweep of which several submissions in a row did not start is held",
        edits=(
            Edit(
                "reconciler/core/starts.py",
                "    if streak.submissions < SUBMISSIONS or streak.held(at):\n",
                "    if streak.submissions:\n",
            ),
        ),
        caught_by=suite(
            "sim/test_cluster_protocol.py::"
            "test_nodes_that_cannot_start_our_jobs_are_tried_ever_more_seldom_and_all_runs_once_they_can"
        ),
    ),
    Mutant(
        name="all-of-them-try-whether-they-start",
        guard="where nothing has started for long one attempt tries",
        edits=(Edit("reconciler/core/dispatch.py", "        if name in self.queue.trials:\n", "        if False:\n"),),
        caught_by=suite("core/test_dispatch.py::test_where_nothing_starts_one_tries_and_the_others_wait"),
    ),
    Mutant(
        name="given-up-and-submitted-again-at-once",
        guard="what was given up waits longer each time",
        edits=(
            Edit(
                "reconciler/core/lifecycle.py",
                "            if desired and attempt.reason == NOT_LISTED:\n",
                "            if False:\n",
            ),
        ),
        caught_by=suite("core/test_lifecycle.py::test_what_was_given_up_backs_off_longer_each_time"),
    ),
    Mutant(
        name="a-start-changes-nothing",
        guard="the first start lets all of the sweep go there again",
        edits=(Edit("reconciler/sourceloop.py", "        self.source.barred.started(seen.started)\n", ""),),
        caught_by=suite("adapters/test_sourceloop_unstarted.py::test_the_first_start_ends_it_for_all"),
    ),
    Mutant(
        name="the-end-of-whoever-has-the-number",
        guard="a number that was given out again is somebody else's: ends are ours by name and number",
        edits=(Edit("reconciler/dialects/slurm_findings.py", "past.name == name and ", ""),),
        caught_by=suite("dialects/test_slurm.py::test_an_end_of_another_start_is_none_of_this_one"),
    ),
    Mutant(
        name="asked-about-and-submitted",
        guard="what a cluster is only asked about is not submitted",
        edits=(
            Edit(
                "reconciler/dialects/slurm_submission.py",
                '*(("--test-only",) if test else ("--parsable",)),',
                '"--parsable",',
            ),
        ),
        caught_by=suite("dialects/test_slurm_site.py::test_whatever_visitors_have_run_only_looks"),
    ),
    Mutant(
        name="submitted-before-the-limits-are-known",
        guard="who submits knows first how much the cluster takes",
        edits=(Edit("reconciler/source.py", "        learnt = await self.learn()\n", "        learnt = False\n"),),
        caught_by=suite("adapters/test_source_site.py::test_an_array_is_no_larger_than_the_cluster_takes"),
    ),
    Mutant(
        name="only-old-ends-are-read",
        guard="the end of a job is read as each release of Slurm writes it",
        edits=(
            Edit(
                "reconciler/dialects/slurm_rows.py",
                "        return _Status(int(match[1]), int(match[2]))\n",
                "        return None\n",
            ),
        ),
        caught_by=suite(
            "dialects/test_slurm_rows.py::test_newer_ones_write_an_end_as_exit_and_signal_and_not_as_wait_has_it"
        ),
        bug="real Slurms of other releases: of 24.11 no end was known that left no record, unless it kept accounts",
    ),
    Mutant(
        name="zero-is-the-success-of-what-is-being-ended",
        guard="a task that was ended with its job has not succeeded, whatever its shell says behind it",
        edits=(
            Edit(
                EXECUTE, 'and record["launch_error"] is None', 'and record["exit_code"] and not record["launch_error"]'
            ),
        ),
        caught_by=suite(
            "adapters/test_agent_jobs.py::"
            "test_a_task_that_goes_on_behind_a_child_that_was_ended_with_its_job_has_not_succeeded"
        ),
        bug="CI, a node of a real Slurm that was heard again: a shell told a success for a program that was ended",
    ),
    Mutant(
        name="given-up-before-this-session-has-missed-it",
        guard="who was not listed before is missed by this session, too, before it is given up",
        edits=(Edit("reconciler/core/evidence.py", "(missed_now and _unlisted_for_long(", "(_unlisted_for_long("),),
        caught_by=suite("core/test_resolve_scheduled.py::test_an_attempt_that_no_session_has_seen_listed"),
    ),
    Mutant(
        name="ends-are-told-by-listings-of-several-sessions",
        guard="the end of what has started is told by the listings of one session, which heard its node",
        edits=(
            Edit(
                "reconciler/core/evidence.py",
                "if (found.claim, found.torn, attempt.nonce) == (None, False, None) else None",
                "",
            ),
        ),
        caught_by=suite("core/test_resolve_scheduled.py::test_an_attempt_that_no_session_has_seen_listed"),
    ),
)
