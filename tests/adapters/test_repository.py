"""The mirror, against real repositories of every kind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from git_repository import mirror_of

from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit


async def test_a_checkout_is_fetched_at_its_branch(origin, mirror):
    commit = origin.commit({"sweeps.d/a.yaml": "x"}, date="2026-01-02T03:04:05+00:00")

    head = await mirror.fetch()

    tree = origin.git("rev-parse", "HEAD:sweeps.d")
    assert (commit, tree, 1767323045.0) == (head.commit, head.tree, head.committed_at)


async def test_a_bare_repository_is_fetched(origin, tmp_path):
    commit = origin.commit({"sweeps.d/a.yaml": "x"})
    origin.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))

    assert commit == (await mirror_of(tmp_path / "bare.git", tmp_path).fetch()).commit


async def test_a_worktree_is_fetched(origin, tmp_path):
    origin.commit({"sweeps.d/a.yaml": "x"})
    origin.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "tree"))
    commit = origin.commit()
    mirror = mirror_of(tmp_path / "tree", tmp_path)

    assert commit == (await mirror.fetch()).commit


async def test_a_file_url_is_a_local_repository(origin, tmp_path):
    commit = origin.commit()

    assert commit == (await mirror_of(f"file://{origin.directory}", tmp_path).fetch()).commit


async def test_a_shallow_clone_is_fetched(origin, tmp_path):
    origin.commit()
    commit = origin.commit()
    origin.git("clone", "--quiet", "--depth=1", f"file://{origin.directory}", str(tmp_path / "shallow"))

    assert commit == (await mirror_of(tmp_path / "shallow", tmp_path).fetch()).commit


async def test_a_new_commit_is_found(origin, mirror):
    origin.commit()
    await mirror.fetch()

    assert origin.commit() == (await mirror.fetch()).commit


async def test_an_unchanged_branch_starts_no_git(origin, mirror, tmp_path, monkeypatch):
    origin.commit()
    head = await mirror.fetch()
    monkeypatch.setenv("PATH", str(tmp_path))

    assert head == await mirror.fetch()


async def test_the_mirror_of_an_earlier_process_is_used(origin, mirror, tmp_path):
    commit = origin.commit()
    await mirror.fetch()
    later = mirror_of(origin.directory, tmp_path)

    assert commit == (await later.fetch()).commit


async def test_a_rewritten_history_is_fetched_and_is_no_descendant(origin, mirror):
    origin.commit({"sweeps.d/a.yaml": "1"})
    old = (await mirror.fetch()).commit
    origin.commit({"sweeps.d/a.yaml": "2"}, "--amend")

    new = (await mirror.fetch()).commit

    assert [False, False] == [await mirror.is_descendant(old, new), await mirror.is_descendant(new, old)]


async def test_a_descendant_has_the_other_in_its_history(origin, mirror):
    old = Commit(origin.commit())
    new = Commit(origin.commit())
    await mirror.fetch()

    assert [True, False, True] == [
        await mirror.is_descendant(old, new),
        await mirror.is_descendant(new, old),
        await mirror.is_descendant(new, new),
    ]


async def test_nothing_descends_from_an_unknown_commit(origin, mirror):
    origin.commit()
    head = await mirror.fetch()

    assert await mirror.is_descendant(Commit("a" * 40), head.commit) is False


async def test_a_deleted_manifest_path_is_an_empty_listing(origin, mirror):
    origin.commit({"README": "no sweeps yet"})
    head = await mirror.fetch()

    assert ("", ()) == (head.tree, mirror.listing(head.commit).manifests)


async def test_no_hook_of_the_repository_runs(origin, mirror, tmp_path):
    origin.commit()
    canary = tmp_path / "canary"
    for name in ("post-checkout", "reference-transaction", "post-update", "pre-auto-gc"):
        for hooks in (origin.directory / ".git/hooks", tmp_path / "state/repository.git/hooks"):
            hooks.mkdir(parents=True, exist_ok=True)
            (hooks / name).write_text(f"#!/bin/sh\ntouch {canary}\n")
            (hooks / name).chmod(0o755)

    await mirror.fetch()

    assert not canary.exists()


async def test_the_account_configuration_is_not_read(origin, mirror, tmp_path, monkeypatch):
    origin.commit()
    (tmp_path / ".gitconfig").write_text('[url "/nowhere"]\n\tinsteadOf = /\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nowhere")

    assert await mirror.fetch()


@pytest.mark.parametrize("bare", [False, True])
async def test_a_repository_of_another_account_is_fetched(origin, mirror, tmp_path, bare):
    if os.getuid() != 0:  # only root can give files away; others meet the same check with their own repository
        return
    commit = origin.commit()
    if bare:
        origin.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
        mirror = mirror_of(tmp_path / "bare.git", tmp_path)
    for place in (origin.directory, tmp_path / "bare.git"):
        for directory, _, names in os.walk(place):
            for name in (".", *names):
                os.chown(Path(directory, name), 12345, 12345)

    assert commit == (await mirror.fetch()).commit


async def test_branches_tags_and_commits_are_resolved(origin, mirror):
    first = origin.commit()
    origin.git("tag", "--annotate", "-m", "x", "v1")
    origin.git("tag", "light")
    origin.git("branch", "side/way")
    second = origin.commit()
    await mirror.fetch()

    asked = ["main", "side/way", "v1", "light", first, first[:8], second[:7]]

    assert [second, first, first, first, first, first, second] == [await mirror.resolve(name) for name in asked]


async def test_a_branch_wins_over_a_tag_of_the_same_name(origin, mirror):
    origin.commit()
    origin.git("tag", "twin")
    second = origin.commit()
    origin.git("branch", "twin")
    await mirror.fetch()

    assert second == await mirror.resolve("twin")


async def test_a_commit_on_another_branch_is_fetched(origin, mirror):
    origin.commit()
    origin.git("checkout", "--quiet", "-b", "side")
    side = origin.commit({"x": "y"})
    origin.git("checkout", "--quiet", "main")
    await mirror.fetch()

    assert side == await mirror.resolve(side[:10])


@pytest.mark.parametrize(
    ("revision", "reason"),
    [
        ("nowhere", "RevisionNotFound"),
        ("a" * 40, "RevisionNotFound"),
        ("abcdef1", "RevisionNotFound"),
        ("abc", "RevisionNotFound"),
        ("--upload-pack=touch /tmp/x", "UnsafeName"),
        ("-x", "UnsafeName"),
        ("main..side", "UnsafeName"),
        ("main@{1}", "UnsafeName"),
        ("main~1", "UnsafeName"),
        ("main:sweeps.d", "UnsafeName"),
        ("^main", "UnsafeName"),
        ("a b", "UnsafeName"),
        ("", "UnsafeName"),
        ("x\ny", "UnsafeName"),
        ("refs/*", "UnsafeName"),
    ],
)
async def test_what_is_no_revision_is_refused(origin, mirror, revision, reason):
    origin.commit()
    await mirror.fetch()

    with pytest.raises(RepositoryError) as caught:
        await mirror.resolve(revision)

    assert reason == caught.value.reason


async def test_kept_commits_survive_a_force_push_and_garbage_collection(origin, mirror, tmp_path):
    old = Commit(origin.commit({"sweeps.d/a.yaml": "old"}))
    await mirror.fetch()
    await mirror.keep([old, Commit("b" * 40)])
    origin.commit({"sweeps.d/a.yaml": "new"}, "--amend")
    await mirror.fetch()
    origin.git(f"--git-dir={mirror.git_dir}", "gc", "--quiet", "--prune=now")

    later = mirror_of(origin.directory, tmp_path)

    assert b"old" == later.read(old, "sweeps.d/a.yaml", limit=10)


async def test_commits_that_are_not_kept_any_more_lose_their_reference(origin, mirror):
    first, second = Commit(origin.commit()), Commit(origin.commit())
    await mirror.fetch()
    await mirror.keep([first, second])

    await mirror.keep([second])

    kept = origin.git(f"--git-dir={mirror.git_dir}", "for-each-ref", "--format=%(refname)", "refs/reconciler/kept")
    assert f"refs/reconciler/kept/{second}" == kept
