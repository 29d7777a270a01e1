"""Guards of the pure core: what proves an end, what counts, what may start, what becomes of a point."""

from __future__ import annotations

from tests.mutants.model import WORLDS, Edit, Mutant, suite

CORE = "reconciler/core"

EVIDENCE = (
    Mutant(
        name="foreign-record-believed",
        guard="an exit record counts only with the nonce of the claim",
        edits=(Edit(f"{CORE}/resolve.py", "        if record.nonce == attempt.nonce:\n", "        if True:\n"),),
        caught_by=suite("core/test_resolve.py"),
    ),
    Mutant(
        name="held-lock-is-no-life",
        guard="a held lock means that it lives, whatever else is said",
        edits=(
            Edit(
                f"{CORE}/resolve.py",
                "    if LockHeld() in facts.signs:\n        return None\n    if LockFree()",
                "    if LockFree()",
            ),
        ),
        caught_by=suite("core/test_resolve.py::test_a_free_lock_and_a_held_one_mean_that_it_lives"),
    ),
    Mutant(
        name="unjudged-lock-is-an-end",
        guard="a lock that cannot be judged proves nothing",
        edits=(
            Edit(
                f"{CORE}/evidence.py",
                "yield LockFree() if found.lock is Lock.FREE else LockUnknown()",
                "yield LockFree()",
            ),
        ),
        caught_by=suite("core/test_resolve.py::test_a_running_attempt"),
    ),
    Mutant(
        name="reboot-of-another-host",
        guard="only the same host's reboot ends what it ran",
        edits=(
            Edit(
                f"{CORE}/evidence.py",
                "return known and (home.host, home.machine) == (here.host, here.machine)",
                "return known",
            ),
        ),
        caught_by=suite(
            "sim/test_process_protocol.py::test_another_host_that_sees_the_same_files_ends_nothing_by_its_boot"
        ),
    ),
    Mutant(
        name="absence-is-an-end",
        guard="what was not found has not ended",
        edits=(
            Edit(
                f"{CORE}/resolve.py",
                "    if Rebooted() in facts.signs and Waiting() not in facts.signs:\n",
                '    if Absent() in facts.signs:\n        return lost(attempt, now, "it is not there")\n'
                "    if Rebooted() in facts.signs and Waiting() not in facts.signs:\n",
            ),
        ),
        caught_by=suite("core/test_resolve.py::test_a_queued_attempt_is_not_lost_by_a_free_lock_alone"),
    ),
    Mutant(
        name="failure-to-claim-is-an-end",
        guard="a shim that could not claim (exit 98) has run nothing, and ends nothing",
        edits=(
            Edit(
                f"{CORE}/resolve.py",
                "    if LockFree() in facts.signs and attempt.nonce is not None:\n",
                "    if facts.refused:\n        return lost(attempt, now, facts.refused)\n"
                "    if LockFree() in facts.signs and attempt.nonce is not None:\n",
            ),
        ),
        caught_by=suite("core/test_resolve_properties.py::test_an_end_is_concluded_from_positive_evidence_only"),
    ),
    Mutant(
        name="two-winners-believed",
        guard="two claims of one attempt are not believed",
        edits=(
            Edit(
                f"{CORE}/resolve.py",
                "    if len(nonces) + (facts.revoked is not None) <= 1:\n        return None\n",
                "    if True:\n        return None\n",
            ),
        ),
        caught_by=suite(
            "core/test_resolve.py::test_a_claim_that_was_won_twice_is_not_believed",
            "core/test_resolve.py::test_a_claim_that_was_both_started_and_revoked_is_not_believed",
        ),
    ),
    Mutant(
        name="other-work-s-success-adopted",
        guard="the claim says which work really ran",
        edits=(
            Edit(
                f"{CORE}/resolve.py",
                "            digest=Digest(claimed.claim.digest) if claimed.claim.digest else attempt.digest,\n",
                "",
            ),
        ),
        caught_by=suite(
            "adapters/test_sourceloop.py::test_a_success_of_other_work_under_the_same_number_counts_as_outdated"
        ),
        bug="chaos: a state that was put back from a copy adopted another program's success",
    ),
)

