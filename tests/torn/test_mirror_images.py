"""The mirror after a power loss: git syncs less than we do, but all of it can be fetched again."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from git_repository import GitRepository, mirror_of

from reconciler.core.errors import RepositoryError
from reconciler.core.model import Commit

MANIFEST = "sweeps.d/s.yaml"


async def kept(origin: GitRepository, folder: Path, old: Commit) -> bool:
    """Whether a mirror, new to what lies in the folder, shows the newest manifest and keeps an older commit."""
    mirror = mirror_of(origin.directory, folder)
    try:
        head = (await mirror.fetch()).commit
        await mirror.keep([old, head])
        newest = (origin.directory / MANIFEST).read_bytes()
        return newest == mirror.read(head, MANIFEST, limit=100) and b"old" == mirror.read(old, MANIFEST, limit=100)
    except RepositoryError:
        return False
    finally:
        mirror.close()


@pytest.mark.parametrize("pushed", [True, False], ids=["something new was pushed", "nothing new"])
@pytest.mark.parametrize("left", ["empty", "zeros", "gone"])
async def test_whatever_file_of_the_mirror_is_torn_it_works_again(
    tmp_path: Path, left: str, pushed: bool, figures: Counter[str]
) -> None:
    origin = GitRepository(tmp_path / "origin")
    origin.write(MANIFEST, "old")
    old = Commit(origin.commit(None))
    whole = tmp_path / "whole"
    whole.mkdir()
    mirror = mirror_of(origin.directory, whole)
    await mirror.fetch()
    await mirror.keep([old])
    mirror.close()
    if pushed:
        origin.write(MANIFEST, "new")
        origin.commit(None)

    files = [file.relative_to(whole) for file in whole.rglob("*") if file.is_file()]
    stuck = []
    for file in files:
        figures["crash images of a mirror"] += 1
        torn = tmp_path / "torn"
        shutil.copytree(whole, torn)
        size = (torn / file).stat().st_size
        (torn / file).unlink()
        if left != "gone":
            (torn / file).write_bytes(b"" if left == "empty" else bytes(size))
        if not (await kept(origin, torn, old) or await kept(origin, torn, old)):
            stuck.append(str(file))
        shutil.rmtree(torn)

    assert len(files) > 4
    assert [] == stuck
