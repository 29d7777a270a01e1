"""Tests of the adapters share fakes and real repositories: `from virtual_clock import VirtualClock`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "fakes"))

from git_repository import GitRepository, mirror_of


@pytest.fixture
def origin(tmp_path):
    """A checkout without commits, on the branch main."""
    return GitRepository(tmp_path / "origin")


@pytest.fixture
def mirror(origin, tmp_path):
    """The mirror of `origin`, not fetched yet."""
    return mirror_of(origin.directory, tmp_path)
