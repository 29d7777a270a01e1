"""Whoever is killed while code is brought, at either end and at any step: the next attempt brings it whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from code_lab import CodeLab
from crash_points import CODE_OWN, of_the_source

ROOT = Path(__file__).parent.parent.parent
POINTS = sorted(point.name for point in of_the_source() if point.name.startswith(CODE_OWN))

# Two commits, then what makes code go: the first is changed, found out, and made anew; the second is not needed.
STORY = """
import asyncio, os, sys
from pathlib import Path
from code_lab import MNIST, CodeLab
from reconciler.core.model import Code
from reconciler.core.wire_code import tidy
from reconciler.crashpoints import arm_from_environment
from reconciler.project import Brought

async def story(folder, transfer):
    lab = CodeLab(Path(folder), link=["data"], transfer=transfer, again=True)
    await lab.source.connect()
    (lab.root / "projects/mnist/shared/data").mkdir(parents=True, exist_ok=True)
    commits = lab.git("rev-list", "--reverse", "main").split()
    for commit in commits:
        for _ in range(4):
            found = await lab.bring(commit)
            if isinstance(found, Brought):
                break
            lab.later()
        assert isinstance(found, Brought), found
        assert (lab.folder_of(commit) / "train.py").read_text() == lab.git("show", commit + ":train.py") + "\\n"
    file = lab.folder_of(commits[0]) / "train.py"
    file.chmod(0o644)
    file.write_text("changed")
    lab.projects.doubt(Code(MNIST, commits[0]))
    for _ in range(4):
        found = await lab.bring(commits[0])
        if isinstance(found, Brought):
            break
        lab.later()
    assert isinstance(found, Brought), found
    assert file.read_text() == "print(1)\\n", file.read_text()
    await lab.source.ask(tidy({f"{MNIST}/{commits[0]}"}, 0.0))
    assert not lab.folder_of(commits[1]).exists()
    await lab.close()

arm_from_environment(os.environ)
from reconciler.core.settings import Transfer
asyncio.run(story(sys.argv[1], Transfer(sys.argv[2])))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="r"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.parametrize("point", POINTS)
def test_whoever_is_killed_here_the_code_comes_whole(folder: Path, point: str) -> None:
    transfer = "Fetch" if point.startswith("code.") else "Bundle"
    lab_of(folder)
    token = folder / "token"
    token.touch()
    if point == "objects.discarded":
        play(folder, transfer)
        shutil.rmtree(folder / "there/projects/mnist/objects.git/objects/pack")

    play(folder, transfer, RECONCILER_CRASH_AT=point, RECONCILER_CRASH_TOKEN=str(token))
    died = not token.exists()
    last = play(folder, transfer)

    assert (True, 0, "") == (died, last.returncode, last.stderr)


def lab_of(folder: Path) -> None:
    """A project with two commits."""
    lab = CodeLab(folder)
    lab.commit(train__py="print(1)\n", __gitignore="data\n")
    lab.commit(train__py="print(2)\n")


def play(folder: Path, transfer: str, **crash: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/tests/fakes", **crash}
    argv = [sys.executable, "-c", STORY, str(folder), transfer]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, cwd="/")
