"""The mirror, against real repositories of every kind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from git_repository import GitRepository

from reconciler.clock import SystemClock
from reconciler.core.errors import ManifestError, RepositoryError
from reconciler.core.model import Commit, RepositoryConfig
from reconciler.repository import Repository


@pytest.fixture
def origin(tmp_path):
    return GitRepository(tmp_path / "origin")


@pytest.fixture
def mirror(origin, tmp_path):
    return mirror_of(origin.directory, tmp_path)


def mirror_of(url, tmp_path, **changes):
    config = RepositoryConfig(url=str(url), **changes)
    return Repository(config, tmp_path / "state" / "repository.git", clock=SystemClock())


def paths(listing):
    return [file.path for file in listing.manifests]


def refusals(listing):
    return [(error.position.file, error.reason) for error in listing.refused]


# ------------------------------------------------------------------------------------------------ fetch


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


# ------------------------------------------------------------------------------------------------ failures


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
    from reconciler.repository.git import Git

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
    assert not running(int(pid_file.read_text()))


def running(pid):
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_more_output_than_the_limit_is_refused(origin, tmp_path):
    from reconciler.repository.git import Git

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

    assert ["sweeps.d/a.yaml"] == paths(later.listing(commit))


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


# ------------------------------------------------------------------------------------------------ listing and reading


async def test_manifests_are_yaml_and_json_files_below_the_path(origin, mirror):
    names = ["a.yaml", "b.yml", "sub/c.json", "notes.md", "points.csv"]
    origin.commit({f"sweeps.d/{name}": name for name in names} | {"other/d.yaml": "d", "sweeps.dd/e.yaml": "e"})
    head = await mirror.fetch()

    listing = mirror.listing(head.commit)

    assert ["sweeps.d/a.yaml", "sweeps.d/b.yml", "sweeps.d/sub/c.json"] == paths(listing)
    assert origin.git("rev-parse", "HEAD:sweeps.d/a.yaml") == listing.manifests[0].blob


async def test_the_whole_repository_can_be_the_path(origin, tmp_path):
    origin.commit({"a.yaml": "x", "deep/er/b.yaml": "y"})
    mirror = mirror_of(origin.directory, tmp_path, path=".")
    head = await mirror.fetch()

    assert ["a.yaml", "deep/er/b.yaml"] == paths(mirror.listing(head.commit))


async def test_symlinks_and_submodules_are_refused_by_name_and_hide_no_other_file(origin, mirror):
    origin.commit({"sweeps.d/good.yaml": "x"})
    (origin.directory / "sweeps.d/secret.yaml").symlink_to("/etc/passwd")
    (origin.directory / "sweeps.d/out").symlink_to("..")
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{'a' * 40},sweeps.d/module")
    origin.git("add", "sweeps.d/secret.yaml", "sweeps.d/out")
    origin.git("commit", "--quiet", "-m", "odd")
    head = await mirror.fetch()

    listing = mirror.listing(head.commit)

    assert ["sweeps.d/good.yaml"] == paths(listing)
    assert [
        ("sweeps.d/module", "SubmoduleRefused"),
        ("sweeps.d/out", "SymlinkRefused"),
        ("sweeps.d/secret.yaml", "SymlinkRefused"),
    ] == refusals(listing)


async def test_names_that_cannot_be_printed_are_refused(origin, mirror):
    origin.commit({"sweeps.d/a\x1b[31m.yaml": "x", "sweeps.d/b\n.yaml": "y", "sweeps.d/ü.yaml": "z"})
    head = await mirror.fetch()

    listing = mirror.listing(head.commit)

    assert ["sweeps.d/ü.yaml"] == paths(listing)
    assert ["OddNameRefused", "OddNameRefused"] == [error.reason for error in listing.refused]
    assert all(str(error).isprintable() for error in listing.refused)


async def test_a_name_that_is_no_utf8_is_refused(origin, mirror):
    (Path(os.fsdecode(bytes(origin.directory / "sweeps.d")))).mkdir()
    Path(os.fsdecode(bytes(origin.directory / "sweeps.d") + b"/\xff.yaml")).write_text("x")
    origin.commit()
    head = await mirror.fetch()

    listing = mirror.listing(head.commit)

    assert ((), ["OddNameRefused"]) == (listing.manifests, [error.reason for error in listing.refused])
    assert str(listing.refused[0]).encode()


@pytest.mark.parametrize("kind", ["file", "symlink"])
async def test_a_path_that_is_no_directory_is_an_error_and_no_empty_listing(origin, mirror, kind):
    if kind == "file":
        origin.commit({"sweeps.d": "a file"})
    else:
        origin.write("real/a.yaml", "x")
        (origin.directory / "sweeps.d").symlink_to("real")
        origin.commit()

    with pytest.raises(RepositoryError) as caught:
        await mirror.fetch()

    assert "PathNotADirectory" == caught.value.reason


async def test_too_deep_a_tree_is_an_error_and_no_partial_listing(origin, mirror):
    origin.commit({"sweeps.d/" + "d/" * 40 + "a.yaml": "x"})
    head = await mirror.fetch()

    with pytest.raises(RepositoryError) as caught:
        mirror.listing(head.commit)

    assert "TooManyFiles" == caught.value.reason


async def test_a_file_is_read_as_it_was_at_the_commit(origin, mirror):
    old = Commit(origin.commit({"sweeps.d/a.yaml": "old"}))
    origin.commit({"sweeps.d/a.yaml": "new"})
    await mirror.fetch()

    assert b"old" == mirror.read(old, "sweeps.d/a.yaml", limit=100)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("sweeps.d/none.csv", "FileNotFound"),
        ("sweeps.d/sub", "FileNotFound"),
        ("sweeps.d/big.csv", "FileTooLarge"),
        ("sweeps.d/link.csv", "SymlinkRefused"),
        ("sweeps.d/away/passwd", "SymlinkRefused"),
        ("sweeps.d/../README", "PathOutside"),
        ("README", "PathOutside"),
        ("/etc/passwd", "PathOutside"),
        ("sweeps.d/.git/config", "PathOutside"),
        ("sweeps.d//a.csv", "PathOutside"),
        ("sweeps.d/a\0b", "PathOutside"),
    ],
)
async def test_reading_never_leaves_the_path(origin, mirror, path, reason):
    origin.commit({"README": "x", "sweeps.d/big.csv": "x" * 101, "sweeps.d/sub/a.csv": "x"})
    (origin.directory / "sweeps.d/link.csv").symlink_to("/etc/passwd")
    (origin.directory / "sweeps.d/away").symlink_to("/etc")
    origin.commit()
    head = await mirror.fetch()

    with pytest.raises(ManifestError) as caught:
        mirror.read(head.commit, path, limit=100)

    assert reason == caught.value.reason


async def test_objects_in_packs_are_read(origin, mirror):
    for number in range(150):
        origin.write(f"sweeps.d/{number:03}.yaml", f"{number}\n" * 50)
    origin.commit()
    origin.git("repack", "-adq")
    head = await mirror.fetch()

    assert b"149\n" * 50 == mirror.read(head.commit, "sweeps.d/149.yaml", limit=1000)


# ------------------------------------------------------------------------------------------------ resolve and keep


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
