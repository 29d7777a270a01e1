"""What a rebuilt state makes of git: what is asked for runs, what has run does not run again, and nothing is ended."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from rebuild_lab import T0, RebuildLab

from reconciler.catalog import Catalog
from reconciler.controller.acceptance import Acceptance
from reconciler.controller.brake import plan_id
from reconciler.controller.queues import gate_of
from reconciler.core.model import SourceName, SweepName
from reconciler.repository import Repository

S, LAPTOP = SweepName("s"), SourceName("laptop")
X = "parameters: {x: [1, 2, 3]}"
Y = "parameters: {x: [1, 2]}"


@pytest.fixture
def lab(tmp_path: Path) -> RebuildLab:
    return RebuildLab(tmp_path)


def standing(lab: RebuildLab) -> dict[str, str]:
    """The sweeps with a past, and what became of them."""
    reader = lab.reader()
    return {row.name: "deleted" if row.deleted else "in force" for row in reader.sweeps()}


async def next_pass(lab: RebuildLab, *, approve: bool = False) -> None:
    """What the daemon's pass over the repository makes of the new state."""
    with lab.store() as store:
        repository = Repository(lab.config.repository, lab.state / "repository.git", clock=lab.clock)
        catalog = Catalog(store)
        acceptance = Acceptance(store, catalog, repository, lab.config, lab.clock)
        await acceptance.run()
        if approve:
            await acceptance.approve(plan_id((each.name, each.row.frozen) for each in catalog.sweeps()))
        repository.close()


def cancelling(lab: RebuildLab) -> list[str]:
    """Why open attempts are to be cancelled."""
    return [attempt.cancel for attempt in lab.reader().open_attempts(LAPTOP) if attempt.cancel]


# ---------------------------------------------------------------------------------------------- what is asked for


async def test_what_never_ran_waits_and_what_ran_does_not_run_again(lab: RebuildLab) -> None:
    lab.commit(s=X, other="parameters: {y: [1]}")
    lab.left({"x": 2}, digest=lab.digest(X))

    done = await lab.rebuild()

    assert (["waiting", "succeeded", "waiting"], ["waiting"]) == (lab.phases(), lab.phases("other"))
    assert {"s": "in force", "other": "new"} == {sweep.name: sweep.standing for sweep in done.sweeps}


async def test_the_first_pass_of_the_daemon_finds_nothing_to_do(lab: RebuildLab) -> None:
    lab.commit(s=X)
    lab.left({"x": 2}, digest=lab.digest(X))
    await lab.rebuild()
    before = lab.reader().sweeps()

    await next_pass(lab)

    assert before == lab.reader().sweeps()


async def test_a_sweep_stays_pinned_to_the_commit_that_its_attempts_ran(lab: RebuildLab) -> None:
    pin = lab.commit(s=f"{X}, updatePolicy: Rerun")
    lab.left({"x": 1}, digest=lab.digest(f"{X}, updatePolicy: Rerun", pin), pin=pin)
    lab.commit(other="parameters: {y: [1]}")  # moves the branch on, and the sweep's program with it

    await lab.rebuild()

    sweep = lab.reader().sweep(S)
    assert sweep is not None
    assert (pin, ["succeeded", "waiting", "waiting"]) == (sweep.pin, lab.phases())


async def test_of_several_pins_the_one_counts_that_ran_last(lab: RebuildLab) -> None:
    old = lab.commit(s=X)
    lab.left({"x": 1}, digest=lab.digest(X, old), pin=old, at=T0 - 300)
    new = lab.commit(other="parameters: {y: [1]}")
    lab.left({"x": 2}, digest=lab.digest(X, new), pin=new, at=T0 - 200)
    lab.commit(other=None)

    await lab.rebuild()

    sweep = lab.reader().sweep(S)
    assert sweep is not None
    assert new == sweep.pin


async def test_what_ran_an_older_program_is_outdated(lab: RebuildLab) -> None:
    lab.commit(s=X)
    lab.left({"x": 1}, digest="an older one")
    lab.left({"x": 2}, end="3", digest="an older one")

    await lab.rebuild()

    assert ["succeeded", "waiting", "waiting"] == lab.phases()  # updatePolicy: Keep


