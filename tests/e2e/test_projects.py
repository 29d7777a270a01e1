"""Sweeps of a project of its own: pinned, side by side, and immune to what is committed there later."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


class Project:
    """A repository of code beside that of the manifests; its program says which version it is."""

    def __init__(self, world: Any) -> None:
        self.folder = Path(world.root) / "code"
        self.said = Path(world.root) / "said"
        self.folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.folder), *words], env={**os.environ, **ENVIRONMENT}, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def version(self, number: int) -> str:
        """Commit a program of this version."""
        (self.folder / "train.sh").write_text(f'echo "{number} $1" >> {self.said}\n')
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"version {number}")
        return self.git("rev-parse", "HEAD")

    def heard(self) -> list[str]:
        return sorted(self.said.read_text().splitlines()) if self.said.exists() else []


@pytest.fixture
def project(world: Any) -> Project:
    made = Project(world)
    world.configure(slots=1, extra=f"projects: {{code: {{url: {made.folder}}}}}\n")
    return made


def manifest(name: str, *, revision: str = "", wait: str = "true", extra: str = "") -> str:
    command = ["sh", "-c", f'{wait}; exec sh train.sh "$RECONCILER_SWEEP-$1"', "sh", "$(x)"]
    return (
        "apiVersion: reconciler/v1alpha1\nkind: Sweep\n"
        f"metadata: {{name: {name}}}\nspec:\n  project: code\n"
        + (f"  revision: {revision}\n" if revision else "")
        + f"  command: {json.dumps(command)}\n  parameters: {{x: [1, 2, 3]}}\n{extra}"
    )


def in_sync(world: Any, name: str) -> tuple[str, str]:
    told = {each["type"]: each for each in world.sweep(name)["conditions"]}.get("ProjectInSync", {})
    return told.get("status", ""), told.get("message", "")


def test_tasks_that_wait_run_the_code_that_was_pinned_and_not_what_came_later(world: Any, project: Project) -> None:
    first = project.version(1)
    go = Path(world.root) / "go"
    world.commit(s=manifest("s", wait=f"while ! test -e {go}; do sleep 0.05; done"))
    world.start()
    world.wait(lambda: world.counts("s").get("running") == 1)

    project.version(2)
    world.commit(s=manifest("s", wait=f"while ! test -e {go}; do sleep 0.05; done", extra="  parallelism: 1\n"))
    world.wait(lambda: world.sweep("s")["generation"] == 2)
    go.touch()
    world.succeeded("s", 3)

    assert ["1 s-1", "1 s-2", "1 s-3"] == project.heard()
    assert ("code", first) == (world.sweep("s")["project"], world.sweep("s")["commit"])
    world.wait(lambda: ("True", f"code {first[:12]} on local") == in_sync(world, "s"))


def test_two_revisions_run_side_by_side(world: Any, project: Project) -> None:
    project.version(1)
    project.git("tag", "v1")
    second = project.version(2)
    world.commit(old=manifest("old", revision="v1"), new=manifest("new", revision=second[:10]))
    world.start()

    world.succeeded("old", 3)
    world.succeeded("new", 3)

    assert ["1 old-1", "1 old-2", "1 old-3", "2 new-1", "2 new-2", "2 new-3"] == project.heard()


def test_a_project_that_cannot_be_reached_holds_what_needs_it_and_nothing_else(world: Any, project: Project) -> None:
    first = project.version(1)
    world.commit(s=manifest("s"))
    world.start()
    world.succeeded("s", 3)

    project.folder.rename(project.folder.with_name("away"))
    world.commit(s=manifest("s", revision="main"), other=world.manifest("other", "{x: [1]}"))
    world.succeeded("other", 1)
    world.wait(lambda: any(each["type"] == "Invalid" for each in world.sweep("s")["conditions"]))
    assert first == world.sweep("s")["commit"]

    project.folder.with_name("away").rename(project.folder)
    project.version(2)
    world.wait(lambda: world.sweep("s")["commit"] != first)
    world.succeeded("s", 3)


def test_repin_takes_what_the_branch_has_come_to(world: Any, project: Project) -> None:
    project.version(1)
    world.commit(s=manifest("s", extra="  updatePolicy: Rerun\n"))
    world.start()
    world.succeeded("s", 3)
    second = project.version(2)

    done = world.run("reconcile", "s", "--repin")
    world.wait(lambda: world.sweep("s")["commit"] == second)
    world.wait(lambda: len(project.heard()) == 6)

    assert 0 == done.returncode
    assert ["1 s-1", "1 s-2", "1 s-3", "2 s-1", "2 s-2", "2 s-3"] == project.heard()


def test_plan_names_a_project_that_is_not_there(world: Any, project: Project) -> None:
    project.version(1)
    world.commit(s=manifest("s"), t=manifest("t").replace("project: code", "project: cod"))

    told = world.run("plan")

    assert 1 == told.returncode
    assert "the project 'cod' is not known [UnknownProject]" in told.stdout + told.stderr
    assert "did you mean `code`?" in told.stdout + told.stderr


def test_a_lost_state_comes_back_pinned_to_what_its_attempts_ran(world: Any, project: Project) -> None:
    first = project.version(1)
    world.commit(s=manifest("s"))
    world.start()
    world.succeeded("s", 3)
    world.stop()
    project.version(2)
    for file in world.state.glob("state.db*"):
        file.unlink()

    rebuilt = world.run("rebuild")
    assert 0 == rebuilt.returncode, rebuilt.stderr
    world.start()
    world.succeeded("s", 3)

    assert first == world.sweep("s")["commit"]
    assert ["1 s-1", "1 s-2", "1 s-3"] == project.heard()
