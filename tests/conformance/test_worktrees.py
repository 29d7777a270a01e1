"""Worktrees: the pinned code, once, whole, and not to be changed."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from pathlib import Path

import pytest

from reconciler.core.errors import Refused
from reconciler.core.model import Commit


@pytest.fixture
def project(site):
    """A project with a program, a link, and attributes that want a filter to run."""
    work = site.folder / "work"
    work.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(site.folder), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str) -> str:
        identity = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
        done = subprocess.run(["git", *identity, *words], cwd=work, env=environment, check=True, capture_output=True)
        return done.stdout.decode().strip()

    git("init", "-q")
    (work / "train.py").write_text("print('trained')\n")
    (work / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (work / "run.sh").chmod(0o755)
    (work / "link").symlink_to("train.py")
    (work / "data").mkdir()
    (work / "data" / "x.bin").write_bytes(b"\r\n\x00raw\r\n")
    (work / ".gitattributes").write_text("*.bin filter=lfs\n*.py text eol=crlf filter=evil\n")
    git("add", ".")
    git("commit", "-qm", "one")
    git("config", "core.hooksPath", str(work / "hooks"))
    return work / ".git", Commit(git("rev-parse", "HEAD"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def writable(folder: Path) -> list[str]:
    """What lies below the folder and has a right to write for anybody."""
    paths = [path for path in folder.rglob("*") if not path.is_symlink()]
    return [path.name for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o222]


def inode(path: str) -> int:
    return os.stat(path).st_ino


async def test_the_files_of_the_commit_lie_in_the_worktree(site, project):
    git_dir, commit = project
    visit = await site.open()

    path = Path(await visit.worktree("p", commit, str(git_dir)))

    assert path == site.root / "projects" / "p" / commit
    assert names(path) == [".gitattributes", "data", "link", "run.sh", "train.py"]
    assert (path / "data" / "x.bin").read_bytes() == b"\r\n\x00raw\r\n"
    assert (path / "link").readlink() == Path("train.py")
    found = await visit.run("./run.sh", cwd=str(path))
    assert (Path(found.directory) / "stdout.log").read_text() == "ran\n"


async def test_files_are_read_only_and_folders_are_not(site, project):
    git_dir, commit = project
    visit = await site.open()

    path = Path(await visit.worktree("p", commit, str(git_dir)))

    assert writable(path) == ["data"]


async def test_a_worktree_is_made_once_however_many_ask_at_once(site, project):
    git_dir, commit = project
    one, other = await site.open(), await site.open()
    for epoch in (site.root / "epoch").iterdir():
        epoch.unlink()  # so that the older agent, too, may try

    paths = await asyncio.gather(
        *(visit.worktree("p", commit, str(git_dir)) for _ in range(5) for visit in (one, other))
    )
    first = inode(paths[0])
    again = await other.worktree("p", commit, str(git_dir))

    assert set(paths) == {again}
    assert inode(again) == first
    assert names(site.root / "projects" / "p") == [commit, "seals"]


async def test_an_unknown_commit_is_refused_and_leaves_nothing(site, project):
    git_dir, _ = project
    visit = await site.open()

    with pytest.raises(Refused) as caught:
        await visit.worktree("p", Commit("0" * 40), str(git_dir))

    assert caught.value.reason == "CommitMissing"
    assert names(site.root / "projects" / "p") == []


@pytest.mark.parametrize(
    ("project_name", "commit"),
    [
        ("../p", "0" * 40),
        ("p/q", "0" * 40),
        (".git", "0" * 40),
        ("p", "main"),
        ("p", "--upload-pack=x"),
        ("p", "0" * 39),
    ],
)
async def test_names_that_are_none_are_refused(site, project_name, commit):
    visit = await site.open()

    with pytest.raises(Refused) as caught:
        await visit.worktree(project_name, Commit(commit), str(site.folder))

    assert caught.value.reason == "BadRequest"