async def test_a_gate_that_a_schedule_has_opened_stays_open(lab: RebuildLab) -> None:
    spec = f'{X}, schedule: "0 0 1 * *"'
    lab.commit(s=spec)
    tick = datetime(2023, 11, 1, tzinfo=UTC).timestamp()
    lab.left({"x": 1}, digest=lab.digest(spec), at=tick + 10)

    await lab.rebuild()

    sweep = lab.catalog().get(S)
    assert sweep is not None
    assert None is gate_of(lab.reader(), sweep, T0)


async def test_a_sweep_that_is_cancelled_is_being_cancelled(lab: RebuildLab) -> None:
    spec = f"{X}, state: Cancelled"
    lab.commit(s=spec)
    lab.left({"x": 1}, end="running", digest=lab.digest(spec))

    await lab.rebuild()

    assert ["SweepCancelled"] == cancelling(lab)


# ---------------------------------------------------------------------------------------------- what has left


async def test_a_point_that_has_left_stays_known_and_is_adopted_when_it_returns(lab: RebuildLab) -> None:
    pin = lab.commit(s=X)
    lab.left({"x": 3}, digest=lab.digest(X))
    lab.commit(s=Y)

    done = await lab.rebuild()

    former = lab.task({"x": 3})
    assert former is not None
    assert (False, "succeeded", "") == (former.desired, former.phase, done.plan)
    lab.commit(s=X)
    await next_pass(lab)
    assert (["waiting", "waiting", "succeeded"], pin) == (lab.phases(), lab.catalog().get(S).pin)


async def test_what_runs_though_its_point_has_left_runs_on_until_that_is_approved(lab: RebuildLab) -> None:
    lab.commit(s=X)
    lab.left({"x": 3}, end="running", digest=lab.digest(X))
    lab.commit(s=Y)

    done = await lab.rebuild()

    assert ([], 1) == (cancelling(lab), len(lab.reader().open_attempts(LAPTOP)))
    row = lab.reader().sweep(S)
    assert row is not None
    assert (plan_id([(S, row.frozen)]), True) == (done.plan, bool(done.plan))
    assert "rebuilt" in lab.reader().repository().blocked
    await next_pass(lab)
    assert [] == cancelling(lab)
    await next_pass(lab, approve=True)
    assert ["PointRemoved"] == cancelling(lab)


async def test_what_runs_though_its_point_has_left_drains_where_the_manifest_says_so(lab: RebuildLab) -> None:
    lab.commit(s=X)
    lab.left({"x": 3}, end="running", digest=lab.digest(X))
    lab.commit(s=f"{Y}, onRemove: Drain")

    done = await lab.rebuild()

    former = lab.task({"x": 3})
    assert former is not None
    assert (False, "running", "") == (former.desired, former.phase, done.plan)
    assert ([], 1) == (cancelling(lab), len(lab.reader().open_attempts(LAPTOP)))


async def test_a_point_that_was_kept_is_kept(lab: RebuildLab) -> None:
    lab.commit(s=X)
    lab.left({"x": 3}, end="running", digest=lab.digest(X))
    lab.commit(s=f"{Y}, onRemove: Keep")

    await lab.rebuild()

    assert ["waiting", "waiting", "running"] == sorted(lab.phases(), reverse=True)


async def test_what_runs_an_older_program_is_not_replaced_until_that_is_approved(lab: RebuildLab) -> None:
    spec = f"{X}, updatePolicy: Replace"
    lab.commit(s=spec)
    lab.left({"x": 1}, end="running", digest="an older one")

    done = await lab.rebuild()

    assert ([], True) == (cancelling(lab), bool(done.plan))
    await next_pass(lab, approve=True)
    assert ["Outdated"] == cancelling(lab)


async def test_what_was_staged_and_is_not_asked_for_any_more_is_given_up(lab: RebuildLab) -> None:
    lab.commit(s=X)
    lab.left({"x": 3}, end="staged", digest=lab.digest(X))
    lab.commit(s=f"{Y}, onRemove: Drain")

    await lab.rebuild()

    assert ["PointRemoved"] == cancelling(lab)


