"""Code on a source that cannot read our mirror: brought whole, kept as it was, and never run when it is not."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from code_lab import MNIST, PATIENCE_S, CodeLab

from reconciler.core.dispatch import Hold
from reconciler.core.identity import short_hash
from reconciler.core.model import Code
from reconciler.core.settings import Transfer
from reconciler.core.wire_code import have, piece, tidy
from reconciler.project import Brought

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.fixture
async def lab(folder: Path) -> AsyncIterator[CodeLab]:
    made = CodeLab(folder)
    await made.source.connect()
    yield made
    await made.close()


async def test_a_commit_is_brought_and_laid_out(lab: CodeLab) -> None:
    commit = lab.commit(train__py="print(1)\n")

    found = await lab.bring(commit)

    assert isinstance(found, Brought), found
    assert str(lab.folder_of(commit)) == found.path
    assert "print(1)\n" == (lab.folder_of(commit) / "train.py").read_text()
    assert [] == list(lab.bundles.iterdir())
    assert [] == list((lab.root / "projects" / MNIST / "incoming").iterdir())


async def test_only_what_is_missing_travels(lab: CodeLab) -> None:
    first = lab.commit(data=os.urandom(300_000))
    await lab.bring(first)
    before = lab.projects.tallies()[MNIST].sent_bytes
    second = lab.commit(train__py="print(2)\n")

    await lab.bring(second)

    assert before > 300_000
    assert lab.projects.tallies()[MNIST].sent_bytes - before < 2_000
    assert {first, second} == set(await lab.source.ask(have(MNIST)))


async def test_what_has_arrived_before_a_cut_is_not_sent_again(lab: CodeLab) -> None:
    commit = lab.commit(data=os.urandom(400_000))
    await lab.codebase.resolve(None)
    bundle = lab.bundles / "b"
    await lab.codebase.bundle(commit, (), bundle)
    way_there = lab.bundles / f"{MNIST}.{commit}.{_of_nothing()}.far.bundle"
    bundle.rename(way_there)
    sha256 = _sha256(way_there)
    size = way_there.stat().st_size
    data = way_there.read_bytes()[:300_000]
    assert 300_000 == await lab.source.ask(piece(MNIST, sha256, size=size, offset=0, data=data))
    await lab.source.aclose()
    await lab.source.connect()

    found = await lab.bring(commit)

    assert isinstance(found, Brought), found
    assert size - 300_000 == lab.projects.tallies()[MNIST].sent_bytes


async def test_what_was_on_its_way_when_all_ended_is_nobodys_trouble(lab: CodeLab) -> None:
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context["message"]))
    await lab.projects.bring({Code(MNIST, lab.commit(data=os.urandom(3_000_000)))})
    incoming = lab.root / "projects" / MNIST / "incoming"
    async with asyncio.timeout(PATIENCE_S):
        while not (incoming.exists() and any(incoming.iterdir())):  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.001)

    await lab.source.aclose()
    await asyncio.sleep(0.1)
    del lab.projects
    gc.collect()

    assert [] == said


async def test_a_bundle_that_was_garbled_on_the_way_is_sent_again(lab: CodeLab) -> None:
    commit = lab.commit(train__py="print(1)\n")
    await lab.codebase.resolve(None)
    way_there = lab.bundles / f"{MNIST}.{commit}.{_of_nothing()}.far.bundle"
    await lab.codebase.bundle(commit, (), way_there)
    sha256, size = _sha256(way_there), way_there.stat().st_size
    await lab.source.ask(piece(MNIST, sha256, size=size, offset=0, data=b"x" * 50))

    held = await lab.bring(commit)
    lab.later()
    found = await lab.bring(commit)

    assert isinstance(held, Hold)
    assert "has not arrived as it was sent" in held.message
    assert isinstance(found, Brought), found


async def test_the_source_itself_fetches_when_it_is_told_to(folder: Path) -> None:
    lab = CodeLab(folder, transfer=Transfer.FETCH)
    await lab.source.connect()
    commit = lab.commit(train__py="print(1)\n")
    lab.commit(train__py="print(2)\n")

    found = await lab.bring(commit)

    assert isinstance(found, Brought), found
    assert "print(1)\n" == (lab.folder_of(commit) / "train.py").read_text()
    assert 0 == lab.projects.tallies()[MNIST].sent_bytes
    await lab.close()


async def test_a_damaged_store_on_the_source_is_filled_anew(lab: CodeLab) -> None:
    await lab.bring(lab.commit(train__py="print(1)\n"))
    objects = lab.root / "projects" / MNIST / "objects.git"
    for pack in (objects / "objects" / "pack").iterdir():
        pack.unlink()
    for loose in (objects / "objects").glob("??/*"):
        loose.unlink()
    commit = lab.commit(train__py="print(2)\n")

    first = await lab.bring(commit)
    lab.later()
    found = await lab.bring(commit)

    assert isinstance(first, Brought | Hold)
    assert isinstance(found, Brought), found


async def test_what_is_linked_must_be_in_the_shared_folder(folder: Path) -> None:
    lab = CodeLab(folder, link=["data"])
    await lab.source.connect()
    commit = lab.commit(train__py="print(1)\n")

    held = await lab.bring(commit)
    assert isinstance(held, Hold)
    assert f"the shared folder {lab.root}/projects/mnist/shared of the project lacks data" in held.message

    (lab.root / "projects/mnist/shared/data").mkdir()
    (lab.root / "projects/mnist/shared/data/x").write_text("shared")
    lab.later()
    found = await lab.bring(commit)
    assert isinstance(found, Brought), found
    assert "shared" == (lab.folder_of(commit) / "data/x").read_text()
    await lab.close()


async def test_what_is_linked_never_leads_out_of_the_worktree(folder: Path) -> None:
    lab = CodeLab(folder, link=["out/data", "deep/er/data"])
    await lab.source.connect()
    for name in ("out/data", "deep/er/data"):
        (lab.root / "projects/mnist/shared" / name).mkdir(parents=True)
    (lab.work / "out").symlink_to(folder)
    commit = lab.commit(train__py="print(1)\n")

    held = await lab.bring(commit)

    assert isinstance(held, Hold)
    assert f"out/data leads out of {commit[:12]}" in held.message
    assert not (folder / "data").exists()
    await lab.close()


@pytest.mark.parametrize("kind", ["submodule", "lfs"])
async def test_content_that_is_not_brought_is_not_missed_in_silence(lab: CodeLab, kind: str) -> None:
    if kind == "submodule":
        lab.commit(train__py="print(1)\n", __gitmodules='[submodule "foo"]\n\tpath = libs/foo\n\turl = ../foo\n')
        lab.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},libs/foo")
        lab.git("commit", "--quiet", "-m", "submodule")
        commit = lab.git("rev-parse", "HEAD")
        expected = "has submodules (libs/foo), whose content is not brought"
    else:
        commit = lab.commit(__gitattributes="*.bin filter=lfs\n", weights__bin=POINTER)
        expected = "has files in git-lfs (weights.bin), whose content is not brought"

    held = await lab.bring(commit)

    assert isinstance(held, Hold)
    assert ("ProjectNotReady", True) == (held.reason, expected in held.message)


async def test_a_repository_that_was_added_by_mistake_is_an_empty_folder_as_in_every_clone(lab: CodeLab) -> None:
    lab.commit(train__py="print(1)\n")
    lab.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},libs/foo")
    lab.git("commit", "--quiet", "-m", "embedded")

    brought = await lab.bring(lab.git("rev-parse", "HEAD"))

    assert isinstance(brought, Brought)
    assert [] == list((Path(brought.path) / "libs/foo").iterdir())


# ------------------------------------------------------------------------------------------------ just before a start


async def test_the_record_tells_which_code_ran_and_when_it_was_verified(lab: CodeLab) -> None:
    commit = lab.commit(train__sh="#!/bin/sh\ntrue\n")
    await lab.bring(commit)

    found = await lab.run(0, commit, "/bin/sh", "train.sh")

    assert found.exit is not None
    assert found.exit.code is not None
    assert (MNIST, commit, 0) == (found.exit.code.project, found.exit.code.commit, found.exit.exit_code)
    assert found.exit.code.verified is not None
    assert found.exit.code.verified <= found.exit.started_at + 0.1


@pytest.mark.parametrize("harm", ["written", "removed", "replaced"])
async def test_nothing_starts_in_code_that_somebody_has_changed(lab: CodeLab, harm: str) -> None:
    commit = lab.commit(train__sh="true\n", other="x\n")
    await lab.bring(commit)
    file = lab.folder_of(commit) / "train.sh"
    match harm:
        case "written":
            file.chmod(0o644)
            file.write_text("false\n")
        case "removed":
            file.unlink()
        case "replaced":
            stamp = file.stat()
            file.unlink()
            file.write_text("fals\n")
            os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    found = await lab.run(0, commit, "/bin/sh", "train.sh")

    assert (True, "train.sh", None, None) == (found.differs, found.refused, found.claim, found.exit)


async def test_changed_code_is_made_anew_when_it_is_doubted(lab: CodeLab) -> None:
    commit = lab.commit(train__sh="true\n")
    await lab.bring(commit)
    file = lab.folder_of(commit) / "train.sh"
    file.chmod(0o644)
    file.write_text("exit 7\n")
    await lab.run(0, commit, "/bin/sh", "train.sh")

    lab.projects.doubt(Code(MNIST, commit))
    found = await lab.bring(commit)

    assert isinstance(found, Brought), found
    assert "true\n" == file.read_text()
    done = await lab.run(1, commit, "/bin/sh", "train.sh")
    assert done.exit is not None
    assert 0 == done.exit.exit_code


async def test_changed_code_stays_while_a_task_runs_in_it(lab: CodeLab) -> None:
    commit = lab.commit(train__sh="sleep 1; true\n")
    await lab.bring(commit)
    file = lab.folder_of(commit) / "train.sh"
    found = lab.projects.found(Code(MNIST, commit))
    assert found is not None
    await lab.start(2, commit, "/bin/sleep", "600")
    file.chmod(0o644)
    file.write_text("exit 7\n")

    lab.projects.doubt(Code(MNIST, commit))
    held = await lab.bring(commit)

    assert isinstance(held, Hold)
    assert ("ProjectDiffers", True) == (
        held.reason,
        f"{found.path} on this source was changed: train.sh" in held.message,
    )
    await lab.cancel(2)
    lab.later()
    again = await lab.bring(commit)
    assert isinstance(again, Brought), again
    assert "sleep 1; true\n" == file.read_text()


@pytest.mark.parametrize(
    ("boot", "comes"), [("another", Brought), ("this", Hold), ("torn", Brought), ("torn now", Hold)]
)
async def test_changed_code_is_made_anew_when_who_ran_in_it_did_so_before_the_machine_started(
    lab: CodeLab, boot: str, comes: type
) -> None:
    """A power loss takes the lock's file and the record with it: only the boot tells that nothing lives there."""
    commit = lab.commit(train__sh="true\n")
    await lab.bring(commit)
    directory = Path((await lab.run(4, commit, "/bin/sh", "train.sh")).directory)
    claim = json.loads((directory / "claim").read_text())
    told = json.dumps(claim | ({} if boot == "this" else {"boot": boot}))
    (directory / "claim").write_text(told[:50] if "torn" in boot else told)
    if boot == "torn":
        os.utime(directory / "claim", (1.0, 1.0))
    for name in ("exit.json", Path(claim["lock"]["path"]).name):
        (directory / name).unlink()
    file = lab.folder_of(commit) / "train.sh"
    file.chmod(0o644)
    file.write_text("exit 7\n")

    lab.projects.doubt(Code(MNIST, commit))

    assert comes is type(await lab.bring(commit))


