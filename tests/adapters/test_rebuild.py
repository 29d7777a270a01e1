"""Whose state is rebuilt, when that is refused, and what becomes of the old one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from rebuild_lab import OWNER, T0, RebuildLab

from reconciler.core.errors import AlreadyRunning, Refused, StoreError
from reconciler.core.model import InstanceId
from reconciler.locks import StateLock
from reconciler.store import Store
from reconciler.store.whole import examine

X = "parameters: {x: [1, 2, 3]}"


@pytest.fixture
def lab(tmp_path: Path) -> RebuildLab:
    lab = RebuildLab(tmp_path)
    lab.commit(s=X)
    return lab


def a_state(lab: RebuildLab, instance: str = OWNER) -> bytes:
    """A whole one, and what is in its file."""
    Store.create(lab.state, instance=InstanceId(instance), at=T0).close()
    return (lab.state / "state.db").read_bytes()


def files(lab: RebuildLab) -> dict[str, bytes]:
    """What holds anything: those who only read leave empty files beside it."""
    every = [path for path in lab.state.glob("state.db*") if not path.name.endswith("-shm")]
    return {path.name: path.read_bytes() for path in every if path.stat().st_size}


# ---------------------------------------------------------------------------------------------- whose state


async def test_the_state_is_that_of_the_roots(lab: RebuildLab) -> None:
    await lab.rebuild()

    assert OWNER == lab.reader().instance()


async def test_a_source_that_was_never_used_has_nothing_to_say(tmp_path: Path) -> None:
    lab = RebuildLab(tmp_path, "laptop", "fresh")
    lab.commit(s=X)
    lab.sites["fresh"].owner = ""

    done = await lab.rebuild()

    assert [OWNER, ""] == [source.owner for source in done.sources]
    assert [""] == lab.sites["fresh"].asked


@pytest.mark.parametrize(("owners", "reason"), [(("", ""), "NothingToRebuild"), (("aaaa", "bbbb"), "OwnersDiffer")])
async def test_roots_of_nobody_and_of_several_are_refused(tmp_path: Path, owners: tuple[str], reason: str) -> None:
    lab = RebuildLab(tmp_path, "laptop", "other")
    lab.commit(s=X)
    for site, owner in zip(lab.sites.values(), owners, strict=True):
        site.owner = owner

    with pytest.raises(Refused) as refusal:
        await lab.rebuild()
    assert (reason, {}) == (refusal.value.reason, files(lab))


async def test_a_root_that_was_used_and_is_nobodys_is_not_passed_over(tmp_path: Path) -> None:
    lab = RebuildLab(tmp_path, "laptop", "other")
    lab.commit(s=X)
    lab.left({"x": 1}, source="other", digest=lab.digest(X))
    lab.sites["other"].owner = ""

    with pytest.raises(Refused) as refusal:
        await lab.rebuild()
    assert ("OwnerUnknown", {}) == (refusal.value.reason, files(lab))


async def test_nothing_is_rebuilt_without_a_source_that_does_not_answer(lab: RebuildLab) -> None:
    lab.sites["laptop"].away = True

    with pytest.raises(Refused) as refusal:
        await lab.rebuild()
    assert ("SourceUnread", {}) == (refusal.value.reason, files(lab))


async def test_nothing_is_rebuilt_without_an_attempt_that_cannot_be_read(lab: RebuildLab) -> None:
    lab.sites["laptop"].unread = ["gaaaabbbbbbbbbb"]

    with pytest.raises(Refused) as refusal:
        await lab.rebuild()
    assert ("SourceUnread", {}) == (refusal.value.reason, files(lab))


async def test_everybody_else_is_fenced_off_before_anything_is_read(lab: RebuildLab) -> None:
    await lab.rebuild()

    assert ["", OWNER] == lab.sites["laptop"].asked


# ---------------------------------------------------------------------------------------------- the old state


async def test_a_whole_state_is_left_alone(lab: RebuildLab) -> None:
    before = a_state(lab)

    with pytest.raises(StoreError) as refusal:
        await lab.rebuild()
    assert ("StateIsWhole", {"state.db": before}) == (refusal.value.reason, files(lab))


async def test_a_whole_state_is_replaced_by_force_and_kept(lab: RebuildLab) -> None:
    before = a_state(lab)

    done = await lab.rebuild(force=True)

    assert [before] == [path.read_bytes() for path in done.kept]
    assert {"state.db", done.kept[0].name} == set(files(lab))


async def test_a_new_state_that_only_stands_where_the_lost_one_was_is_replaced(lab: RebuildLab) -> None:
    a_state(lab, "zzzz")

    await lab.rebuild()

    assert OWNER == lab.reader().instance()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda whole: b"no database at all" * 500, id="no database"),
        pytest.param(lambda whole: whole[: len(whole) // 2], id="cut off"),
        pytest.param(lambda whole: whole[:4096] + b"\xff" * (len(whole) - 4096), id="pages of noise"),
        pytest.param(lambda whole: whole[:8192] + bytes(4096) + whole[12288:], id="a page of zeros"),
        pytest.param(lambda whole: whole.replace(b"aaaa", b"\xff\xfe\xfd\xfc"), id="a text that is none"),
    ],
)
async def test_a_damaged_state_is_replaced_and_kept_as_it_was(lab: RebuildLab, damage) -> None:
    damaged = damage(a_state(lab))
    (lab.state / "state.db").write_bytes(damaged)
    (lab.state / "state.db-wal").write_bytes(b"a log of something else")

    done = await lab.rebuild()

    assert ("damaged", "whole") == (done.found.soundness.value, examine(lab.state).soundness.value)
    assert [damaged, b"a log of something else"] == [path.read_bytes() for path in done.kept[:2]]


async def test_what_was_kept_before_is_never_written_over(lab: RebuildLab) -> None:
    for content in (b"first", b"second"):
        (lab.state / "state.db").parent.mkdir(exist_ok=True)
        (lab.state / "state.db").write_bytes(content * 1000)
        await lab.rebuild()

    kept = sorted(path.read_bytes()[:6] for path in lab.state.glob("state.db.damaged-*"))
    assert [b"firstf", b"second"] == kept


async def test_a_state_of_a_newer_release_is_left_alone(lab: RebuildLab) -> None:
    a_state(lab)
    with sqlite3.connect(lab.state / "state.db") as database:
        database.execute("PRAGMA user_version = 9999")
    database.close()

    with pytest.raises(StoreError) as refusal:
        await lab.rebuild()
    assert "NewerState" == refusal.value.reason


async def test_nothing_is_rebuilt_beside_a_daemon(lab: RebuildLab) -> None:
    daemon = StateLock(lab.state)
    daemon.acquire()

    with pytest.raises(AlreadyRunning):
        await lab.rebuild()
    daemon.release()


async def test_a_rehearsal_tells_the_same_and_changes_nothing(lab: RebuildLab) -> None:
    before = a_state(lab)
    lab.left({"x": 1}, digest=lab.digest(X))

    told = await lab.rehearse()

    assert ({"state.db": before}, ["", ""]) == (files(lab), lab.sites["laptop"].asked)
    done = await lab.rebuild(force=True)
    assert (told.sweeps, told.sources, ()) == (done.sweeps, done.sources, told.kept)
    assert {"state.db", "lock", "repository.git", "repository.git.config"} <= {
        each.name for each in lab.state.iterdir()
    }
    assert [] == list(lab.state.glob("re[bh]*ing-*"))


async def test_a_copy_from_before_the_rebuild_is_older_than_what_is_started_after_it(tmp_path: Path) -> None:
    lab = RebuildLab(tmp_path, "laptop", "other")
    lab.commit(s=X)
    lab.sites["laptop"].mark, lab.sites["other"].mark = "d1 4000", "d2 900"

    await lab.rebuild()

    with lab.store() as store:
        assert store.known_of("d1") > 1_000_000 + 4000


async def test_what_a_killed_rebuild_has_left_goes(lab: RebuildLab) -> None:
    (lab.state / "rebuilding-xyz").mkdir(parents=True)

    await lab.rebuild()

    assert not (lab.state / "rebuilding-xyz").exists()