async def test_a_sweep_that_has_left_drains(lab: RebuildLab) -> None:
    lab.commit(s=X, other=Y)
    lab.left({"x": 1}, end="running", digest=lab.digest(X))
    lab.left({"x": 2}, end="0", digest=lab.digest(X))
    lab.commit(s=None)

    done = await lab.rebuild()

    assert ({"s": "deleted", "other": "in force"}, "") == (standing(lab), done.plan)
    assert ([], 1) == (cancelling(lab), len(lab.reader().open_attempts(LAPTOP)))
    assert {"s": "gone", "other": "new"} == {sweep.name: sweep.standing for sweep in done.sweeps}
    lab.commit(s=X)
    await next_pass(lab)
    assert ["running", "succeeded", "waiting"] == lab.phases()


async def test_what_runs_of_a_sweep_that_has_left_is_cancelled_only_when_that_is_approved(lab: RebuildLab) -> None:
    spec = f"{X}, deletionPolicy: Cancel"
    lab.commit(s=spec, other=Y)
    lab.left({"x": 1}, end="running", digest=lab.digest(spec))
    lab.commit(s=None)

    done = await lab.rebuild()

    assert ([], True) == (cancelling(lab), bool(done.plan))
    await next_pass(lab, approve=True)
    assert ["SweepDeleted"] == cancelling(lab)


async def test_a_sweep_with_a_broken_manifest_goes_on_with_its_last_good_one(lab: RebuildLab) -> None:
    pin = lab.commit(s=X)
    lab.left({"x": 1}, end="running", digest=lab.digest(X))
    lab.left({"x": 2}, end="0", digest=lab.digest(X))
    lab.commit(s="parameters: {x: [}")
    lab.commit(s="nonsense: true")

    done = await lab.rebuild()

    row = lab.reader().sweep(S)
    assert row is not None
    assert (["running", "succeeded", "waiting"], pin, False) == (lab.phases(), row.pin, row.deleted)
    assert (["broken"], [S]) == (
        [sweep.standing for sweep in done.sweeps],
        [row.sweep for row in lab.reader().invalid()],
    )


async def test_a_sweep_that_nobody_remembers_runs_on_and_starts_nothing(lab: RebuildLab) -> None:
    lab.commit(other=Y)
    lab.left({"x": 1}, end="running", digest="d")
    lab.left({"x": 2}, end="3", digest="d")
    lab.left({"x": 3}, end="staged", digest="d")

    done = await lab.rebuild()

    assert "gone" == done.sweeps[-1].standing
    running, failed = lab.task({"x": 1}), lab.task({"x": 2})
    assert running is not None
    assert failed is not None
    assert (("running", False), ("failed", False)) == ((running.phase, running.desired), (failed.phase, failed.desired))
    assert (["PointRemoved"], 2) == (cancelling(lab), len(lab.reader().open_attempts(LAPTOP)))


async def test_a_sweep_without_any_good_manifest_starts_nothing_until_it_has_one(lab: RebuildLab) -> None:
    lab.commit(s="nonsense: true")
    lab.left({"x": 1}, end="running", digest="d")
    lab.left({"x": 2}, end="staged", digest="d")

    await lab.rebuild()

    sweep = lab.catalog().get(S)
    assert sweep is not None
    gate = gate_of(lab.reader(), sweep, T0)
    assert gate is not None
    assert ("Paused", ["PointRemoved"]) == (gate.reason, cancelling(lab))
    lab.commit(s=X)
    await next_pass(lab)
    assert "running" == lab.phases()[0]
    assert None is gate_of(lab.reader(), lab.catalog().get(S), T0)


async def test_while_a_manifest_cannot_be_named_no_sweep_is_taken_to_have_left(lab: RebuildLab) -> None:
    lab.commit(s=X)
    lab.left({"x": 1}, end="running", digest=lab.digest(X))
    lab.commit(s=None)
    lab.origin.write("sweeps.d/what.yaml", "[")
    lab.origin.commit(None)

    await lab.rebuild()

    assert ({"s": "in force"}, ["running", "waiting", "waiting"]) == (standing(lab), lab.phases())


async def test_a_revision_that_cannot_be_found_starts_nothing(lab: RebuildLab) -> None:
    spec = f"{X}, revision: nowhere"
    lab.commit(s=spec)
    lab.left({"x": 1}, end="0", digest="of another program")

    await lab.rebuild()

    sweep = lab.catalog().get(S)
    assert sweep is not None
    gate = gate_of(lab.reader(), sweep, T0)
    assert gate is not None
    assert ("Paused", [S]) == (gate.reason, [row.sweep for row in lab.reader().invalid()])
