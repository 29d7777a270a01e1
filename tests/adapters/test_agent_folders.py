"""Work on others' folders ends in time, whatever their file servers do."""

from __future__ import annotations

import os
import time

import pytest

from reconciler.agent import folders
from reconciler.agent.shapes import Refusal


def test_the_answer_of_work_comes_whole_however_long_it_is():
    assert {"x": "y" * (1 << 20)} == folders.within(30.0, lambda: {"x": "y" * (1 << 20)})


def test_a_refusal_stays_one():
    def refuse():
        raise Refusal("FolderMissing", "there is none", "make it")

    with pytest.raises(Refusal) as refused:
        folders.within(30.0, refuse)

    assert ("FolderMissing", "there is none", "make it") == (
        refused.value.reason,
        refused.value.message,
        refused.value.hint,
    )


def test_who_hangs_is_left_behind(tmp_path):
    """Whoever opens a pipe that nobody writes to waits for ever, as for a file server that is gone."""
    os.mkfifo(tmp_path / "pipe")
    began = time.monotonic()

    with pytest.raises(Refusal, match="took longer than"):
        folders.within(0.3, lambda: {"x": (tmp_path / "pipe").read_text()})

    assert time.monotonic() - began < 10
    os.waitpid(-1, 0)


def test_whose_process_is_killed_is_asked_again():
    with pytest.raises(Refusal) as refused:
        folders.within(30.0, lambda: os._exit(1))

    assert "Busy" == refused.value.reason
    os.waitpid(-1, 0)