SCHEDULERS = (
    Mutant(
        name="accounting-of-another-job",
        guard="the accounting counts only for the job that won the claim",
        edits=(
            Edit(
                f"{CORE}/resolve.py",
                "starts = {(claimed.claim.job, claimed.claim.restarts) for claimed in facts.claims}",
                "starts = {(getattr(facts.account, 'job', ''), claimed.claim.restarts) for claimed in facts.claims}",
            ),
        ),
        caught_by=suite("sim/test_cluster_protocol.py::test_the_end_of_another_job_of_our_name_is_not_the_end_of_ours"),
    ),
    Mutant(
        name="accounting-of-another-start",
        guard="the accounting counts only for the start of the job that won the claim",
        edits=(
            Edit(
                f"{CORE}/resolve.py",
                "starts = {(claimed.claim.job, claimed.claim.restarts) for claimed in facts.claims}",
                "starts = {(claimed.claim.job, getattr(facts.account, 'restarts', 0)) for claimed in facts.claims}",
            ),
        ),
        caught_by=suite(
            "sim/test_cluster_protocol.py::test_the_end_of_a_second_start_of_the_job_is_not_the_end_of_the_first"
        ),
    ),
    Mutant(
        name="cut-off-node-is-a-dead-one",
        guard="the accounting ends nothing whose node may go on with it",
        edits=(Edit(f"{CORE}/resolve.py", "account is not None and account.ceased and", "account is not None and"),),
        caught_by=suite(
            "sim/test_cluster_protocol.py::test_what_goes_on_on_a_node_that_is_cut_off_is_left_alone_until_the_node_was_heard"
        ),
        bug="review, and a real Slurm: after NODE_FAIL the script went on, and the next attempt ran beside it",
    ),
    Mutant(
        name="sent-and-not-written-down",
        guard="a submission to a scheduler is written down before it is sent, and never sent again",
        edits=(Edit("reconciler/apply.py", "    store.sent(eids, clock.now())\n", ""),),
        caught_by=suite(
            "sim/test_cluster_protocol.py::test_what_was_sent_is_never_sent_again_with_others[apply.submitted]"
        ),
    ),
    Mutant(
        name="given-up-without-the-claim",
        guard="what a scheduler lost is given up by winning its claim, and by nothing else",
        edits=(
            Edit(
                "reconciler/apply.py",
                "[eid for eid, outcome in outcomes.items() if outcome is RevokeOutcome.REVOKED]",
                "list(outcomes)",
            ),
        ),
        caught_by=suite(
            "sim/test_cluster_protocol.py::test_who_has_started_though_nobody_could_see_it_is_not_given_up"
        ),
    ),
    Mutant(
        name="failed-listing-is-an-empty-one",
        guard="a listing that failed is no news",
        edits=(Edit(f"{CORE}/evidence.py", "    elif found.listing is Listing.CLEAN:\n", "    else:\n"),),
        caught_by=suite("core/test_resolve_scheduled.py"),
    ),
    Mutant(
        name="one-listing-is-enough",
        guard="two clean listings, at least",
        edits=(Edit(f"{CORE}/listings.py", "CLEAN_LISTINGS = 2", "CLEAN_LISTINGS = 1"),),
        caught_by=suite("core/test_listings.py"),
    ),
    Mutant(
        name="no-settle-time",
        guard="not listed concludes only after the settle time",
        edits=(Edit(f"{CORE}/listings.py", " and at - register.misses[eid].since >= settle_s", ""),),
        caught_by=suite(
            "sim/test_cluster_protocol.py::test_listings_that_are_empty_for_less_than_the_settle_time_give_nobody_up"
        ),
    ),
    Mutant(
        name="mass-disappearance-believed",
        guard="a listing from which more than a fifth vanish is not believed at once",
        edits=(
            Edit(
                f"{CORE}/listings.py",
                "if len(vanished - register.suspect) > MASS_FRACTION * len(register.live):",
                "if False:",
            ),
        ),
        caught_by=suite(
            "sim/test_cluster_protocol.py::test_one_empty_listing_is_believed_only_when_the_next_one_says_the_same"
        ),
    ),
)

