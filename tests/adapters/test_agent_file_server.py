"""A root on a file server: answers that come twice, attributes that are remembered, locks that are not known, and files
that nobody has made.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from reconciler.agent import objects, place
from reconciler.agent.git import Git
from reconciler.core.errors import Refused
from reconciler.core.model import Commit, InstanceId, ProjectName
from reconciler.core.wire import Request
from reconciler.core.wire_code import tidy, worktree
from reconciler.links.local import LocalLink

SILLY = ".nfs000000000000123400000001"  # what a client leaves of a file that was removed while somebody had it open
REAL_LINK, REAL_FSTAT = os.link, os.fstat


# ------------------------------------------------------------------------------------------------ who has won


def remembering(fd: int) -> SimpleNamespace:
    """As a client answers that still believes in what it saw before the link."""
    found = REAL_FSTAT(fd)
    return SimpleNamespace(st_dev=found.st_dev, st_ino=found.st_ino, st_nlink=1)


def made_and_told_exists(source: str, target: str) -> None:
    """The request was carried out, its answer was lost, and it was asked again."""
    REAL_LINK(source, target)
    raise FileExistsError(errno.EEXIST, "File exists")


def lost(_source: str, _target: str) -> None:
    raise FileExistsError(errno.EEXIST, "File exists")


def stale(_source: str, _target: str) -> None:
    raise OSError(errno.ESTALE, "Stale file handle")


@pytest.mark.parametrize(
    ("link", "remembers", "taken", "expected"),
    [
        (REAL_LINK, False, False, True),
        (REAL_LINK, True, False, True),
        (made_and_told_exists, False, False, True),
        (made_and_told_exists, True, False, True),
        (REAL_LINK, False, True, False),
        (REAL_LINK, True, True, False),
        (lost, True, True, False),
        (stale, True, True, False),
        (stale, False, False, errno.ESTALE),
    ],
)
def test_who_has_won_is_seen_in_the_files_themselves(tmp_path, monkeypatch, link, remembers, taken, expected):
    claim = tmp_path / "claim"
    if taken:
        claim.write_text("another's")
    monkeypatch.setattr(os, "link", link)
    if remembers:
        monkeypatch.setattr(os, "fstat", remembering)

    try:
        won: bool | int | None = place.win(str(claim), "ours", "claim")
    except OSError as error:
        won = error.errno

    monkeypatch.undo()
    assert expected == won
    assert ["claim"] * claim.exists() == os.listdir(tmp_path)
    assert not claim.exists() or ("ours" if won is True else "another's") == claim.read_text()


class Forgetful(place.Root):
    """Sees a listing of epochs late: the first ones are those of before."""

    before: Sequence[int] = ()
    times = 0

    def _epochs(self) -> list[int]:
        if self.times > 0:
            self.times -= 1
            return list(self.before)
        return super()._epochs()


def test_an_epoch_is_won_though_the_listing_of_epochs_is_old(tmp_path):
    older = place.Root(str(tmp_path), "aaaa")
    for _ in range(3):
        older.win_epoch("d1", 0, [])
    late = Forgetful(str(tmp_path), "aaaa")
    late.before, late.times = [1], 2

    late.win_epoch("d2", 0, [])

    assert (4, True, False) == (late.epoch, older.fenced(), late.fenced())


# ------------------------------------------------------------------------------------------------ names of nobody


@pytest.mark.parametrize("name", [SILLY, "notes.txt"])
async def test_files_that_nobody_has_made_are_in_nobodys_way(tmp_path, name):
    async def opened():
        return await LocalLink().open(instance=InstanceId("aaaa"), root=str(tmp_path), slots=1, gpus=())

    first = await opened()
    await first.aclose()
    attempt = "attempts/ij/gaaaabcdefghij"
    for folder in (attempt, "batches", "projects/p", "trash"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("", "attempts", "attempts/ij", attempt, "batches", "checkpoints", "epoch", "outbox/new"):
        (tmp_path / folder / name).touch()
    for folder in ("projects", "projects/p"):
        (tmp_path / folder / name).touch()

    session = await opened()
    told = (await session.ask(Request(op="census", body={"after": ""}))).body
    tidied = tidy(set(), 0.0)
    left = tidied.parse(await session.ask(tidied.request))
    with pytest.raises(Refused) as caught:
        await session.ask(worktree(ProjectName("p"), Commit("c" * 40), (), None).request)
    await session.aclose()

    assert ({}, [], 0, "CommitMissing") == (told["remains"], told["unread"], left.worktrees, caught.value.reason)
    assert (tmp_path / "attempts" / name).exists()


# ------------------------------------------------------------------------------------------------ no locks

SOMEBODY = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture
def fetched(tmp_path):
    """Lets two commits come to a root; returns the place there, and the commits."""

    def fetch() -> tuple[place.Place, list[str]]:
        there = place.Place(str(tmp_path / "root"))
        theirs = Git(str(tmp_path / "theirs"))
        theirs.ask("init", "--quiet", "--bare", theirs.git_dir)
        theirs.environment.update(SOMEBODY)
        nothing = theirs.ask("write-tree").decode().strip()
        commits = [theirs.ask("commit-tree", "-m", str(each), nothing).decode().strip() for each in range(2)]
        for commit in commits:
            theirs.ask("update-ref", f"refs/heads/{commit}", commit)
            objects.fetch(there, "p", commit, theirs.git_dir, "file")
        return there, commits

    return fetch


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOSYS])
def test_commits_come_where_locks_are_not_known_and_none_that_came_lately_is_thrown_away(fetched, monkeypatch, error):
    def unknown(_fd: int, _operation: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", unknown)
    there, (old, new) = fetched()

    objects.drop(there, "p", [old])

    assert {"tips": [new]} == objects.have(there, "p")
    assert Git(objects.git_dir(there, "p")).has(old), "another one may just be bringing it"


def test_where_locks_are_known_what_is_not_needed_goes_at_once(fetched):
    there, (old, new) = fetched()

    objects.drop(there, "p", [old])

    store = Git(objects.git_dir(there, "p"))
    assert (False, True) == (store.has(old), store.has(new))
