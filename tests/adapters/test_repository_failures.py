"""What can fail, fails with a reason, and what is damaged is mended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

import pytest
from git_repository import GitRepository, mirror_of

from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit
from reconciler.repository.git import Git


async def test_a_missing_repository_says_so(tmp_path):
    with pytest.raises(RepositoryError) as caught:
        await mirror_of(tmp_path / "nowhere", tmp_path).fetch()

    assert "NotFound" == caught.value.reason


async def test_a_missing_branch_names_those_there_are(origin, tmp_path):
    origin.commit()
    origin.git("branch", "release")

    with pytest.raises(RepositoryError) as caught:
        await mirror_of(origin.directory, tmp_path, branch="relaese").fetch()

    assert ("BranchNotFound", "did you mean release?") == (caught.value.reason, caught.value.hint)
    assert "main, release" in caught.value.message


async def test_a_repository_without_commits_is_empty(mirror):
    with pytest.raises(RepositoryError) as caught:
        await mirror.fetch()

    assert "EmptyRepository" == caught.value.reason


async def test_an_unreachable_server_is_told_without_its_password(tmp_path):
    url = "https://me:hunter2@127.0.0.1:1/sweeps.git"

    with pytest.raises(RepositoryError) as caught:
        await mirror_of(url, tmp_path).fetch()

    assert "Unreachable" == caught.value.reason
    assert "hunter2" not in str(caught.value) + caught.value.hint


async def test_an_unreachable_ssh_server_is_told(tmp_path):
    with pytest.raises(RepositoryError) as caught:
        await mirror_of("ssh://me@127.0.0.1:1/sweeps.git", tmp_path).fetch()

    assert "Unreachable" == caught.value.reason


async def test_after_a_failure_the_last_head_is_still_known(origin, mirror):
    origin.commit()
    head = await mirror.fetch()
    origin.directory.rename(origin.directory.with_name("away"))

    with pytest.raises(RepositoryError):
        await mirror.fetch()

    assert head == mirror.head()


async def test_a_hanging_git_is_ended_with_all_that_it_started(tmp_path, monkeypatch):
    pid_file = tmp_path / "pid"
    script = tmp_path / "slow"
    script.write_text(f"#!/bin/sh\necho $$ > {pid_file}\nexec sleep 100\n")
    script.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(script))
    settings = {"protocol.ssh.allow": "always"}
    git = Git(tmp_path, config_file=Path("/dev/null"), settings=settings)

    with pytest.raises(RepositoryError) as caught:
        await git.run("ls-remote", "--", "me@host:x.git", timeout_s=1)

    assert "TimedOut" == caught.value.reason
    assert await ended(int(pid_file.read_text()), within_s=10)


async def ended(pid, *, within_s):
    """Whether a process ends in time: a KILL is sent at once, but a busy kernel delivers it a little later."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while running(pid):  # noqa: ASYNC110 - nobody tells us when it ends
                await asyncio.sleep(0.01)
    return not running(pid)


def running(pid):
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_more_output_than_the_limit_is_refused(origin, tmp_path):
    origin.commit({"big": "x" * 5000})
    git = Git(origin.directory / ".git", config_file=Path("/dev/null"), settings={})

    with pytest.raises(RepositoryError) as caught:
        await git.run("cat-file", "blob", "HEAD:big", limit=1000)

    assert "OutputTooLarge" == caught.value.reason


async def test_without_git_the_error_says_so(origin, mirror, tmp_path, monkeypatch):
    origin.commit()
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(RepositoryError) as caught:
        await mirror.fetch()

    assert "GitMissing" == caught.value.reason


async def test_a_damaged_mirror_is_made_anew(origin, mirror, tmp_path):
    commit = Commit(origin.commit({"sweeps.d/a.yaml": "x"}))
    await mirror.fetch()
    for file in (tmp_path / "state/repository.git/objects").rglob("*"):
        if file.is_file():
            file.chmod(0o600)
            file.write_bytes(b"")
    later = mirror_of(origin.directory, tmp_path)

    await later.fetch()

    assert b"x" == later.read(commit, "sweeps.d/a.yaml", limit=10)


async def test_a_damaged_mirror_that_cannot_be_moved_away_is_told(origin, mirror, tmp_path):
    origin.commit()
    await mirror.fetch()
    for file in (tmp_path / "state/repository.git/objects").rglob("pack-*"):
        file.unlink()
    (tmp_path / "state/repository.git.damaged").write_text("a file, where a folder is wanted")

    with pytest.raises(RepositoryError) as caught:
        await mirror_of(origin.directory, tmp_path).fetch()

    assert "MirrorUnwritable" == caught.value.reason


async def test_damage_that_a_reader_meets_is_mended_by_the_next_fetch(origin, mirror, tmp_path):
    commit = Commit(origin.commit({"sweeps.d/a.yaml": "x"}))
    await mirror.fetch()
    for pack in (tmp_path / "state/repository.git/objects/pack").iterdir():
        pack.unlink()
    shutil.copytree(origin.directory / ".git/objects", mirror.git_dir / "objects", dirs_exist_ok=True)
    tree = origin.git("rev-parse", "HEAD:sweeps.d")
    (mirror.git_dir / f"objects/{tree[:2]}/{tree[2:]}").unlink()
    mirror.close()
    with pytest.raises(RepositoryError) as caught:
        mirror.listing(commit)
    assert "CorruptMirror" == caught.value.reason

    await mirror.fetch()

    assert b"x" == mirror.read(commit, "sweeps.d/a.yaml", limit=10)


async def test_a_killed_reader_is_no_damage(origin, mirror):
    commit = Commit(origin.commit({"sweeps.d/a.yaml": "x"}))
    await mirror.fetch()
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for pid in children:
        if b"cat-file" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), 9)

    assert b"x" == mirror.read(commit, "sweeps.d/a.yaml", limit=10)


async def test_an_unknown_commit_is_no_damage(origin, mirror):
    origin.commit()
    await mirror.fetch()

    with pytest.raises(RepositoryError) as caught:
        mirror.listing(Commit("c" * 40))

    assert "RevisionNotFound" == caught.value.reason


async def test_a_lock_that_a_killed_git_left_is_removed(origin, mirror, tmp_path):
    origin.commit()
    await mirror.fetch()
    lock = tmp_path / "state/repository.git/refs/reconciler/head.lock"
    lock.touch()
    os.utime(lock, (0, 0))

    assert origin.commit() == (await mirror.fetch()).commit


async def test_a_fresh_lock_belongs_to_somebody(origin, mirror, tmp_path):
    origin.commit()
    await mirror.fetch()
    (tmp_path / "state/repository.git/refs/reconciler/head.lock").touch()
    origin.commit()

    with pytest.raises(RepositoryError) as caught:
        await mirror.fetch()

    assert "Locked" == caught.value.reason


async def test_sha256_repositories_are_told_as_unsupported(tmp_path):
    origin = GitRepository(tmp_path / "origin")
    shutil.rmtree(origin.directory / ".git")
    origin.git("init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    origin.commit()

    with pytest.raises(RepositoryError) as caught:
        await mirror_of(origin.directory, tmp_path).fetch()

    assert "UnsupportedFormat" == caught.value.reason


async def test_objects_that_fsck_refuses_are_not_taken(origin, mirror):
    origin.commit()
    blob = origin.git("hash-object", "-w", "--stdin", stdin="x")
    origin.commit_tree(f"100644 blob {blob}\t.git\0")

    with pytest.raises(RepositoryError) as caught:
        await mirror.fetch()

    assert "CorruptObjects" == caught.value.reason
