"""Random edits on both ends, and pushes that die at random points: no edit made there is ever lost or overwritten."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine_budget import LONG

from reconciler.agent import crash, sync, tree
from reconciler.agent.shapes import Refusal

NAMES = ("a", "b.yaml", "d/c", "d/e/f", "run.sh")
POINTS = ("begun", "written", "put", "done", "removed", "tidied", "added", "exchanged", "kept", "replaced")
SEEDS = range(400 if LONG else 40)
STEPS = 12


class Ends:
    """A folder here and one there, and every text that somebody has ever saved there."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.here, self.there = folder / "here", folder / "there"
        self._folder = folder
        self._dice = dice
        self._count = 0
        self.saved: set[str] = set()
        for end in (self.here, self.there):
            end.mkdir()

    def edit(self, end: Path) -> None:
        """Somebody saves, removes or makes executable one of the files, or puts a link in its place."""
        path = end / self._dice.choice(NAMES)
        self._count += 1
        text = f"text {self._count}\\n"
        match self._dice.choice(["save", "save", "remove", "mode", "link"]):
            case "save":
                path.parent.mkdir(parents=True, exist_ok=True)
                if end is self.there:
                    self.saved.discard(
                        path.read_text() if path.is_file() else ""
                    )  # who saves over it does so knowingly
                    self.saved.add(text)
                path.unlink(missing_ok=True)
                path.write_text(text)
            case "remove" if path.is_file() and end is self.here:
                path.unlink()
            case "mode" if path.is_file() and not path.is_symlink():
                path.chmod(path.stat().st_mode ^ 0o111)
            case "link" if end is self.here:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)
                path.symlink_to(f"to {self._count}")

    def push(self, *, race: bool, die: bool, swap: bool) -> int | None:
        """Push all that differs, as it was looked at; perhaps somebody edits there meanwhile, and the pusher dies.

        The exit status of the pusher; None when it was killed.
        """
        changes = []
        for number, name in enumerate(NAMES):
            before, after = (word(end, name) for end in (self.there, self.here))
            if before != after:
                changes.append(sync.change_of({"name": name, "before": before, "after": after}, number))
        self._stage(changes)
        if race:
            self.edit(self.there)
        return self._apply(changes, die=die, swap=swap)

    def _stage(self, changes: list[sync.Change]) -> None:
        for change in changes:
            if change.after:
                path = self.here / change.name
                data = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
                sync.stage(str(self.there), f"p{self._count}", change.sha, 0, data)

    def _apply(self, changes: list[sync.Change], *, die: bool, swap: bool) -> int | None:
        token = self._folder / "token"
        token.touch()
        point = f"push.{self._dice.choice(POINTS)}#{self._dice.randint(1, 3)}"
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                if die:
                    crash.arm({crash.AT: point, crash.TOKEN: str(token)})
                numbered = [change._replace(number=number) for number, change in enumerate(changes)]
                told = sync.apply(
                    str(self.there), f"p{self._count}", "", numbered, None if swap else lambda one, other: False
                )
                status = 1 if told["left"] else 0
            except Refusal:
                status = 1
            finally:
                os._exit(status)
        status = os.waitpid(pid, 0)[1]
        return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def wrong(self) -> Iterator[str]:
        """Texts that somebody saved there, and that are nowhere there any more."""
        texts = {path.read_text() for path in self.there.rglob("*") if path.is_file() and not path.is_symlink()}
        yield from (text for text in self.saved if text not in texts)


def word(end: Path, name: str) -> str:
    seen = tree.seen(str(end), name)
    return f"{seen['kind']}{seen['sha']}"


@pytest.mark.parametrize("seed", SEEDS)
def test_no_edit_made_there_is_ever_lost(seed: int) -> None:
    dice = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="r"))
    ends = Ends(folder, dice)
    try:
        for _ in range(STEPS):
            for _ in range(dice.randint(0, 3)):
                ends.edit(dice.choice([ends.here, ends.here, ends.there]))
            status = ends.push(race=dice.random() < 0.3, die=dice.random() < 0.6, swap=dice.random() < 0.7)
            assert status in (None, 0, 1)
            assert [] == list(ends.wrong())
        while ends.push(race=False, die=False, swap=True) != 0:
            pass
        assert [] == [name for name in NAMES if word(ends.here, name) != word(ends.there, name)]
        assert [] == list(ends.wrong())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
