"""The repository pass, on a real repository and a real store: what stays frozen, and what a pass half done leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from acceptance_lab import AcceptanceLab as Lab

from reconciler import crashpoints
from reconciler.controller.acceptance import Acceptance
from reconciler.core.errors import RepositoryError, StoreError
from reconciler.core.model import SweepName

S = SweepName("s")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.store.close()


async def rewritten(lab: Lab) -> None:
    """A history that was rewritten, and takes two points away."""
    lab.commit(s="{x: [1]}")
    lab.commit(s="{x: [1, 2, 3]}")
    await lab.acceptance.run()
    lab.commit("--amend", s="{x: [1]}")
    await lab.acceptance.run()


async def test_what_a_rewritten_history_removes_stays_frozen_though_git_was_away_for_a_moment(lab: Lab) -> None:
    await rewritten(lab)
    away = lab.origin.directory.rename(lab.folder / "away")
    with pytest.raises(RepositoryError):
        await lab.acceptance.run()
    away.rename(lab.origin.directory)

    await lab.acceptance.run()

    assert ((3, 1), True) == ((lab.desired(), lab.may_start()), bool(lab.catalog.get(S).row.frozen))


async def test_what_a_rewritten_history_removes_stays_frozen_over_a_restart(lab: Lab) -> None:
    await rewritten(lab)
    lab.restart()

    await lab.acceptance.run()

    assert (3, 1) == (lab.desired(), lab.may_start())


async def test_the_next_commit_upon_a_rewritten_history_thaws_after_a_restart_too(lab: Lab) -> None:
    await rewritten(lab)
    lab.restart()
    await lab.acceptance.run()

    lab.commit()
    await lab.acceptance.run()

    assert (1, 1) == (lab.desired(), lab.may_start())


async def test_a_pass_that_the_store_interrupted_is_carried_on_by_the_next_one(lab: Lab) -> None:
    lab.commit(s="{x: [1, 2]}")
    await lab.acceptance.run()
    lab.commit(s="{x: [2, 3]}")
    lab.store.commits = 1
    with pytest.raises(StoreError):
        await lab.acceptance.run()
    assert 0 == lab.may_start()

    await lab.acceptance.run()

    assert (2, False) == (lab.may_start(), lab.store.sweep(S).settling)
    assert lab.store.sweep(S).policy == lab.catalog.get(S).policy


async def test_others_never_see_a_generation_in_force_with_an_older_spec(lab: Lab) -> None:
    seen: list[bool] = []

    def look() -> None:
        for name in ("s", "t"):
            row, known = lab.store.sweep(SweepName(name)), lab.catalog.get(SweepName(name))
            if row is not None:
                seen.append(known is not None and known.row.generation == row.generation)

    lab.clock.meanwhile = look
    for values in ("[1]", "[1, 2]", "[2, 3]"):
        lab.commit(s=f"{{x: {values}}}", t=f"{{y: {values}}}")
        await lab.acceptance.run()

    assert {True} == set(seen)


async def test_a_mass_removal_that_was_interrupted_still_waits_for_a_word(lab: Lab) -> None:
    lab.commit(a="{x: [1]}", b="{x: [1]}", c="{x: [1]}")
    await lab.acceptance.run()
    lab.commit(a=None, b=None)
    lab.store.commits = 1
    with pytest.raises(StoreError):
        await lab.acceptance.run()

    await lab.acceptance.run()

    assert [True, True] == [bool(lab.catalog.get(SweepName(name)).row.frozen) for name in ("a", "b")]


async def test_what_an_interrupted_mass_removal_left_waiting_is_judged_with_the_rest_of_it(lab: Lab) -> None:
    lab.restart(prune_max_tasks=3)
    lab.commit(s="{x: [1, 2, 3]}", t="{x: [1, 2, 3]}")
    await lab.acceptance.run()
    lab.start_all("s")
    lab.start_all("t")
    lab.commit(s="{x: [1]}", t="{x: [1]}")
    lab.store.commits = 1
    with pytest.raises(StoreError):
        await lab.acceptance.run()

    await lab.acceptance.run()

    assert ((3, 3), True) == ((lab.desired("s"), lab.desired("t")), bool(lab.store.repository().blocked))


async def test_while_a_mass_removal_waits_what_another_commit_removes_waits_with_it(lab: Lab) -> None:
    lab.restart(prune_max_tasks=1)
    lab.commit(s="{x: [1, 2, 3]}", t="{x: [1, 2]}")
    await lab.acceptance.run()
    lab.start_all("s")
    lab.start_all("t")
    lab.commit(s="{x: [1]}")
    await lab.acceptance.run()

    lab.commit(t="{x: [1]}")
    await lab.acceptance.run()

    assert (3, 2) == (lab.desired("s"), lab.desired("t"))


async def test_what_is_removed_joins_what_waits_though_that_is_no_mass_removal_any_more(lab: Lab) -> None:
    lab.restart(prune_max_tasks=1)
    lab.commit(s="{x: [1, 2, 3]}", t="{x: [1, 2]}")
    await lab.acceptance.run()
    lab.start_all("s")
    lab.commit(s="{x: [1]}")
    await lab.acceptance.run()
    lab.end_all("s")

    lab.commit(t="{x: [1]}")
    await lab.acceptance.run()

    assert (3, 2) == (lab.desired("s"), lab.desired("t"))


async def test_what_a_rewritten_history_removed_counts_with_what_the_next_commit_removes(lab: Lab) -> None:
    names = ("a", "b", "c", "d", "e")
    lab.commit()
    lab.commit(**dict.fromkeys(names, "{x: [1]}"))
    await lab.acceptance.run()
    lab.commit("--amend", a=None, b=None)
    await lab.acceptance.run()

    lab.commit(c=None)
    await lab.acceptance.run()

    assert [1] * 5 == [lab.desired(name) for name in names]


async def test_while_a_manifest_cannot_be_named_none_is_deleted(lab: Lab) -> None:
    lab.commit(**dict.fromkeys(("a", "b", "c", "d", "e"), "{x: [1]}"))  # so many that two are no mass removal
    await lab.acceptance.run()
    lab.origin.write("sweeps.d/a.yaml", "metadata: [")
    lab.commit(b=None)

    await lab.acceptance.run()

    assert (1, 1) == (lab.desired("a"), lab.desired("b"))


async def test_a_manifest_that_became_a_symlink_deletes_nothing(lab: Lab) -> None:
    lab.commit(a="{x: [1]}", b="{x: [1]}", c="{x: [1]}")
    await lab.acceptance.run()
    manifest = lab.origin.directory / "sweeps.d/a.yaml"
    manifest.rename(lab.origin.directory / "a.yaml")
    manifest.symlink_to("../a.yaml")
    lab.commit()

    await lab.acceptance.run()

    assert 1 == lab.desired("a")


async def test_a_frozen_removal_can_still_be_approved_after_a_restart(lab: Lab) -> None:
    lab.commit(a="{x: [1]}", b="{x: [1]}", c="{x: [1]}")
    await lab.acceptance.run()
    lab.commit(a=None, b=None)
    await lab.acceptance.run()
    lab.restart()

    released = await lab.acceptance.approve(lab.plan())

    assert (["a", "b"], 0) == (sorted(released), lab.desired("a") + lab.desired("b"))


async def test_an_approval_lets_nothing_through_that_a_pass_has_frozen_meanwhile(lab: Lab) -> None:
    lab.commit(a="{x: [1]}", b="{x: [1]}", c="{x: [1, 2]}")
    await lab.acceptance.run()
    lab.commit(a=None, b=None)
    await lab.acceptance.run()
    seen = lab.plan()
    lab.commit("--amend", c="{x: [1]}")

    done = await asyncio.gather(lab.acceptance.run(), lab.acceptance.approve(seen), return_exceptions=True)

    assert "OtherPlan" == getattr(done[1], "reason", done[1])
    assert 2 == lab.desired("a") + lab.desired("b")


async def test_an_approval_that_was_cut_short_leaves_no_reason_behind_for_what_waits_later(lab: Lab) -> None:
    lab.commit(a="{x: [1]}", b="{x: [1]}", c="{x: [1, 2]}")
    await lab.acceptance.run()
    lab.commit(a=None, b=None)
    await lab.acceptance.run()

    def dies(point: str) -> None:
        if point == "store.repository.begun":
            raise KeyboardInterrupt

    crashpoints.arm(dies)
    try:
        with pytest.raises(KeyboardInterrupt):
            await lab.acceptance.approve(lab.plan())
    finally:
        crashpoints.arm(None)
    lab.restart()
    lab.commit("--amend", c="{x: [1]}")

    await lab.acceptance.run()

    known = lab.store.repository()
    assert ("", True) == (known.blocked, known.rewritten_from is not None)


async def test_the_first_look_of_a_daemon_is_repeated_until_it_has_come_to_its_end(lab: Lab) -> None:
    lab.commit(s="{x: [1, 2]}", t="{x: [1, 2]}")
    strict = replace(lab.config, max_tasks_per_sweep=1)
    await Acceptance(lab.store, lab.catalog, lab.mirror, strict, lab.clock).run()
    assert (0, 0) == (lab.desired("s"), lab.desired("t"))
    lab.restart()
    lab.store.commits = 1
    with pytest.raises(StoreError):
        await lab.acceptance.run()

    await lab.acceptance.run()

    assert (2, 2) == (lab.desired("s"), lab.desired("t"))


async def test_what_is_kept_of_a_manifest_keeps_its_declared_order(lab: Lab) -> None:
    lab.commit(s='{x: [1]}, derived: {zeta: "z$(x)", alpha: "a$(zeta)"}')
    await lab.acceptance.run()
    sweep, (task,) = lab.catalog.get(S), lab.store.tasks(S, limit=2)

    assert (["zeta", "alpha"], ("x",)) == (list(sweep.spec.derived), sweep.work(task).argv)


async def test_a_deleted_sweep_of_which_nothing_is_left_is_forgotten(lab: Lab) -> None:
    lab.commit(a="{x: [1]}", b="{x: [1]}", c="{x: [1]}")
    await lab.acceptance.run()
    lab.commit(a=None)

    await lab.acceptance.run()

    assert ["b", "c"] == sorted(sweep.name for sweep in lab.catalog.sweeps())
