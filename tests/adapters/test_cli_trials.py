"""`check` and `plan --check` ask a real Slurm about manifests: each refusal has its place, and nothing is submitted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_lab import HERE, Lab
from far_cli_lab import far_lab

from reconciler.cli.__main__ import execute
from tests.fakes.slurm_lab import SlurmLab

pytestmark = [pytest.mark.real(each) for each in ("slurmctld", "slurmd", "munge")]

SWEEP = """\
apiVersion: reconciler/v1alpha1
kind: Sweep
metadata: {{name: lr}}
spec:
  command: ["true"]
  parameters:
    x: [1, 2]
    gib: {gib}
  resources:
    memory: {memory}
    walltime: {walltime}
    cpus: {cpus}
  schedulerOptions:
    slurm:
      partition: {partition}
      {option}
"""
GOOD = {"gib": 1, "memory": "1Gi", "walltime": "5m", "cpus": 1, "partition": "short", "option": "nice: 1"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmLab]:
    folder = Path(tempfile.mkdtemp(prefix="s-ask-"))
    lab = SlurmLab(folder, MessageTimeout="5", TCPTimeout="1", PartitionName="short Nodes=ALL MaxTime=10 State=UP")
    lab.start()
    yield lab
    lab.close()
    shutil.rmtree(folder, ignore_errors=True)


class Desk(Lab):
    """A repository, and a source on the cluster."""

    def __init__(self, folder: Path, cluster: SlurmLab) -> None:
        super().__init__(folder)
        self.root = folder / "root"
        self.cluster(scheduler="slurm", python=str(cluster.python), root=str(self.root))

    def cluster(self, **entry: object) -> None:
        document = json.loads(self.config.read_text())
        document["sources"] = {HERE: entry}
        self.config.write_text(json.dumps(document, indent=1))

    def sweep(self, **changes: object) -> None:
        self.repository.write("sweeps.d/lr.yaml", SWEEP.format(**{**GOOD, **changes}))
        self.repository.commit()


@pytest.fixture
def desk(cluster: SlurmLab) -> Iterator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="r-ask-"))
    yield Desk(folder, cluster)
    cluster.until_idle()
    assert "" == cluster.run("squeue", "--noheader", "--states=all")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def plan(desk: Desk, capfd: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, list[dict[str, object]]]]:
    def run() -> tuple[int, list[dict[str, object]]]:
        code = execute(["--config", str(desk.config), "plan", "--check", "-o", "json"])
        return code, json.loads(capfd.readouterr().out)["checks"]

    return run


def test_what_would_be_taken_passes_and_leaves_no_trace_on_the_source(desk: Desk, plan) -> None:
    desk.sweep()

    code, told = plan()

    assert (2, ["ok"]) == (code, [each["status"] for each in told])
    assert "to start at" in told[0]["message"]
    assert not desk.root.exists()


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        ({"partition": "nosuch"}, 15, "invalid partition"),
        ({"memory": "999Gi"}, 10, "configuration is not available"),
        ({"walltime": "1h"}, 11, "(PartitionTimeLimit)"),
        ({"cpus": 500}, 12, "configuration is not available"),
        ({"option": "constraint: nosuch"}, 16, "feature"),
        ({"option": "reservation: nosuch"}, 16, "reservation"),
        ({"option": "gres: nosuch"}, 16, "gres"),
        ({"option": "nodelist: nosuch"}, 16, "node name"),
        ({"option": "time-min: 2-0"}, 16, "time"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_is_refused_is_told_with_slurms_words_and_the_line_that_is_at_fault(
    desk: Desk, plan, change: dict[str, object], line: int, words: str
) -> None:
    desk.sweep(**change)

    code, told = plan()

    assert (1, "fail", "SubmissionRefused") == (code, told[0]["status"], told[0]["reason"])
    assert words in told[0]["message"]
    assert ("sweeps.d/lr.yaml", line) == (told[0]["file"], told[0]["line"])


def test_only_some_of_the_tasks_may_be_refused(desk: Desk, plan) -> None:
    desk.sweep(memory="$(gib)Gi", gib="[1, 2, 999]")

    code, told = plan()

    assert (1, {"ok", "fail"}) == (code, {each["status"] for each in told})
    refused = next(each for each in told if each["status"] == "fail")
    assert "(1 of 3 kinds of its tasks, such as: cpus 1, memory 999Gi, walltime 5m00s)" in refused["message"]
    assert "%m" in refused["hint"]
    assert 10 == refused["line"]


def test_an_option_of_the_source_is_at_fault_in_the_configuration(desk: Desk, cluster: SlurmLab, plan) -> None:
    desk.cluster(scheduler="slurm", python=str(cluster.python), root=str(desk.root), options={"reservation": "nosuch"})
    desk.sweep()

    code, told = plan()

    assert (1, str(desk.config)) == (code, told[0]["file"])
    assert '"nosuch"' in desk.config.read_text().splitlines()[told[0]["line"] - 1]


def test_a_cluster_that_is_away_was_not_asked_and_that_is_no_yes(desk: Desk, cluster: SlurmLab, plan) -> None:
    desk.sweep(partition="nosuch")
    cluster.kill_controller(signal.SIGTERM)
    try:
        code, told = plan()
    finally:
        cluster.start_controller()

    assert (2, ["warn"]) == (code, [each["status"] for each in told])
    assert "its scheduler was not asked about 1 sweep (lr): no controller of Slurm answers" in told[0]["message"]


def test_a_machine_that_is_away_was_not_asked(desk: Desk, plan) -> None:
    desk.cluster(scheduler="slurm", python="/no/such/python", root=str(desk.root))
    desk.sweep()

    code, told = plan()

    assert (2, ["warn"]) == (code, [each["status"] for each in told])
    assert "was not asked about 1 sweep (lr)" in told[0]["message"]


def test_nodes_that_are_drained_are_no_fault_of_the_manifest(desk: Desk, cluster: SlurmLab, plan) -> None:
    desk.sweep()
    for node in cluster.nodes:
        cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    try:
        code, told = plan()
        desk.sweep(memory="999Gi")
        larger = plan()
    finally:
        for node in cluster.nodes:
            cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
        cluster.until_idle()

    assert (2, ["warn"]) == (code, [each["status"] for each in told])
    assert (1, ["fail"]) == (larger[0], [each["status"] for each in larger[1]])


def test_check_asks_about_the_files_of_the_checkout_before_they_are_committed(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    desk.sweep()
    (desk.repository.directory / "sweeps.d/lr.yaml").write_text(SWEEP.format(**{**GOOD, "partition": "nosuch"}))

    code = execute(["--config", str(desk.config), "check"])

    told = capfd.readouterr().out
    assert 1 == code
    assert "fail sweep lr on here: sweeps.d/lr.yaml:15:18: here would refuse it: invalid partition" in told


def test_a_sweep_that_can_go_to_no_scheduler_asks_none(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    desk.cluster(scheduler="process", root=str(desk.root))
    desk.sweep()

    code = execute(["--config", str(desk.config), "plan", "--check"])

    assert 2 == code
    assert "no scheduler was asked" in capfd.readouterr().out


@pytest.mark.real("openssh-server")
def test_over_ssh_it_is_the_same(cluster: SlurmLab, capfd: pytest.CaptureFixture[str]) -> None:
    with far_lab() as lab:
        lab.change(scheduler="slurm", python=str(cluster.python))
        lab.repository.write("sweeps.d/lr.yaml", SWEEP.format(**{**GOOD, "partition": "nosuch"}))
        lab.repository.commit()

        code = execute(["--config", str(lab.config), "plan", "--check", "-o", "json"])

        (told,) = json.loads(capfd.readouterr().out)["checks"]
        assert (1, "SubmissionRefused", 15) == (code, told["reason"], told["line"])
        assert not lab.root.exists()


# ---------------------------------------------------------------------------------------------- what is there


def sources_of(desk: Desk, capfd: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, object]]]:
    desk.sweep()
    code = execute(["--config", str(desk.config), "check", "-o", "json"])
    told = json.loads(capfd.readouterr().out)["checks"]
    return code, [each for each in told if each["name"] == f"source {HERE}"]


def test_a_cluster_tells_what_it_bears(desk: Desk, cluster: SlurmLab, capfd: pytest.CaptureFixture[str]) -> None:
    code, told = sources_of(desk, capfd)

    (site,) = [each["site"] for each in told if each["site"]]
    assert 0 == code
    assert (f"Slurm {cluster.version}", 20001, 60000, 300, False, "main") == (
        site["version"], site["arraySizeMax"], site["maxJobCount"], site["minJobAgeSeconds"], site["accounting"],
        site["defaultPartition"],
    )  # fmt: skip
    assert not desk.root.exists()


def test_a_cluster_that_is_taken_for_a_machine_is_a_warning(
    desk: Desk, cluster: SlurmLab, capfd: pytest.CaptureFixture[str]
) -> None:
    desk.cluster(scheduler="process", python=str(cluster.python), root=str(desk.root))

    code, told = sources_of(desk, capfd)

    assert 0 == code
    (warning,) = [each for each in told if each["status"] == "warn" and "plain processes" in each["message"]]
    assert "say `scheduler: slurm`" in warning["hint"]


def test_a_cluster_whose_controller_is_away_cannot_be_used(
    desk: Desk, cluster: SlurmLab, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster.kill_controller(signal.SIGTERM)
    try:
        code, told = sources_of(desk, capfd)
    finally:
        cluster.start_controller()

    assert (1, ["no controller of Slurm answers there"]) == (
        code,
        [each["message"] for each in told if each["status"] == "fail"],
    )


def test_a_pace_at_which_ends_are_missed_is_a_warning(
    desk: Desk, cluster: SlurmLab, capfd: pytest.CaptureFixture[str]
) -> None:
    desk.cluster(scheduler="slurm", python=str(cluster.python), root=str(desk.root), pollInterval="10m")

    code, told = sources_of(desk, capfd)

    assert (0, True) == (code, any("forgotten after 300 s" in each["message"] for each in told))


def test_init_on_a_machine_of_a_cluster_writes_a_configuration_that_check_likes(cluster: SlurmLab) -> None:
    folder = Path(tempfile.mkdtemp(prefix="r-ini-"))
    environment = {**os.environ, **cluster.environment, "HOME": str(folder)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "reconciler.cli", *words]
        return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)

    written = run("init", ".", "--git")
    again = (folder / "sweeps.d/hello.yaml").unlink() or run("init", ".")
    for words in (("config", "user.name", "x"), ("config", "user.email", "x@y"), ("add", "."), ("commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=folder, env=environment, check=True)
    checked = run("check")

    assert f"wrote reconciler.yaml: tasks go to the queue of Slurm {cluster.version}" in written.stdout
    assert "reconciler.yaml is left as it is" in again.stdout
    assert "main is the default partition" in (folder / "reconciler.yaml").read_text()
    assert "ok   sweep hello on cluster: would be taken" in checked.stdout
    assert 0 == checked.returncode, checked.stdout
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.real("openssh-server")
def test_a_login_node_that_is_taken_for_a_machine_is_a_warning(
    cluster: SlurmLab, capfd: pytest.CaptureFixture[str]
) -> None:
    with far_lab() as lab:
        lab.change(python=str(cluster.python))
        lab.repository.write("sweeps.d/lr.yaml", SWEEP.format(**GOOD))
        lab.repository.commit()

        code = execute(["--config", str(lab.config), "check"])

        told = capfd.readouterr().out
        assert (0, True) == (code, "its tasks run on the login node, not in the queue" in told)
