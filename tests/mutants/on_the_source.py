"""Guards of the agent and its shims: the claim, the lock, the epoch, the outbox, signals."""

from __future__ import annotations

from tests.mutants.model import WORLDS, Edit, Mutant, suite

AGENT = "reconciler/agent"
WON = "won = os.fstat(fd).st_nlink == 2 or _leads_to(path, fd)"

CLAIM = (
    Mutant(
        name="shim-runs-without-winning",
        guard="a shim that lost its claim runs nothing",
        edits=(
            Edit(f"{AGENT}/shim.py", "        if not won:\n            self._clean()\n            return LOST\n", ""),
        ),
        caught_by=suite(
            "conformance/test_once.py::test_two_agents_that_start_the_same_attempts_at_once_start_each_once"
        ),
    ),
    Mutant(
        name="claim-after-start",
        guard="first the claim, then the program",
        edits=(
            Edit(
                f"{AGENT}/shim.py",
                'won = win(self.directory + "/claim"',
                'record = self._execute(time.time())\n            won = win(self.directory + "/claim"',
            ),
            Edit(
                f"{AGENT}/shim.py",
                "record = self._execute(time.time())\n        self._publish(record)\n",
                "self._publish(record)\n",
            ),
        ),
        caught_by=WORLDS,
    ),
    Mutant(
        name="everybody-wins",
        guard="a claim has one winner",
        edits=(Edit(f"{AGENT}/place.py", WON, "won = True"),),
        caught_by=suite(
            "conformance/test_once.py::test_two_agents_that_start_the_same_attempts_at_once_start_each_once"
        ),
    ),
    Mutant(
        name="link-s-answer-is-trusted",
        guard="the number of links decides who won, not what link(2) returned",
        edits=(Edit(f"{AGENT}/place.py", WON, "won = failure is None"),),
        caught_by=suite("adapters/test_agent_parts.py::test_who_made_the_link_has_won_whatever_the_answer_was"),
    ),
    Mutant(
        name="start-over-a-claim",
        guard="the agent starts nothing that has a claim, nor does its shim run it",
        edits=(
            Edit(
                f"{AGENT}/desk.py",
                '        if os.path.lexists(directory + "/claim"):\n            claim = read_claim(directory)\n',
                "        if False:\n            claim = read_claim(directory)\n",
            ),
            Edit(f"{AGENT}/shim.py", "        if not won:\n            self._clean()\n            return LOST\n", ""),
        ),
        caught_by=suite("conformance/test_once.py::test_an_attempt_that_was_revoked_never_starts"),
    ),
    Mutant(
        name="give-up-without-winning",
        guard="whoever gives an attempt up has won its claim",
        edits=(
            Edit(
                f"{AGENT}/desk.py",
                'if win(directory + "/claim"',
                'if True or win(directory + "/claim"',
            ),
        ),
        caught_by=suite("conformance/test_once.py::test_an_attempt_that_was_revoked_never_starts"),
    ),
    Mutant(
        name="cancel-does-not-revoke",
        guard="cancelling what has not started revokes it",
        edits=(
            Edit(
                f"{AGENT}/desk.py",
                '        if not os.path.lexists(directory + "/claim"):\n            make_folder(directory)\n',
                "        if False:\n            make_folder(directory)\n",
            ),
        ),
        caught_by=suite("conformance/test_once.py::test_an_attempt_that_was_revoked_never_starts"),
    ),
    Mutant(
        name="tombstone-is-forgotten",
        guard="a revoked claim outlives the attempt's folder being asked away",
        edits=(
            Edit(
                f"{AGENT}/desk.py",
                '        if sight.claim is not None and sight.claim.kind == "revoked":\n'
                "            return False  # the tombstone stays\n",
                "",
            ),
        ),
        caught_by=suite("conformance/test_once.py::test_a_tombstone_outlives_being_forgotten"),
    ),
    Mutant(
        name="running-attempt-is-forgotten",
        guard="nothing that runs is removed",
        edits=(
            Edit(
                f"{AGENT}/desk.py",
                "if self._is_ours(eid) or sight.runs or not sight.staged:",
                "if not sight.staged:",
            ),
        ),
        caught_by=suite("conformance/test_ends.py::test_a_running_attempt_is_not_forgotten"),
        hangs=True,
    ),
)