BUDGET = (
    Mutant(
        name="our-own-cancels-are-charged",
        guard="what we cancelled ourselves is never counted",
        edits=(
            Edit(
                f"{CORE}/lifecycle.py",
                "            return replace(task, phase=Phase.WAITING) if desired else task\n",
                "            return _after_failure(task, attempt, retry, desired, now)\n",
            ),
        ),
        caught_by=suite("core/test_lifecycle.py::test_our_own_cancels_cost_nothing"),
    ),
    Mutant(
        name="an-end-is-charged-again",
        guard="an end that was settled is not settled again",
        edits=(
            Edit(
                f"{CORE}/lifecycle.py",
                "    return attempt.phase.ended and not task.phase.active\n",
                "    return False\n",
            ),
        ),
        caught_by=suite("core/test_lifecycle.py::test_an_end_is_charged_once"),
    ),
    Mutant(
        name="older-news-settles",
        guard="only the newest attempt moves its task",
        edits=(
            Edit(
                f"{CORE}/lifecycle.py",
                "        return attempt.key.number < task.attempts\n",
                "        return False\n",
            ),
        ),
        caught_by=suite("core/test_lifecycle.py::test_an_older_attempt_changes_nothing"),
    ),
)

DIFF = (
    Mutant(
        name="success-runs-again",
        guard="a success with the desired digest satisfies",
        edits=(
            Edit(
                f"{CORE}/diff.py",
                "    if known.phase is Phase.SUCCEEDED and known.digest == policy.digest:\n"
                "        return Verb.KEEP, Reason.SUCCEEDED\n"
                "    if policy.digest in known.succeeded:\n"
                "        return Verb.ADOPT, Reason.SUCCEEDED_BEFORE\n",
                "    if known.phase is Phase.SUCCEEDED:\n        return Verb.RERUN, Reason.OUTDATED\n",
            ),
        ),
        caught_by=WORLDS,
    ),
    Mutant(
        name="removed-and-not-cancelled",
        guard="what leaves the manifest is cancelled, if it says so",
        edits=(
            Edit(
                f"{CORE}/diff.py",
                "return Verb.CANCEL if policy.on_remove is OnRemove.CANCEL else Verb.DRAIN",
                "return Verb.DRAIN",
            ),
        ),
        caught_by=suite(
            "adapters/test_store_acceptance.py::test_a_removed_running_task_is_cancelled_and_runs_again_when_it_returns"
        ),
    ),
    Mutant(
        name="freeze-does-not-hold",
        guard="what waits for approval is not removed",
        edits=(
            Edit(
                f"{CORE}/diff.py",
                "    return policy.freeze and not (known.phase.active and policy.state is SweepState.CANCELLED)\n",
                "    return False\n",
            ),
        ),
        caught_by=suite("adapters/test_store_acceptance.py::test_a_frozen_removal_cancels_nothing_and_starts_nothing"),
    ),
)

DISPATCH = (
    Mutant(
        name="parallelism-ignored",
        guard="no more at once than the manifest allows",
        edits=(
            Edit(
                "reconciler/controller/queues.py",
                "parallelism=sweep.spec.parallelism,",
                "parallelism=None,",
            ),
        ),
        caught_by=suite("adapters/test_sourceloop_order.py::test_no_more_is_placed_than_the_manifest_allows_at_once"),
    ),
    Mutant(
        name="paused-sweep-starts",
        guard="a paused sweep starts nothing",
        edits=(
            Edit(
                "reconciler/controller/queues.py",
                "    match sweep.spec.state:\n        case SweepState.PAUSED:\n",
                "    match sweep.spec.state:\n        case SweepState.PAUSED if False:\n",
            ),
        ),
        caught_by=suite("e2e/test_edits.py::test_paused_starts_nothing_and_active_goes_on"),
    ),
    Mutant(
        name="gpu-placed-twice",
        guard="dispatch gives each GPU once",
        edits=(
            Edit(
                f"{CORE}/dispatch.py",
                " and not self.reserved and resources.gpus <= self.gpus_free",
                " and not self.reserved",
            ),
        ),
        caught_by=suite("core/test_dispatch.py::test_gpus_are_given_once"),
    ),
)

MUTANTS = (*EVIDENCE, *SCHEDULERS, *BUDGET, *DIFF, *DISPATCH)
