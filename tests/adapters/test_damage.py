"""Nobody goes on with a damaged state, and nobody begins anew beside the traces of a lost one."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from acceptance_lab import AcceptanceLab
from rebuild_lab import Site
from some_stock import only_self

from reconciler.catalog import Catalog
from reconciler.controller.keys import REPOSITORY, Key
from reconciler.core.errors import Damaged, StoreError
from reconciler.core.model import Attempt, InstanceId, SourceName
from reconciler.core.settings import SourceConfig
from reconciler.dialects.process import ProcessDialect
from reconciler.locks import StateLock
from reconciler.project import Projects
from reconciler.rebuild import refuse_lost
from reconciler.source import Source
from reconciler.sourceloop import SourceLoop
from reconciler.store import RepositoryRow, Store
from reconciler.store.database import Database, damaged
from reconciler.store.whole import look_over
from reconciler.workqueue import WorkQueue

LAPTOP = SourceName("laptop")


class DamagedStore(Store):
    """What is asked of it cannot be read any more."""

    def repository(self) -> RepositoryRow:
        raise damaged("a page is torn")

    def open_attempts(self, source: SourceName) -> list[Attempt]:
        raise damaged("a page is torn")


@pytest.fixture
def lab(tmp_path: Path):
    lab = AcceptanceLab(tmp_path)
    lab.store.close()
    lab.store = DamagedStore(Database.writable(tmp_path / "state"))
    lab.restart()
    yield lab
    lab.store.close()


async def test_a_damaged_state_ends_the_passes(lab: AcceptanceLab) -> None:
    queue: WorkQueue[Key] = WorkQueue(lab.clock, random=lambda: 0.0)
    controller = lab.controller(queue)
    lab.commit(s="{x: [1]}")
    queue.add(REPOSITORY)

    with pytest.raises(Damaged):
        await asyncio.wait_for(controller.work(), 20)


async def test_a_damaged_state_ends_the_loop_of_a_source(lab: AcceptanceLab) -> None:
    source = Source(
        config=SourceConfig(name=LAPTOP, root="/r"),
        instance=InstanceId("aaaa"),
        daemon="d",
        dialect=ProcessDialect(),
        link=Site("aaaa"),
        clock=lab.clock,
    )
    loop = SourceLoop(
        source,
        store=lab.store,
        catalog=lab.catalog,
        projects=Projects(source, only_self(Path("/m")), lab.clock),
        clock=lab.clock,
        notify=lambda changed: None,
    )

    with pytest.raises(Damaged):
        await asyncio.wait_for(loop.run(), 20)


def test_a_manifest_that_the_state_does_not_hold_any_more_is_told_as_damage(tmp_path: Path) -> None:
    lab = AcceptanceLab(tmp_path)
    lab.commit(s="{x: [1]}")
    asyncio.run(lab.acceptance.run())
    lab.store._database.execute("UPDATE sweeps SET document = '{\"spec\": 7}'")

    with pytest.raises(Damaged):
        Catalog(lab.store)
    lab.store.close()


# ---------------------------------------------------------------------------------------------- at the start


def config_of(lab: AcceptanceLab, root: Path, host: str | None = None):
    return replace(lab.config, sources=(SourceConfig(name=LAPTOP, root=str(root), host=host),))


def test_a_missing_state_beside_a_root_that_belongs_to_one_is_lost(lab: AcceptanceLab, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/OWNER").write_text("aaaa\n")
    config = replace(config_of(lab, tmp_path / "root"), state_dir=str(tmp_path / "elsewhere"))

    with pytest.raises(StoreError) as refusal:
        refuse_lost(config)
    assert ("StateLost", True) == (refusal.value.reason, "reconciler rebuild" in refusal.value.hint)


def test_a_state_that_was_copied_without_its_log_is_lost_when_it_holds_nothing(
    lab: AcceptanceLab, tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/OWNER").write_text("aaaa\n")
    (tmp_path / "copy").mkdir()
    with closing(sqlite3.connect(tmp_path / "copy/state.db")) as empty:
        empty.execute("PRAGMA journal_mode = WAL")
    config = replace(config_of(lab, tmp_path / "root"), state_dir=str(tmp_path / "copy"))

    with pytest.raises(StoreError) as refusal:
        refuse_lost(config)
    assert ("StateLost", True) == (refusal.value.reason, (tmp_path / "copy/state.db").stat().st_size > 0)


def test_nothing_is_lost_where_nothing_was(lab: AcceptanceLab, tmp_path: Path) -> None:
    config = replace(config_of(lab, tmp_path / "root"), state_dir=str(tmp_path / "elsewhere"))

    refuse_lost(config)


def test_nothing_is_lost_where_the_state_is(lab: AcceptanceLab, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/OWNER").write_text("aaaa\n")

    refuse_lost(config_of(lab, tmp_path / "root"))


def test_a_holder_that_was_killed_has_left_the_lock(tmp_path: Path) -> None:
    first, second, third = StateLock(tmp_path), StateLock(tmp_path), StateLock(tmp_path)
    first.acquire()
    content = (tmp_path / "lock").read_text()
    first.release()
    second.acquire()
    assert not second.left

    second.release()
    (tmp_path / "lock").write_text(content)  # as a kill leaves it
    third.acquire()
    assert third.left
    third.release()


def test_a_torn_page_is_found_by_looking_the_state_over(tmp_path: Path) -> None:
    lab = AcceptanceLab(tmp_path)
    lab.commit(s="{x: [1, 2, 3]}")
    asyncio.run(lab.acceptance.run())
    lab.store.close()
    file = tmp_path / "state/state.db"
    good = file.read_bytes()
    look_over(tmp_path / "state")

    file.write_bytes(good[:-4096] + b"\xff" * 4096)

    with pytest.raises(Damaged):
        look_over(tmp_path / "state")


def test_where_there_is_no_state_there_is_nothing_to_look_over(tmp_path: Path) -> None:
    look_over(tmp_path)
