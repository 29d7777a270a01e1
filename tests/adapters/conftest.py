"""Tests of the adapters share fakes and real repositories: `from virtual_clock import VirtualClock`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "fakes"))

from git_repository import GitRepository, close_mirrors, mirror_of

from reconciler.cli.__main__ import execute


@pytest.fixture
def ask(lab, capsys):
    """Run a command line against the `lab` of the module; gives its exit code, stdout and stderr."""

    def run(*words):
        code = execute(["--config", str(lab.config), *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def shown(ask):
    """The stdout of a command that succeeds."""

    def run(*words):
        code, out, err = ask(*words)
        assert (0, "") == (code, err)
        return out

    return run


@pytest.fixture
def folder():
    """A path that is short enough for sockets in it."""
    made = Path(tempfile.mkdtemp(prefix="r"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(autouse=True)
def nothing_reads_on():
    yield
    close_mirrors()


@pytest.fixture
def origin(tmp_path):
    """A checkout without commits, on the branch main."""
    return GitRepository(tmp_path / "origin")


@pytest.fixture
def mirror(origin, tmp_path):
    """The mirror of `origin`, not fetched yet."""
    return mirror_of(origin.directory, tmp_path)
