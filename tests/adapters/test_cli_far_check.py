"""`check` asks each machine itself, changes nothing there, and says what cannot be used and what to do about it."""

from __future__ import annotations

import json
import shutil
import time

import pytest
from far_cli_lab import far_lab
from state_damage import make_newer, make_older

from reconciler.cli.__main__ import execute

pytestmark = pytest.mark.real("openssh-server")


@pytest.fixture
def lab():
    with far_lab() as lab:
        lab.repository.write("sweeps.d/lr.yaml", LR)
        lab.repository.commit()
        with lab.store():
            pass
        yield lab


LR = """\
apiVersion: reconciler/v1alpha1
kind: Sweep
metadata: {name: lr}
spec: {command: ["true"], parameters: {x: [1]}}
"""


@pytest.fixture
def check(lab, capfd):
    """(exit code, findings about sources, findings that failed)"""

    def run():
        code = execute(["--config", str(lab.config), "check", "-o", "json"])
        checks = json.loads(capfd.readouterr().out)["checks"]
        return code, [each for each in checks if each["name"].startswith("source")], failed(checks)

    return run


def failed(checks):
    return [each for each in checks if each["status"] == "fail"]


def test_a_machine_that_answers_is_told_with_all_that_it_has_and_left_as_it_was(lab, check) -> None:
    code, told, _ = check()

    assert (0, ["ok", "ok"]) == (code, [each["status"] for each in told[:2]])
    machine = told[0]["machine"]
    assert machine["cpus"] > 0
    assert 0 < machine["latencySeconds"] < 10
    assert abs(machine["clockSkewSeconds"]) < 10
    assert "git" in machine["programs"]
    assert str(lab.root) == machine["root"]
    assert not lab.root.exists()


def test_an_unknown_host_key_is_a_failure_with_the_exact_advice(lab, check) -> None:
    lab.ssh.known_hosts.write_text("")

    code, _, wrong = check()

    assert (1, 1) == (code, len(wrong))
    assert "[HostKeyUnknown]" in wrong[0]["message"]
    assert lab.host.fingerprint in wrong[0]["message"] + wrong[0]["hint"]
    assert wrong[0]["hint"]


def test_machines_that_are_away_are_asked_side_by_side(lab, check) -> None:
    lab.also("a", "b", "c")
    for host in lab.ssh.hosts:
        host.stop()
    began = time.monotonic()

    code, _, wrong = check()

    assert (1, 4) == (code, len(wrong))
    assert time.monotonic() - began < 30


def test_a_root_of_somebody_else_is_a_failure(lab, check) -> None:
    lab.root.mkdir()
    (lab.root / "OWNER").write_text("zzzz\n")

    code, _, wrong = check()

    assert (1, 1) == (code, len(wrong))
    assert "belongs to the instance zzzz, not to test" in wrong[0]["message"]
    assert ["OWNER"] == [path.name for path in lab.root.iterdir()]


def test_a_root_is_ours_though_the_state_is_of_an_older_release(lab, check) -> None:
    shutil.rmtree(lab.state)
    make_older(lab.state, 1, "test")
    lab.root.mkdir()
    (lab.root / "OWNER").write_text("test\n")

    code, _, wrong = check()

    assert (0, []) == (code, wrong)


def test_nothing_is_said_against_the_owner_of_a_root_while_the_state_cannot_be_read(lab, check) -> None:
    make_newer(lab.state)
    lab.root.mkdir()
    (lab.root / "OWNER").write_text("test\n")

    code, told, wrong = check()

    assert (1, ["state"]) == (code, [each["name"] for each in wrong])
    (about,) = [each for each in told if "OWNER" in each["message"] or "belongs to" in each["message"]]
    assert ("warn", True) == (about["status"], about["message"].endswith("its state cannot be read"))


def test_gpus_that_are_configured_and_not_there_are_a_warning(lab, check) -> None:
    lab.change(gpus=[0, 9])

    code, told, _ = check()

    assert 0 == code
    assert any("of the configuration was not found" in each["message"] for each in told if each["status"] == "warn")
