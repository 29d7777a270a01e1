"""A checkout's files, read as a commit's are."""

from __future__ import annotations

import os

import pytest
from git_repository import GitRepository

from reconciler.core.errors import ManifestError, RepositoryError
from reconciler.repository import WorkingTree


def tree_of(origin, path="sweeps.d"):
    return WorkingTree(origin.directory, path)


def test_files_are_listed_before_they_are_committed_with_the_hashes_git_will_give(origin):
    origin.write("sweeps.d/a.yaml", "ä\n")
    origin.write("sweeps.d/sub/b.json", "{}")
    origin.write("sweeps.d/notes.md", "x")

    files = [(file.path, file.blob) for file in tree_of(origin).listing().manifests]

    paths = ["sweeps.d/a.yaml", "sweeps.d/sub/b.json"]
    assert [(path, origin.git("hash-object", path)) for path in paths] == files


def test_symlinks_pipes_and_nested_repositories_are_refused(origin):
    origin.write("sweeps.d/good.yaml", "x")
    (origin.directory / "sweeps.d/link.yaml").symlink_to("/etc/passwd")
    (origin.directory / "sweeps.d/away").symlink_to("/etc")
    os.mkfifo(origin.directory / "sweeps.d/pipe.yaml")
    GitRepository(origin.directory / "sweeps.d/nested")

    listing = tree_of(origin).listing()

    assert ["sweeps.d/good.yaml"] == [file.path for file in listing.manifests]
    assert [
        ("sweeps.d/away", "SymlinkRefused"),
        ("sweeps.d/link.yaml", "SymlinkRefused"),
        ("sweeps.d/nested", "SubmoduleRefused"),
        ("sweeps.d/pipe.yaml", "OddFileRefused"),
    ] == [(error.position.file, error.reason) for error in listing.refused]


def test_the_whole_checkout_can_be_the_path(origin):
    origin.write("a.yaml", "x")

    assert ["a.yaml"] == [file.path for file in tree_of(origin, "").listing().manifests]


def test_a_missing_path_is_an_empty_listing(origin):
    assert () == tree_of(origin).listing().manifests


@pytest.mark.parametrize("kind", ["file", "symlink"])
def test_a_path_that_is_no_directory_is_an_error(origin, kind):
    if kind == "file":
        origin.write("sweeps.d", "x")
    else:
        (origin.directory / "sweeps.d").symlink_to("/etc")

    with pytest.raises(RepositoryError) as caught:
        tree_of(origin).listing()

    assert "PathNotADirectory" == caught.value.reason


def test_a_file_is_read(origin):
    origin.write("sweeps.d/sub/points.csv", "a,b\n")

    assert b"a,b\n" == tree_of(origin).read("sweeps.d/sub/points.csv", limit=10)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("sweeps.d/none.csv", "FileNotFound"),
        ("sweeps.d/sub", "FileNotFound"),
        ("sweeps.d/big.csv", "FileTooLarge"),
        ("sweeps.d/link.csv", "SymlinkRefused"),
        ("sweeps.d/away/passwd", "SymlinkRefused"),
        ("sweeps.d/pipe.csv", "OddFileRefused"),
        ("sweeps.d/../README", "PathOutside"),
        ("README", "PathOutside"),
        ("/etc/passwd", "PathOutside"),
    ],
)
def test_reading_never_leaves_the_path(origin, path, reason):
    for name, text in {"README": "x", "sweeps.d/big.csv": "x" * 101, "sweeps.d/sub/a.csv": "x"}.items():
        origin.write(name, text)
    (origin.directory / "sweeps.d/link.csv").symlink_to("/etc/passwd")
    (origin.directory / "sweeps.d/away").symlink_to("/etc")
    os.mkfifo(origin.directory / "sweeps.d/pipe.csv")

    with pytest.raises(ManifestError) as caught:
        tree_of(origin).read(path, limit=100)

    assert reason == caught.value.reason