LOCK = (
    Mutant(
        name="record-read-before-lock",
        guard="the lock is tried first, and the record read after it",
        edits=(
            Edit(
                f"{AGENT}/look.py",
                '    claim = read_claim(directory)\n    lock = "unknown"\n',
                '    claim = read_claim(directory)\n    record = read_record(directory)\n    lock = "unknown"\n',
            ),
            Edit(
                f"{AGENT}/look.py",
                "        lock = lock_state(claim.lock)\n    record = read_record(directory)\n",
                "        lock = lock_state(claim.lock)\n",
            ),
        ),
        caught_by=suite("adapters/test_agent_parts.py::test_an_end_between_two_glances_is_seen_by_the_second"),
    ),
    Mutant(
        name="lock-of-another-inode",
        guard="only the inode that the claim names is its lock",
        edits=(
            Edit(
                f"{AGENT}/look.py",
                '        if (found.st_dev, found.st_ino) != (lock.dev, lock.ino):\n            return "unknown"\n',
                "",
            ),
        ),
        caught_by=suite("conformance/test_once.py::test_a_lock_file_that_is_not_the_claimed_inode_says_nothing"),
    ),
    Mutant(
        name="observer-makes-the-lock-file",
        guard="who looks at a lock never makes its file",
        edits=(
            Edit(
                f"{AGENT}/look.py",
                "os.open(lock.path, os.O_RDONLY | os.O_NOFOLLOW)",
                "os.open(lock.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)",
            ),
        ),
        caught_by=suite("adapters/test_agent_parts.py::test_a_missing_or_strange_lock_says_nothing_and_is_not_made"),
    ),
    Mutant(
        name="lock-of-another-machine",
        guard="a lock is judged only on the machine that made it",
        edits=(
            Edit(
                f"{AGENT}/look.py",
                "if claim is not None and claim.lock is not None and is_here(root, claim):",
                "if claim is not None and claim.lock is not None:",
            ),
        ),
        caught_by=suite("conformance/test_elsewhere.py::test_the_lock_of_another_machine_says_nothing"),
    ),
    Mutant(
        name="lock-dies-with-the-shim",
        guard="the lock is held as long as any process of the attempt lives",
        edits=(Edit(f"{AGENT}/shim.py", "os.set_inheritable(self.lock_fd, True)", "pass"),),
        caught_by=WORLDS,
    ),
    Mutant(
        name="lock-let-go-before-the-record",
        guard="the record is in place before the lock is let go",
        edits=(
            Edit(
                f"{AGENT}/shim.py",
                "        self._publish(record)\n        self._release()\n",
                "        fcntl.flock(self.lock_fd, fcntl.LOCK_UN)\n        time.sleep(0.2)\n"
                "        self._publish(record)\n        self._release()\n",
            ),
        ),
        caught_by=suite("conformance/test_ends.py::test_whoever_looks_while_a_task_ends_sees_it_alive_or_its_record"),
    ),
    Mutant(
        name="foreign-record-believed-by-the-agent",
        guard="an exit record counts only with the nonce of the claim",
        edits=(
            Edit(
                f"{AGENT}/look.py",
                'self.claim is not None and self.exit.get("nonce") == self.claim.nonce',
                "self.claim is not None",
            ),
        ),
        caught_by=suite("conformance/test_elsewhere.py::test_the_record_of_another_start_ends_nothing"),
    ),
)

EPOCH = (
    Mutant(
        name="epoch-not-checked",
        guard="an older daemon changes nothing any more",
        edits=(
            Edit(
                f"{AGENT}/main.py",
                'if op in MUTATIONS and (body.get("epoch") != desk.root.epoch or desk.root.fenced()):',
                "if False:",
            ),
        ),
        caught_by=suite("conformance/test_once.py::test_an_agent_of_an_older_epoch_may_change_nothing_any_more"),
    ),
    Mutant(
        name="nobody-is-fenced",
        guard="of two daemons on copies of one state only the newer one rules a source",
        edits=(
            Edit(f"{AGENT}/place.py", "return any(number > self.epoch for number in self._epochs())", "return False"),
        ),
        caught_by=suite(
            "sim/test_process_protocol.py::"
            "test_a_frozen_daemon_that_wakes_places_nothing_beside_the_copy_that_rules_since"
        ),
    ),
    Mutant(
        name="queue-of-a-fenced-agent-starts",
        guard="what an older agent has queued does not start",
        edits=(Edit(f"{AGENT}/desk.py", "if self.root.fenced():", "if False:"),),
        caught_by=suite("conformance/test_once.py::test_what_waits_in_the_queue_of_a_fenced_agent_never_starts"),
    ),
    Mutant(
        name="epoch-taken-back",
        guard="a daemon that was cut off takes nothing back from a newer one",
        edits=(
            Edit(
                f"{AGENT}/place.py",
                "if 0 < after < number - 1 and self._winner",
                "if False and self._winner",
            ),
        ),
        caught_by=suite("conformance/test_once.py::test_a_daemon_that_was_cut_off_takes_nothing_back_from_a_newer_one"),
    ),
    Mutant(
        name="owner-not-checked",
        guard="a root of another instance is refused",
        edits=(Edit(f"{AGENT}/place.py", "        if owner != self.instance:\n", "        if False:\n"),),
        caught_by=suite("conformance/test_once.py::test_a_root_of_another_instance_is_refused"),
    ),
)

