"""A folder without git, as it was when it was pinned, brought to a source and compared there."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from reconciler.agent import seal
from reconciler.clock import SystemClock
from reconciler.core.dispatch import Hold
from reconciler.core.errors import RepositoryError
from reconciler.core.model import InstanceId, ProjectName, SourceName
from reconciler.core.settings import ProjectConfig, ProjectKind, SourceConfig
from reconciler.dialects.process import ProcessDialect
from reconciler.links.local import LocalLink
from reconciler.project.base import Coming
from reconciler.project.tree import Snapshot
from reconciler.snapshots import TreeCodebase
from reconciler.source import Source

NAME = ProjectName("model")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "folder"
    (made / "conf").mkdir(parents=True)
    (made / "train.py").write_text("print(1)\n")
    (made / "conf/ä b.yaml").write_bytes(b"lr: 0.1\r\n")
    (made / "run.sh").write_text("#!/bin/sh\n")
    (made / "run.sh").chmod(0o755)
    (made / "link").symlink_to("train.py")
    (made / "two\nlines").write_text("odd\n")
    (made / os.fsdecode(b"no \xff text")).write_text("odd\n")
    return made


@pytest.fixture
def project(folder):
    return ProjectConfig(name=NAME, url=str(folder), kind=ProjectKind.TREE)


@pytest.fixture
def codebase(project, tmp_path):
    made = TreeCodebase(project, tmp_path / "state", clock=SystemClock())
    yield made
    made.close()


@pytest.fixture
async def source():
    root = tempfile.mkdtemp(prefix="r")
    config = SourceConfig(name=SourceName("box"), root=f"{root}/root")
    link, clock = LocalLink(), SystemClock()
    made = Source(
        config=config, instance=InstanceId("aaaa"), daemon="d", dialect=ProcessDialect(), link=link, clock=clock
    )
    await made.connect()
    yield made
    await made.aclose()
    shutil.rmtree(root)


async def brought(source, codebase, project, tmp_path, pin):
    """What becomes of it once all has come that was missing."""
    way = Snapshot(project, codebase.stock, tmp_path / "bundles", SystemClock())
    found = await way.bring(source, pin)
    if isinstance(found, Coming):
        await found.supply()
        found = await way.bring(source, pin)
    return found


def contents(folder):
    files = [path for path in Path(folder).rglob("*") if path.is_symlink() or path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), os.access(path, os.X_OK)) for path in files}


async def test_the_pin_is_the_hash_of_the_files_and_nothing_else(codebase, folder):
    one = await codebase.resolve(None)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/train.pyc").touch()
    os.utime(folder / "train.py", (1, 1))

    assert one == await codebase.resolve(None)
    assert one.startswith("tree:")


async def test_what_was_pinned_comes_to_the_source_as_it_was(source, codebase, project, folder, tmp_path):
    before = contents(folder)
    pin = await codebase.resolve(None)
    (folder / "train.py").write_text("print(2)\n")

    found = await brought(source, codebase, project, tmp_path, pin)

    assert before == contents(found.path)
    assert [] == seal.differing(found.seal)


async def test_two_states_of_the_folder_lie_side_by_side(source, codebase, project, folder, tmp_path):
    pins = [await codebase.resolve(None)]
    (folder / "train.py").write_text("print(2)\n")
    pins.append(await codebase.resolve(None))

    found = [await brought(source, codebase, project, tmp_path, pin) for pin in pins]

    assert ["print(1)\n", "print(2)\n"] == [(Path(each.path) / "train.py").read_text() for each in found]


async def test_what_is_kept_outlives_the_folder_and_the_rest_goes(codebase, folder):
    pins = []
    for number in range(3):
        (folder / "train.py").write_text(f"print({number})\n")
        pins.append(await codebase.resolve(None))
    await codebase.keep([pins[0]])
    shutil.rmtree(folder)

    assert await codebase.stock.resolve(pins[0])
    with pytest.raises(RepositoryError, match="is not kept"):
        await codebase.stock.resolve(pins[1])


async def test_what_is_not_kept_takes_no_room(codebase, folder):
    for _ in range(3):
        (folder / "big.bin").write_bytes(os.urandom(1 << 20))
        pin = await codebase.resolve(None)
    await codebase.keep([pin])

    objects = codebase.stock.folder / "objects"
    assert 1.5 * (1 << 20) > sum(path.stat().st_size for path in objects.rglob("*") if path.is_file())
    assert await codebase.stock.resolve(pin)


async def test_a_folder_on_sources_alone_is_named_by_its_hash(tmp_path):
    project = ProjectConfig(name=NAME, url="", kind=ProjectKind.TREE)
    codebase = TreeCodebase(project, tmp_path / "state", clock=SystemClock())

    assert "tree:" + "a" * 64 == await codebase.resolve("a" * 64)
    with pytest.raises(RepositoryError, match="has no `url`"):
        await codebase.resolve(None)
    codebase.close()


async def test_a_snapshot_may_be_named_by_the_beginning_of_its_hash(codebase, folder):
    pin = await codebase.resolve(None)
    (folder / "train.py").write_text("print(2)\n")
    await codebase.resolve(None)

    assert [pin, pin] == [await codebase.resolve(pin), await codebase.resolve(pin.removeprefix("tree:")[:12])]


@pytest.mark.parametrize("revision", ["main", "tree:", "12345678"])
async def test_what_names_no_snapshot_is_not_found(codebase, revision):
    await codebase.resolve(None)
    with pytest.raises(RepositoryError) as refused:
        await codebase.resolve(revision)

    assert "RevisionNotFound" == refused.value.reason


async def test_a_pin_that_is_not_kept_any_more_holds_the_project(source, codebase, project, tmp_path):
    found = await brought(source, codebase, project, tmp_path, await codebase.resolve("0" * 64))

    assert isinstance(found, Hold)
    assert "ProjectNotReady" == found.reason


async def test_a_folder_that_is_no_code_cannot_be_pinned(codebase, folder):
    os.mkfifo(folder / "pipe")
    with pytest.raises(RepositoryError, match="pipe is neither a file nor a link"):
        await codebase.resolve(None)
