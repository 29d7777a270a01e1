"""A whole daemon with a project that is somebody's own checkout, or a folder without git: no task runs other code."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

MODEL = "echo {word} $RECONCILER_TASK >> {log}\n"


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Place:
    """The folder in which tasks run, and the log of what its code was when they did."""

    def __init__(self, world, kind: str) -> None:
        self.world = world
        self.url = world.root / "model"
        self.log = world.root / "model.log"
        self.url.mkdir()
        self.write(self.url, "good")
        if kind == "Git":
            git(self.url, "init", "-q")
            git(self.url, "add", ".")
            git(self.url, "commit", "-qm", "one")

    def write(self, folder: Path, word: str) -> None:
        (folder / "model.sh").write_text(MODEL.format(word=word, log=self.log))

    def configure(self, *, slots: int = 1, **project: str) -> None:
        told = json.dumps({"model": {"url": str(self.url), **project}})
        self.world.configure(slots=slots, extra=f"projects: {told}\n")

    def manifest(self, count: int, *, before: str = "", after: str = "") -> str:
        """Each task runs what `before` says, the code as it lies in its folder, and what `after` says."""
        numbers = list(range(count))
        command = f"{before} sh ./model.sh; {after}"
        return self.world.manifest("sweep", f"{{n: {numbers}}}", command=command, extra="  project: model\n")

    def ran(self) -> Counter[str]:
        """Words of the code that really ran."""
        return (
            Counter(line.split()[0] for line in self.log.read_text().splitlines()) if self.log.exists() else Counter()
        )

    def held(self) -> bool:
        """Whether the sweep waits for its code, and is told why."""
        holds = self.world.sweep("sweep").get("holds", [])
        told = [hold["message"] for hold in holds if hold["reason"] == "ProjectDiffers"]
        return told == [f"{self.world.root}/there on local: 1 modified: model.sh"]


@pytest.fixture
def checkout(world):
    """A checkout on the source, beside the repository of the project."""
    place = Place(world, "Git")
    there = world.root / "there"
    git(world.root, "clone", "-q", str(place.url), str(there))
    place.configure(sync="Verify", path=str(there))
    return place, there


def test_tasks_run_in_a_clean_checkout_and_their_records_say_which_code_it_was(world, checkout):
    place, there = checkout
    world.commit(sweep=place.manifest(3))
    world.start()
    world.succeeded("sweep", 3)

    records = [json.loads(path.read_text()) for path in world.state.rglob("exit.json")]
    commit = git(there, "rev-parse", "HEAD")
    assert Counter(good=3) == place.ran()
    assert [("model", commit)] * 3 == [(each["code"]["project"], each["code"]["commit"]) for each in records]
    assert all(each["code"]["verified"] for each in records)
    assert "" == git(there, "status", "--porcelain")


@pytest.mark.timeout(120)
def test_an_edited_checkout_holds_the_sweep_until_the_edit_is_undone(world, checkout):
    place, there = checkout
    place.write(there, "wrong")
    world.commit(sweep=place.manifest(2))
    world.start()
    world.wait(place.held)
    git(there, "checkout", "-q", ".")
    world.succeeded("sweep", 2, timeout_s=80)

    assert Counter(good=2) == place.ran()


@pytest.mark.timeout(120)
def test_a_task_that_edits_its_own_code_changes_nothing_for_those_that_wait(world, checkout):
    """The edit comes after the look and before the next start: only the look just before the start can see it."""
    place, there = checkout
    edit = f"[ -e {world.root}/edited ] || {{ : > {world.root}/edited; sed -i s/good/wrong/ model.sh; }}"
    world.commit(sweep=place.manifest(3, after=edit))
    world.start()
    world.wait(place.held)
    assert Counter(good=1) == place.ran()
    git(there, "checkout", "-q", ".")
    world.succeeded("sweep", 3, timeout_s=80)

    assert Counter(good=3) == place.ran()
    assert [1, 1, 1] == sorted(world.runs().values())


def test_a_folder_without_git_runs_as_it_was_when_the_sweep_was_accepted(world):
    place = Place(world, "Tree")
    place.configure(kind="Tree")
    waiting = f"until [ -e {world.root}/go ]; do sleep 0.05; done;"
    world.commit(sweep=place.manifest(3, before=waiting))
    world.start()
    world.wait(lambda: world.counts("sweep").get("running") == 1)
    place.write(place.url, "later")
    (world.root / "go").touch()
    world.succeeded("sweep", 3)

    assert Counter(good=3) == place.ran()
