"""Torn writes and errors of input and output: what the disk holds after a power loss, and calls that fail.

RECONCILER_TORN=long makes every test of this folder a long one: all images, all calls, all errors.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "fakes"))

LONG = os.environ.get("RECONCILER_TORN") == "long"
MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def long() -> bool:
    """Whether there is time for everything."""
    return LONG


def memory() -> Iterator[Path]:
    """A folder in memory, if there is one: thousands of images come and go there."""
    with tempfile.TemporaryDirectory(prefix="torn-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One for all tests of a module."""
    yield from memory()
