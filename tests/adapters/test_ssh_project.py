"""Code on a machine behind a real sshd: verified, pushed to, pulled from; and a push whose connection is cut."""

from __future__ import annotations

import getpass
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from project_lab import FILES, PROJECT, SOURCE, ProjectLab, git, write

from reconciler.agent import seal
from reconciler.cli.__main__ import execute
from reconciler.clock import SystemClock
from reconciler.core.dispatch import Hold
from reconciler.core.model import Commit, InstanceId, ProjectName, SourceName
from reconciler.core.settings import ProjectConfig, ProjectKind, SourceConfig, Sync
from reconciler.dialects.process import ProcessDialect
from reconciler.project.base import Coming
from reconciler.project.tree import Snapshot
from reconciler.project.verify import Verify
from reconciler.snapshots import TreeCodebase
from reconciler.source import Source
from tests.fakes.ssh_lab import ADDRESS, SshLab

pytestmark = pytest.mark.real("openssh-server")

LARGE = 24 << 20


@pytest.fixture(scope="module")
def ssh() -> Iterator[SshLab]:
    folder = Path(tempfile.mkdtemp(prefix="r"))
    lab = SshLab(folder)
    try:
        yield lab
    finally:
        lab.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def host(ssh):
    return ssh.host("gpu-box")


@pytest.fixture
def lab(ssh, host, tmp_path):
    keys = {"identityFile": str(ssh.identity), "knownHosts": str(ssh.known_hosts), "sshConfig": str(ssh.config)}
    return ProjectLab(tmp_path, git=True, host=f"ssh://{getpass.getuser()}@{ADDRESS}:{host.port}", **keys)


@pytest.fixture
async def source(ssh, host, tmp_path):
    config = SourceConfig(name=SourceName(SOURCE), host="ssh://gpu-box", root=str(tmp_path / "root"))
    link, clock = ssh.link(host), SystemClock()
    made = Source(
        config=config, instance=InstanceId("aaaa"), daemon="d", dialect=ProcessDialect(), link=link, clock=clock
    )
    await made.connect()
    yield made
    await made.aclose()


def words(lab, verb):
    return ["--config", str(lab.config), "project", verb, PROJECT, "--source", SOURCE, "-o", "json"]


def told(lab, capsys, verb):
    code = execute(words(lab, verb))
    return code, json.loads(capsys.readouterr().out)


def test_edits_travel_both_ways(lab, capsys):
    write(lab.here, "train.py", "print(2)\n")
    write(lab.there, "conf/model.yaml", "lr: 0.2\n")

    before = told(lab, capsys, "status")
    pushed = told(lab, capsys, "push")
    pulled = told(lab, capsys, "pull")

    names = [each["name"] for each in before[1]["differences"]]
    assert (2, ["conf/model.yaml", "train.py"]) == (before[0], names)
    assert (0, "print(2)\n") == (pushed[0], (lab.there / "train.py").read_text())
    assert {"train.py": FILES["train.py"]} == lab.backups()
    assert 0 == pulled[0]
    assert "lr: 0.2" == git(lab.here, "show", f"{pulled[1]['branch']}:conf/model.yaml")


def test_a_push_whose_connection_is_cut_changes_nothing_and_the_next_one_is_whole(lab, host, capsys):
    (lab.here / "train.py").write_bytes(b"x" * LARGE)
    write(lab.here, "conf/model.yaml", "lr: 0.3\n")
    argv = [sys.executable, "-m", "reconciler.cli", *words(lab, "push")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as pushing:
        staging = lab.there / ".reconciler/staging"
        until = time.monotonic() + 40
        while not any(path.stat().st_size > 1 << 20 for path in staging.glob("*/*")) and time.monotonic() < until:
            time.sleep(0.005)
        host.cut()
        _, said = pushing.communicate(timeout=50)

    assert 1 == pushing.returncode, said
    assert "[" in said
    assert "Traceback" not in said
    assert FILES == lab.files(lab.there)
    assert 0 == told(lab, capsys, "push")[0]
    assert lab.files(lab.here) == lab.files(lab.there)


async def test_a_checkout_there_is_verified(lab, source):
    project = ProjectConfig(name=ProjectName(PROJECT), url="", sync=Sync.VERIFY, path=str(lab.there))
    way = Verify(project, lambda _: None)
    clean = await way.bring(source, Commit(lab.commit))
    write(lab.there, "conf/model.yaml", "lr: 0.2\n")
    dirty = await way.bring(source, Commit(lab.commit))

    assert ["conf/model.yaml"] == seal.differing(clean.seal)
    assert Hold(reason="ProjectDiffers", message=f"{lab.there} on {SOURCE}: 1 modified: conf/model.yaml") == dirty


async def test_a_path_below_the_home_folder_is_that_of_the_account_there(lab, host, source):
    (host.home / "mnist").symlink_to(lab.there)
    project = ProjectConfig(name=ProjectName(PROJECT), url="", sync=Sync.VERIFY, path="~/mnist")
    found = await Verify(project, lambda _: None).bring(source, Commit(lab.commit))

    assert str(host.home / "mnist") == found.path


async def test_a_folder_without_git_comes_there_over_the_link_and_only_once(lab, source, tmp_path):
    write(tmp_path / "model", "a/b.py", "print(1)\n")
    (tmp_path / "model/big.bin").write_bytes(bytes(range(256)) * 20_000)
    project = ProjectConfig(name=ProjectName("model"), url=str(tmp_path / "model"), kind=ProjectKind.TREE)
    codebase = TreeCodebase(project, tmp_path / "state" / "trees", clock=SystemClock())
    way = Snapshot(project, codebase.stock, tmp_path / "bundles", SystemClock())

    sent, found = [], []
    for text in ("print(1)\n", "print(2)\n"):
        write(tmp_path / "model", "a/b.py", text)
        pin = await codebase.resolve(None)
        coming = await way.bring(source, pin)
        assert isinstance(coming, Coming)
        sent.append(await coming.supply())
        found.append(await way.bring(source, pin))
    codebase.close()

    assert ["print(1)\n", "print(2)\n"] == [(Path(each.path) / "a/b.py").read_text() for each in found]
    assert [[], []] == [seal.differing(each.seal) for each in found]
    assert sent[1] < sent[0] // 4
