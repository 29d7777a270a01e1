"""A whole daemon, a project, this machine and one behind real sshd: each task runs the pinned code, wherever it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_projects import Project, in_sync, manifest
from tests.fakes.ssh_lab import SshLab

pytestmark = pytest.mark.real("openssh-server")


class Far:
    """The source behind sshd."""

    def __init__(self, world: Any) -> None:
        self.lab = SshLab(Path(world.root) / "ssh")
        self.host = self.lab.host("gpu-box")
        self.root = Path(world.root) / "far"

    def configuration(self) -> str:
        lab = self.lab
        return (
            f"  gpu-box: {{host: 'ssh://root@127.0.0.1:{self.host.port}', slots: 1, root: {self.root},"
            f" identityFile: {lab.identity}, knownHosts: {lab.known_hosts}, sshConfig: {lab.config}}}\n"
        )

    def ran(self) -> list[str]:
        """The commit of each attempt that has ended there, by its exit record."""
        return [json.loads(file.read_text())["code"]["commit"] for file in self.root.rglob("exit.json")]


@pytest.fixture
def far(world: Any) -> Iterator[Far]:
    made = Far(world)
    yield made
    made.lab.close()
    shutil.rmtree(made.root, ignore_errors=True)


@pytest.fixture
def project(world: Any, far: Far) -> Project:
    made = Project(world)
    world.config.write_text(
        f"repository: {{url: {world.repository}, branch: main, path: sweeps.d, interval: 1s}}\n"
        f"sources:\n  here: {{slots: 1}}\n{far.configuration()}"
        f"state: {{dir: {world.state}}}\n"
        f"results: {{dir: {world.root / 'results'}}}\n"
        f"projects: {{code: {{url: {made.folder}}}}}\n"
        'http: {listen: "127.0.0.1:0"}\n'
    )
    return made


def test_the_pinned_code_comes_to_every_source_and_each_record_names_it(world: Any, far: Far, project: Project) -> None:
    commit = project.version(1)
    placed = {name: f"  placement: {{sources: [{name}]}}\n" for name in ("here", "gpu-box")}
    world.commit(near=manifest("near", extra=placed["here"]), far=manifest("far", extra=placed["gpu-box"]))
    world.start()

    world.succeeded("near", 3)
    world.succeeded("far", 3)

    assert [f"1 {name}-{n}" for name in ("far", "near") for n in (1, 2, 3)] == project.heard()
    assert [commit] * 3 == far.ran()
    assert (far.root / "projects/code" / commit / "train.sh").exists()
    world.wait(lambda: ("True", f"code {commit[:12]} on gpu-box, here") == in_sync(world, "far"))


def test_code_that_was_changed_there_runs_nowhere_and_is_made_anew(world: Any, far: Far, project: Project) -> None:
    commit = project.version(1)
    only_there = "  placement: {sources: [gpu-box]}\n"
    world.commit(s=manifest("s", extra=only_there))
    world.start()
    world.succeeded("s", 3)
    file = far.root / "projects/code" / commit / "train.sh"
    file.chmod(0o644)
    file.write_text(f'echo "changed $1" >> {project.said}\n')

    world.commit(s=manifest("s", extra=only_there).replace("[1, 2, 3]", "[1, 2, 3, 4, 5]"))
    world.succeeded("s", 5)

    assert [f"1 s-{n}" for n in (1, 2, 3, 4, 5)] == project.heard()


@pytest.mark.mounts
@pytest.mark.timeout(180)
def test_a_source_that_fetches_by_itself_says_why_it_cannot_and_does_when_it_can(
    world: Any, far: Far, project: Project
) -> None:
    commit = project.version(1)
    world.config.write_text(world.config.read_text().replace("}}\nhttp", ", transfer: Fetch}}\nhttp"))
    nothing = Path(world.root) / "nothing"
    nothing.mkdir()
    far.host.close()
    far.host.mounts = ((nothing, str(project.folder)),)
    far.host.start()
    world.commit(s=manifest("s", extra="  placement: {sources: [gpu-box]}\n"))
    world.start()

    world.wait(lambda: "conditions" in world.sweep("s"))
    world.wait(lambda: "not appear to be a git repository" in in_sync(world, "s")[1])
    status, message = in_sync(world, "s")
    assert ("False", True) == (status, "the source must find the repository under this address, too" in message)
    far.host.close()
    far.host.mounts = ()
    far.host.start()
    world.succeeded("s", 3, timeout_s=120.0)

    assert ([commit] * 3, ["1 s-1", "1 s-2", "1 s-3"]) == (far.ran(), project.heard())
    assert not (far.root / "projects/code/incoming").exists()
