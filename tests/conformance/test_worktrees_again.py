"""A worktree that is as it was stays where it is when the next session looks at it."""

from __future__ import annotations

import os
import subprocess

from reconciler.core.model import Commit


async def test_a_worktree_that_is_as_it_was_is_not_made_anew_by_another_session(site) -> None:
    work = site.folder / "work"
    work.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(site.folder), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@b", *words]
        return subprocess.run(command, cwd=work, env=environment, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    (work / "train.py").write_text("print('trained')\n")
    git("add", ".")
    git("commit", "-qm", "one")
    commit = Commit(git("rev-parse", "HEAD").strip())
    first = await site.open()
    made = await first.worktree("p", commit, str(work / ".git"))
    before = os.stat(f"{made}/train.py").st_ino
    await first.aclose()

    second = await site.open()
    again = await second.worktree("p", commit, str(work / ".git"))

    assert (made, before) == (again, os.stat(f"{again}/train.py").st_ino)
