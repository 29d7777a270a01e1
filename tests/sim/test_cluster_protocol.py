"""Each guard of the protocol with schedulers, and the scene that it is for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.cluster_jobs import PBS, SLURM, Rejected
from tests.sim.cluster_scene import POLL_S, SWEEP, Scene, scene

HISTORY = replace(PBS, accounting=True, shown_s=600.0)
LONG_S = 100_000.0  # beyond any scene
SETTLE_S = 180.0
TWO = replace(SWEEP, values=(1, 2))

# ---------------------------------------------------------------------------------------------- what has started


def test_what_goes_on_on_a_node_that_is_cut_off_is_left_alone_until_the_node_was_heard() -> None:
    with scene(SLURM) as it:
        it.scheduler.cut_off(it.began(), 1500.0)
        it.wait(1200)
        (entry,) = it.scheduler.entries
        assert ("NODE_FAIL", ["running"], 1) == (entry.verdict, it.phases(), it.starts())

        it.until(lambda: it.starts() == 2)
        assert "failed" == it.phases()[0]
        it.converge()


def test_the_end_of_a_second_start_of_the_job_is_not_the_end_of_the_first() -> None:
    with scene(HISTORY) as it:
        it.scheduler.cut_off(it.began(), 3000.0)
        it.until(lambda: it.scheduler.entries)
        it.wait(900)

        assert ([("FAILED", 1)], ["running"], 1) == (
            [(entry.verdict, entry.restarts) for entry in it.scheduler.entries],
            it.phases(),
            it.starts(),
        )
        it.converge()


def test_the_end_of_another_job_of_our_name_is_not_the_end_of_ours() -> None:
    with scene(SLURM) as it:
        it.began()
        (ours,) = it.ours()
        it.side.trouble.listing_empty = 1.0
        it.scheduler.submit(ours.name, 1, None, ours.script)
        it.until(lambda: it.scheduler.entries)
        it.wait(900)

        assert (["running"], 1, 1) == (it.phases(), it.starts(), it.happened("claims-lost"))
        it.converge()


def test_no_jump_of_our_clock_ends_what_no_scheduler_lists() -> None:
    with scene(SLURM, sweep=replace(SWEEP, walltime_s=7200)) as it:
        it.scheduler.cut_off(it.began(), LONG_S)
        it.until(lambda: it.scheduler.entries)
        it.world.home.offset_s += 86400.0
        it.wait(900)

        assert (["running"], 1) == (it.phases(), it.starts())


# ---------------------------------------------------------------------------------------------- giving up


def unseen(it: Scene) -> None:
    """Neither the queue nor the file system shows what is new."""
    it.scheduler.show_lag_s = it.side.root.lag_s = 1e9


def test_who_has_started_though_nobody_could_see_it_is_not_given_up() -> None:
    with scene(SLURM, arranged=unseen) as it:
        it.until(lambda: it.happened("revokes-too-late"))
        it.wait(60)

        assert (["running"], 1) == (it.phases(), it.starts())
        it.converge()


def waiting(it: Scene) -> None:
    """Nothing starts."""
    it.scheduler.draining = True


def unfit(it: Scene) -> None:
    """No node can start what we submit."""
    for node in it.scheduler.nodes:
        node.unfit = True


def test_nodes_that_cannot_start_our_jobs_are_tried_ever_more_seldom_and_all_runs_once_they_can() -> None:
    with scene(SLURM, sweep=replace(SWEEP, values=tuple(range(20))), arranged=unfit) as it:
        it.side.site.habits.endless = 0.0
        it.wait(12 * 3600)
        phases = it.phases()
        assert ({"cancelled", "queued"} >= set(phases), True, 0) == (True, 20 <= len(phases) <= 70, it.starts())

        it.wait(3600)
        assert len(it.phases()) <= len(phases) + 3
        it.converge()


def test_what_a_scheduler_has_lost_is_given_up_and_the_next_attempt_runs() -> None:
    with scene(SLURM, arranged=waiting) as it:
        it.until(lambda: it.phases() == ["queued"])
        it.until(it.ours)
        (lost,) = it.ours()
        it.scheduler.crash(1.0)
        assert [] == it.ours()
        it.until(lambda: it.phases() == ["cancelled", "queued"])

        it.scheduler.submit(lost.name, 1, None, lost.script)  # it comes after all
        it.scheduler.draining = False
        it.until(lambda: it.happened("claims-lost"))
        it.converge()


def test_listings_that_are_empty_for_less_than_the_settle_time_give_nobody_up() -> None:
    with scene(SLURM, sweep=TWO, arranged=waiting) as it:
        it.until(it.ours)
        it.wait(5 * POLL_S)
        it.side.trouble.listing_empty = 1.0
        it.wait(SETTLE_S - 6 * POLL_S)
        it.side.trouble.listing_empty = 0.0
        it.wait(600)

        assert (["queued", "queued"], 0) == (it.phases(), it.happened("claims-revoked"))


def test_one_empty_listing_is_believed_only_when_the_next_one_says_the_same() -> None:
    with scene(SLURM, sweep=TWO, arranged=waiting) as it:
        it.until(it.ours)
        it.wait(5 * POLL_S)
        for silence_s in (SETTLE_S + 2 * POLL_S, 0.0):
            it.side.trouble.listing_empty, it.side.trouble.listing_fails = 1.0, 0.0
            before = it.happened("listings")
            it.until(lambda before=before: it.happened("listings") > before)
            it.side.trouble.listing_empty, it.side.trouble.listing_fails = 0.0, 1.0
            it.wait(silence_s)
        it.side.trouble.listing_fails = 0.0
        it.wait(600)

        assert (["queued", "queued"], 0) == (it.phases(), it.happened("claims-revoked"))


def test_while_no_listing_succeeds_nobody_is_given_up() -> None:
    with scene(SLURM, sweep=TWO, arranged=waiting) as it:
        it.until(it.ours)
        it.side.trouble.listing_fails = 1.0
        it.wait(10 * SETTLE_S)

        assert (["queued", "queued"], 0) == (it.phases(), it.happened("claims-revoked"))


# ---------------------------------------------------------------------------------------------- submissions


@pytest.mark.parametrize("point", ["store.sent.committed", "apply.submitted"])
def test_what_was_sent_is_never_sent_again_with_others(point: str) -> None:
    with scene(SLURM, arranged=waiting) as it:
        it.world.fate.dies_at = point
        it.until(lambda: it.happened("daemon-killed-at-point"))
        it.side.trouble.listing_fails = 1.0  # the queue does not tell the next daemon that it is there
        it.world.edits.push(TWO)
        it.until(lambda: len(it.phases()) > 1)
        it.wait(60)
        it.side.trouble.listing_fails = 0.0
        it.converge()


def refusing(it: Scene) -> None:
    """Nothing is taken."""
    it.scheduler.refusing = Rejected("job submit limit", later=True)


SENT = [f"store.sent.{moment}" for moment in ("begun", "written", "committed")]
UNSENT = [f"store.unsent.{moment}" for moment in ("begun", "written", "committed")]


@pytest.mark.parametrize("point", SENT)
def test_a_daemon_that_dies_while_it_writes_down_a_submission_loses_nothing(point: str) -> None:
    with scene(SLURM) as it:
        it.world.fate.dies_at = point
        it.until(lambda: it.happened("daemon-killed-at-point"))
        it.converge()


@pytest.mark.parametrize("point", UNSENT)
def test_a_daemon_that_dies_while_it_writes_down_a_refusal_loses_nothing(point: str) -> None:
    with scene(SLURM, arranged=refusing) as it:
        it.world.fate.dies_at = point
        it.until(lambda: it.happened("daemon-killed-at-point"))
        it.converge()


def test_a_daemon_that_dies_after_it_has_won_a_claim_back_gives_nothing_up_twice() -> None:
    with scene(SLURM, arranged=waiting) as it:
        it.until(it.ours)
        it.scheduler.crash(1.0)
        it.world.fate.dies_at = "apply.revoked"
        it.until(lambda: it.happened("daemon-killed-at-point"))
        it.converge()
        assert 1 == it.happened("claims-revoked")