async def test_programs_may_write_beside_their_code(lab: CodeLab) -> None:
    commit = lab.commit(train__sh="mkdir -p made && echo x > made/x\n")
    await lab.bring(commit)

    for number in (0, 1):
        done = await lab.run(number, commit, "/bin/sh", "train.sh")
        assert done.exit is not None
        assert 0 == done.exit.exit_code


# ------------------------------------------------------------------------------------------------ what is not needed


async def test_code_that_was_not_needed_for_long_is_removed(lab: CodeLab) -> None:
    old, new = lab.commit(train__py="print(1)\n"), lab.commit(train__py="print(2)\n")
    for commit in (old, new):
        await lab.bring(commit)

    told = await lab.source.ask(tidy({f"{MNIST}/{new}"}, 86400.0))
    assert (2, 0) == (told.worktrees, told.removed)
    told = await lab.source.ask(tidy({f"{MNIST}/{new}"}, 0.0))
    assert (1, 1) == (told.worktrees, told.removed)

    assert (False, True) == (lab.folder_of(old).exists(), lab.folder_of(new).exists())
    assert (new,) == await lab.source.ask(have(MNIST))


async def test_code_stays_as_long_as_a_task_runs_in_it(lab: CodeLab) -> None:
    commit = lab.commit(train__py="print(1)\n")
    await lab.bring(commit)
    await lab.start(3, commit, "/bin/sleep", "600")

    told = await lab.source.ask(tidy(set(), 0.0))

    assert (1, 0) == (told.worktrees, told.removed)
    assert lab.folder_of(commit).exists()
    await lab.cancel(3)


def _of_nothing() -> str:
    return short_hash("")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
