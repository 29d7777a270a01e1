"""Somebody's own checkout or folder on a source: code that runs only while it is exactly what was pinned."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from git_repository import GitRepository

from reconciler.agent import seal
from reconciler.clock import SystemClock
from reconciler.core.dispatch import Hold
from reconciler.core.errors import Refused
from reconciler.core.model import Commit, InstanceId, ProjectName, SourceName
from reconciler.core.settings import ProjectConfig, ProjectKind, SourceConfig, Sync
from reconciler.core.trees import pin_of
from reconciler.core.wire_trees import tree
from reconciler.dialects.process import ProcessDialect
from reconciler.links.local import LocalLink
from reconciler.project.base import Brought
from reconciler.project.verify import Verify
from reconciler.source import Source

FILES = {"train.py": "print(1)\n", "conf/model.yaml": "lr: 0.1\n", "run.sh": "#!/bin/sh\n"}
NAME = ProjectName("mnist")
BOX = SourceName("box")


@pytest.fixture
async def source():
    root = tempfile.mkdtemp(prefix="r")
    config = SourceConfig(name=BOX, root=f"{root}/root")
    made = Source(
        config=config,
        instance=InstanceId("aaaa"),
        daemon="d",
        dialect=ProcessDialect(),
        link=LocalLink(),
        clock=SystemClock(),
    )
    await made.connect()
    yield made
    await made.aclose()
    shutil.rmtree(root)


@pytest.fixture
def there(tmp_path):
    return GitRepository(tmp_path / "there")


@pytest.fixture
def pin(there):
    return Commit(there.commit(FILES))


def way(path, kind=ProjectKind.GIT, wanted=None):
    project = ProjectConfig(name=NAME, url="", sync=Sync.VERIFY, path=str(path), kind=kind)
    return Verify(project, lambda _: wanted)


async def verdict(source, there, pin):
    """What is told of a checkout."""
    found = await way(there.directory).bring(source, pin)
    return found.message.partition(": ")[2] if isinstance(found, Hold) else "in sync"


async def test_tasks_run_in_a_clean_checkout_of_the_pinned_commit(source, there, pin):
    found = await way(there.directory).bring(source, pin)

    assert isinstance(found, Brought)
    assert str(there.directory) == found.path
    assert [] == seal.differing(found.seal)


async def test_untracked_files_may_lie_there(source, there, pin):
    there.write("results/1.csv", "1")

    assert "in sync" == await verdict(source, there, pin)


def amend(there):
    there.commit({"train.py": "print(2)\n"})


def stage(there):
    there.write("new.py", "")
    there.git("add", "new.py")


def overlook(there):
    there.git("update-index", "--assume-unchanged", "train.py")
    there.write("train.py", "print(2)\n")


def merge(there):
    there.git("switch", "-q", "-c", "side", "HEAD")
    there.commit({"train.py": "side\n"})
    there.git("switch", "-q", "main")
    (there.directory / ".git" / "MERGE_HEAD").write_text(there.git("rev-parse", "side"))


EDITS = {
    "modified": (lambda there: there.write("train.py", "print(2)\n"), "1 modified: train.py"),
    "deleted": (lambda there: (there.directory / "train.py").unlink(), "1 deleted: train.py"),
    "executable": (lambda there: (there.directory / "train.py").chmod(0o755), "1 mode: train.py"),
    "staged": (stage, "1 added: new.py"),
    "overlooked": (overlook, "1 hidden: train.py"),
    "merging": (merge, "a merge is under way"),
}


@pytest.mark.parametrize(("edit", "told"), EDITS.values(), ids=EDITS.keys())
async def test_each_edit_holds_the_tasks_and_is_named(source, there, pin, edit, told):
    edit(there)

    assert told == await verdict(source, there, pin)


async def test_configuration_files_are_named_first(source, there, pin):
    for name in FILES:
        there.write(name, "edited")

    assert "3 modified: conf/model.yaml, run.sh, train.py" == await verdict(source, there, pin)


async def test_another_commit_is_told_with_its_distance(source, there, pin):
    amend(there)
    head = there.git("rev-parse", "HEAD")

    assert f"it is at {head[:12]} (1 ahead), not at {pin[:12]}" == await verdict(source, there, pin)


async def test_an_edit_after_the_look_is_seen_at_the_start(source, there, pin):
    found = await way(there.directory).bring(source, pin)
    there.write("train.py", "print(2)\n")

    assert ["train.py"] == seal.differing(found.seal)


async def test_another_commit_after_the_look_is_seen_at_the_start_though_no_file_differs(source, there, pin):
    found = await way(there.directory).bring(source, pin)
    there.git("commit", "-q", "--allow-empty", "-m", "nothing")

    told = [name.rpartition("there/")[2] for name in seal.differing(found.seal)]
    assert [".git/refs/heads/main", ".git/logs/HEAD"] == told


async def test_a_commit_that_moves_a_packed_branch_is_seen_at_the_start(source, there, pin):
    there.git("pack-refs", "--all")
    found = await way(there.directory).bring(source, pin)
    there.git("commit", "-q", "--allow-empty", "-m", "nothing")

    assert [] != seal.differing(found.seal)


async def test_a_file_of_a_submodule_is_sealed_like_any_other(source, there, tmp_path):
    inner = GitRepository(tmp_path / "inner")
    inner.commit({"lib.py": "1\n"})
    there.git("submodule", "--quiet", "add", str(inner.directory), "lib")
    pin = Commit(there.commit(FILES))
    found = await way(there.directory).bring(source, pin)
    there.write("lib/lib.py", "2\n")

    assert ["lib/lib.py"] == seal.differing(found.seal)
    assert "1 modified: lib" == await verdict(source, there, pin)


async def test_looking_writes_nothing_into_the_checkout(source, there, pin):
    (there.directory / "train.py").touch()  # git would refresh its index now
    before = {path: path.stat().st_mtime_ns for path in there.directory.rglob("*")}
    await way(there.directory).bring(source, pin)

    assert before == {path: path.stat().st_mtime_ns for path in there.directory.rglob("*")}


async def test_no_program_of_the_checkout_runs(source, there, pin):
    mark = there.directory.parent / "ran"
    there.git("config", "core.fsmonitor", f"touch {mark}")
    there.git("config", "filter.evil.clean", f"touch {mark}; cat")
    (there.directory / ".git/info/attributes").write_text("*.py filter=evil\n")
    there.write("train.py", "print(2)\n")

    assert "1 modified: train.py" == await verdict(source, there, pin)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("path", "reason"), [("nothing", "FolderMissing"), ("", "NotACheckout"), ("/", "NotACheckout")]
)
async def test_what_is_no_checkout_is_refused(source, there, pin, path, reason):
    with pytest.raises(Refused) as refused:
        await way(there.directory.parent / path).bring(source, pin)

    assert reason == refused.value.reason


async def test_a_source_without_a_path_holds_the_project(source, pin):
    found = await way("").bring(source, pin)

    assert Hold(reason="ProjectNotReady", message="the project mnist has no `path` on box") == found


# ---------------------------------------------------------------------------------------------- without git


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "folder"


async def test_a_folder_with_the_pinned_hash_is_sealed(source, folder):
    found = await source.ask(tree(str(folder)))
    brought = await way(folder, ProjectKind.TREE).bring(source, pin_of(found.hash))

    assert isinstance(brought, Brought)
    assert [] == seal.differing(brought.seal)


async def test_a_folder_that_was_edited_is_held_and_the_files_are_named(source, folder):
    before = await source.ask(tree(str(folder)))
    (folder / "conf/model.yaml").write_text("lr: 0.2\n")
    (folder / "extra.py").touch()

    held = await way(folder, ProjectKind.TREE, before.files).bring(source, pin_of(before.hash))

    assert f"{folder} on box: 2 files differ: conf/model.yaml, extra.py" == held.message


async def test_the_hash_depends_on_names_contents_links_and_rights_alone(source, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "__pycache__").mkdir()
    (tmp_path / "copy" / "__pycache__" / "train.pyc").touch()
    one, other = [await source.ask(tree(str(each))) for each in (folder, tmp_path / "copy")]
    (folder / "run.sh").chmod(0o755)
    third = await source.ask(tree(str(folder)))

    assert one.hash == other.hash
    assert (one.files["run.sh"].kind, third.files["run.sh"].kind) == ("-", "x")
    assert one.hash != third.hash


async def test_what_the_folder_itself_wants_ignored_does_not_count(source, folder):
    (folder / ".reconcilerignore").write_text("# data\ndata/\n*.log\nconf/local.yaml\n")
    for name in ("data/big.bin", "a.log", "conf/b.log", "conf/local.yaml", "data.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()

    found = await source.ask(tree(str(folder)))

    assert sorted([".reconcilerignore", "data.py", *FILES]) == list(found.files)


async def test_a_second_look_believes_what_was_hashed_before(source, folder):
    """A hash that somebody has changed in what is known comes back: the file was not read again."""
    os.utime(folder / "train.py", (1, 1))
    first = await source.ask(tree(str(folder)))
    (known,) = (Path(source.config.root) / "projects").glob("*.looked")
    text = known.read_bytes()[64:].replace(first.files["train.py"].sha.encode(), b"0" * 64)
    known.write_bytes(hashlib.sha256(text).hexdigest().encode() + text)

    second = await source.ask(tree(str(folder)))
    (folder / "train.py").write_text("print(3)\n")
    third = await source.ask(tree(str(folder)))

    assert "0" * 64 == second.files["train.py"].sha
    assert hashlib.sha256(b"print(3)\n").hexdigest() == third.files["train.py"].sha


async def test_what_can_be_no_code_is_refused_by_name(source, folder):
    os.mkfifo(folder / "pipe")
    with pytest.raises(Refused) as refused:
        await source.ask(tree(str(folder)))

    assert ("UnfitFile", f"{folder}/pipe is neither a file nor a link") == (
        refused.value.reason,
        refused.value.message,
    )