ENDS = (
    Mutant(
        name="told-once-and-dropped",
        guard="an end stays in the outbox until it is acknowledged",
        edits=(
            Edit(
                f"{AGENT}/desk.py",
                "        self._told.add(eid)\n",
                '        self._told.add(eid)\n        os.unlink("%s/%s" % (self.root.outbox, eid))\n',
            ),
        ),
        caught_by=suite("conformance/test_ends.py::test_ends_are_told_again_to_every_new_session_until_acknowledged"),
        hangs=True,
    ),
    Mutant(
        name="record-without-room",
        guard="the room for the record is taken before the claim",
        edits=(Edit(f"{AGENT}/shim.py", '        write_all(self.record_fd, b" " * RECORD_BYTES)\n', ""),),
        caught_by=suite("conformance/test_room.py::test_a_disk_that_fills_up_during_a_task_does_not_lose_its_end"),
        hangs=True,
    ),
    Mutant(
        name="signal-without-start-time",
        guard="a pid is ours only with the start time of its claim",
        edits=(
            Edit(
                f"{AGENT}/reach.py",
                "return system.start_ticks(pid) == start and (name is None or system.process_name(pid) == name)",
                "return name is None or system.process_name(pid) == name",
            ),
        ),
        caught_by=suite(
            "adapters/test_agent_parts.py::test_only_the_process_that_started_then_and_bears_the_name_is_signalled"
        ),
    ),
    Mutant(
        name="signal-without-name",
        guard="a shim is signalled only while it bears the attempt's name",
        edits=(
            Edit(
                f"{AGENT}/reach.py",
                "return system.start_ticks(pid) == start and (name is None or system.process_name(pid) == name)",
                "return system.start_ticks(pid) == start",
            ),
        ),
        caught_by=suite(
            "adapters/test_agent_parts.py::test_only_the_process_that_started_then_and_bears_the_name_is_signalled"
        ),
    ),
    Mutant(
        name="no-kill-after-the-grace",
        guard="what does not hear TERM is killed when its grace is over",
        edits=(
            Edit(
                f"{AGENT}/supervise.py",
                "        elif heard is None:\n            _signal_group(task, signal.SIGKILL)\n",
                "        elif heard is None:\n",
            ),
        ),
        caught_by=suite("conformance/test_ends.py::test_a_task_that_does_not_hear_is_killed_when_its_grace_is_over"),
        hangs=True,
    ),
    Mutant(
        name="no-word-before-the-walltime-ends",
        guard="a task hears in time that its walltime ends",
        edits=(Edit(f"{AGENT}/supervise.py", "heard is None and warning is not None", "False"),),
        caught_by=suite(
            "conformance/test_warnings.py::test_it_hears_that_once_and_goes_on_until_its_time_is_up[local]"
        ),
    ),
    Mutant(
        name="no-term-before-the-kill",
        guard="a task whose time is up is told so first",
        edits=(Edit(f"{AGENT}/supervise.py", "        _signal_group(task, signal.SIGTERM)\n", ""),),
        caught_by=suite("conformance/test_ends.py::test_a_task_whose_time_is_up_is_told_to_end"),
    ),
    Mutant(
        name="term-to-the-leader-alone",
        guard="the whole process group is told to end",
        edits=(
            Edit(
                f"{AGENT}/supervise.py",
                "        _signal_group(task, signal.SIGTERM)\n",
                "        os.kill(task, signal.SIGTERM)\n",
            ),
        ),
        caught_by=suite("conformance/test_ends.py::test_every_process_of_its_group_hears_that_the_time_is_up"),
    ),
    Mutant(
        name="leftovers-live-on",
        guard="no descendant outlives its task",
        edits=(Edit(f"{AGENT}/supervise.py", "    told |= _clear(usage)\n    killed =", "    killed ="),),
        caught_by=suite("conformance/test_ends.py::test_no_descendant_outlives_its_task"),
    ),
    Mutant(
        name="shim-in-the-agent-s-session",
        guard="a shim has a session of its own",
        edits=(
            Edit(
                f"{AGENT}/shim.py", "        os.setsid()\n        signal.set_wakeup_fd", "        signal.set_wakeup_fd"
            ),
        ),
        caught_by=suite("conformance/test_ends.py::test_a_signal_to_all_of_the_agent_s_session_leaves_the_tasks_alone"),
    ),
    Mutant(
        name="walltime-of-an-orphan",
        guard="the agent stands in for a dead shim, walltime included",
        edits=(Edit(f"{AGENT}/desk.py", "            self.watch.tend(eid, claim)\n", "            pass\n"),),
        caught_by=suite("conformance/test_ends.py::test_the_walltime_of_a_task_without_a_shim_is_kept"),
        hangs=True,
    ),
)

MUTANTS = (*CLAIM, *LOCK, *EPOCH, *ENDS)
