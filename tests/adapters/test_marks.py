"""A state that was put back from a copy: it gives no name to one source that lies on another."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from acceptance_lab import AcceptanceLab
from rebuild_lab import HERE, RebuildLab, Site
from some_stock import only_self
from virtual_clock import VirtualClock

from reconciler import marks
from reconciler.barred import Barred
from reconciler.controller.controller import Controller
from reconciler.controller.keys import DISPATCH, REPOSITORY, Key
from reconciler.controller.placement import place
from reconciler.core import identity
from reconciler.core.model import Eid, SourceName, SweepName
from reconciler.core.settings import SourceConfig
from reconciler.dialects.process import ProcessDialect
from reconciler.project import Projects
from reconciler.source import Source
from reconciler.sourceloop import SourceLoop
from reconciler.store import Event
from reconciler.telemetry import Telemetry
from reconciler.workqueue import WorkQueue

A, B, LAPTOP, S = SourceName("a"), SourceName("b"), SourceName("laptop"), SweepName("s")


@pytest.fixture
def lab(tmp_path: Path):
    lab = AcceptanceLab(tmp_path)
    lab.commit(s="{x: [1, 2, 3]}")
    asyncio.run(lab.acceptance.run())
    yield lab
    lab.store.close()


def source(lab: AcceptanceLab, name: SourceName, site: Site | None = None) -> Source:
    return Source(
        config=SourceConfig(name=name, root="/r", slots=10),
        instance=lab.store.instance(),
        daemon="me",
        dialect=ProcessDialect(),
        link=site or Site("aaaa"),
        clock=lab.clock,
    )


def loop(lab: AcceptanceLab, name: SourceName) -> SourceLoop:
    one = source(lab, name)
    projects = Projects(one, only_self(Path("/m")), lab.clock)
    return SourceLoop(
        one, store=lab.store, catalog=lab.catalog, projects=projects, clock=lab.clock, notify=lambda changed: None
    )


def names(lab: AcceptanceLab) -> list[Eid]:
    """Of the first attempts of all tasks."""
    return [identity.eid(lab.store.instance(), task.key, 1) for task in lab.store.tasks(S, limit=10)]


# ---------------------------------------------------------------------------------------------- marks


def test_a_mark_of_a_later_state_tells_that_ours_was_put_back(lab: AcceptanceLab) -> None:
    lab.store.begin_life("other", 1.0)
    known, here = lab.store.known_of("other"), source(lab, A)

    assert [False, True] == [marks.is_older(lab.store, here, f"other {moment}") for moment in (known, known + 1)]


def test_a_mark_of_somebody_unknown_tells_that_another_copy_was_served_however_far_that_had_come(
    lab: AcceptanceLab,
) -> None:
    """A very old copy is put back, and works; then a newer one, which knows nothing of that."""
    lab.store.go_on_from(1000, [], 1.0)

    assert marks.is_older(lab.store, source(lab, A), "other 1")


def test_what_a_copy_has_come_to_since_hides_nothing_of_what_came_after_it(lab: AcceptanceLab) -> None:
    lab.store.begin_life("before", 1.0)
    lab.store.add_events([Event(reason="Told", message="")], 2.0)
    copied_at = lab.store.moment()
    for number in range(3):  # each dies before it has asked this source
        lab.store.begin_life(f"life {number}", 3.0)
        lab.store.add_events([Event(reason="Lost", message="")] * 5, 3.0)
    here = source(lab, A)

    assert [False, True] == [marks.is_older(lab.store, here, f"before {copied_at + more}") for more in (0, 1)]


def test_a_rebuilt_state_knows_all_that_was_told_before(lab: AcceptanceLab) -> None:
    lab.store.go_on_from(1000, ["other", "another"], 1.0)

    here = source(lab, A)
    assert [False, False] == [marks.is_older(lab.store, here, f"{who} 1000") for who in ("other", "another")]


def test_our_own_mark_is_no_surprise(lab: AcceptanceLab) -> None:
    assert not marks.is_older(lab.store, source(lab, A), f"me {lab.store.moment() + 100}")


@pytest.mark.parametrize("mark", ["", "nonsense", "other x", "other -1", "1000000"])
def test_what_is_no_mark_tells_nothing(lab: AcceptanceLab, mark: str) -> None:
    assert not marks.is_older(lab.store, source(lab, A), mark)


def test_the_state_moves_on_with_every_intent(lab: AcceptanceLab) -> None:
    before = lab.store.moment()

    lab.start_all("s")

    assert lab.store.moment() >= before + 3


async def test_names_that_the_state_does_not_know_are_written_down(tmp_path: Path) -> None:
    lab, world = AcceptanceLab(tmp_path / "one"), RebuildLab(tmp_path / "two")
    lab.commit(s="{x: [1, 2, 3]}")
    await lab.acceptance.run()
    lab.start_all("s")
    foreign = [world.left({"x": x}) for x in (4, 5, 6)]
    known = names(lab)[0]
    world.put("laptop", known, None)
    there = source(lab, LAPTOP, world.sites["laptop"])
    await there.connect()

    count = await marks.write_down_names(there, lab.store)

    assert (3, dict.fromkeys(foreign, LAPTOP)) == (count, lab.store.names([*foreign, known]))
    lab.store.close()


async def test_what_is_intended_for_another_source_and_lies_here_is_here(tmp_path: Path) -> None:
    lab, world = AcceptanceLab(tmp_path / "one"), RebuildLab(tmp_path / "two")
    lab.commit(s="{x: [1, 2, 3]}")
    await lab.acceptance.run()
    lab.start_all("s")
    eid, *others = names(lab)
    lab.store.accepted([eid], 1.0)
    world.put("laptop", eid, None)
    there = source(lab, A, world.sites["laptop"])
    await there.connect()

    count = await marks.write_down_names(there, lab.store)

    (moved,) = lab.store.open_attempts(A)
    assert (1, eid, HERE, None) == (count, moved.eid, moved.home, moved.accepted_at)
    assert set(others) == {each.eid for each in lab.store.open_attempts(LAPTOP)}
    assert {(S, A): 1, (S, LAPTOP): 2} == lab.store.active_counts()
    lab.store.close()


# ---------------------------------------------------------------------------------------------- placement


def ready(name: SourceName, *, up: bool = True) -> SimpleNamespace:
    """As much of a loop as placement looks at."""
    config = SourceConfig(name=name, root="/r", slots=10)
    state = SimpleNamespace(hello=SimpleNamespace(identity=HERE) if up else None)
    return SimpleNamespace(
        name=name,
        source=SimpleNamespace(config=config, slots=10, state=state, barred=Barred(name, VirtualClock())),
        problem=None,
        ready=up,
        prefetch=lambda: 0,
        code_problem=lambda pin: None,
    )


def placed(lab: AcceptanceLab, *loops: SimpleNamespace) -> dict[Eid, SourceName]:
    place(lab.store, lab.catalog, {each.name: each for each in loops}, lab.clock.now())
    return {each.eid: each.source for name in (A, B) for each in lab.store.open_attempts(name)}


def test_what_lies_on_a_source_is_placed_there(lab: AcceptanceLab) -> None:
    lab.store.keep_names(names(lab)[:2], B)

    where = placed(lab, ready(A), ready(B))

    assert ([B, B], 3) == ([where[eid] for eid in names(lab)[:2]], len(where))


def test_what_lies_on_a_source_that_was_not_reached_waits_for_it(lab: AcceptanceLab) -> None:
    lab.store.keep_names(names(lab)[:2], B)

    assert {names(lab)[2]: A} == placed(lab, ready(A), ready(B, up=False))


def test_a_source_that_is_not_configured_any_more_holds_nothing_back(lab: AcceptanceLab) -> None:
    lab.store.keep_names(names(lab), SourceName("gone"))

    assert dict.fromkeys(names(lab), A) == placed(lab, ready(A))


# ---------------------------------------------------------------------------------------------- the beginning


async def beginning(lab: AcceptanceLab, *reached: SourceName) -> tuple[Controller, dict[SourceName, SourceLoop]]:
    """A daemon that has looked at the repository, and at these of its sources."""
    controller = Controller(
        config=lab.config,
        store=lab.store,
        catalog=lab.catalog,
        repository=lab.mirror,
        queue=WorkQueue[Key](lab.clock, random=lambda: 0.0),
        telemetry=Telemetry(version="0"),
        clock=lab.clock,
    )
    loops = {name: loop(lab, name) for name in (A, B)}
    controller.attach(loops)
    await controller.reconcile(REPOSITORY)
    for name in reached:
        await loops[name].source.connect()
        loops[name]._settled = loops[name].judged = True
    return controller, loops


async def test_nothing_is_placed_before_every_source_was_asked_what_lies_there(lab: AcceptanceLab) -> None:
    controller, loops = await beginning(lab, A)

    await controller.reconcile(DISPATCH)
    assert [] == lab.store.open_attempts(A)

    loops[B].judged = True  # it could not be reached
    await controller.reconcile(DISPATCH)
    assert 3 == len(lab.store.open_attempts(A))


async def test_nothing_is_sent_before_every_source_was_asked_what_lies_there(lab: AcceptanceLab) -> None:
    _, loops = await beginning(lab, A)
    assert loops[A].held()

    loops[B].judged = True
    assert not loops[A].held()


async def test_a_source_that_neither_answers_nor_fails_is_not_waited_for_for_ever(lab: AcceptanceLab) -> None:
    controller, _ = await beginning(lab, A)

    await lab.clock.advance(11.0)
    await controller.reconcile(DISPATCH)

    assert 3 == len(lab.store.open_attempts(A))
