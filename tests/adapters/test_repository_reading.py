"""Which files of a commit are manifests, which are refused, and that reading never leaves the path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from git_repository import mirror_of

from reconciler.core.errors import ManifestError, RepositoryError
from reconciler.core.model import Commit


def paths(listing):
    return [file.path for file in listing.manifests]


def refusals(listing):
    return [(error.position.file, error.reason) for error in listing.refused]


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
