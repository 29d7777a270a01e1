"""`sources`: what the daemon saw last of each, for people and for programs; and who may start new tasks there."""

from __future__ import annotations

import json
import re

import pytest
from cli_lab import AT, HERE, Lab

from reconciler import requests
from reconciler.core.status import Problem, SourceFacts, source_status
from reconciler.core.status_json import source_json

MACHINE = {
    "host": "gpu1",
    "python": "3.9.2",
    "root": "/r",
    "cpus": 8,
    "load": 0.5,
    "memoryMib": 16384,
    "memoryFreeMib": 8192,
    "diskFreeMib": 512,
    "latencySeconds": 0.0123,
    "clockSkewSeconds": -75.0,
    "gpus": ["NVIDIA A100, 40960 MiB"],
    "programs": ["git"],
    "endsLeftovers": False,
}
CODE = {"project": "self", "revision": "c0ffee", "inSync": False, "reason": "ProjectDiffers", "message": "a.py differs"}


def details(**changes):
    return {
        "scheduler": "process",
        "host": "ssh://gpu1",
        "reason": "Connected",
        "message": "",
        "advice": "",
        "machine": MACHINE,
        "projects": [CODE],
        "collected": 3,
        "collectedBytes": 77,
        "collectFailures": 1,
    } | changes


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


@pytest.fixture
def tell(lab):
    """The daemon has written this about the one source."""

    def write(*, connected: bool = True, problem: Problem | None = None, missed: str = "", **changes) -> None:
        full = Problem(reason="ResultsDiskFull", message="no space")
        facts = SourceFacts(
            name=HERE,
            enabled=True,
            connected=connected,
            slots=2,
            active=1,
            problem=problem,
            uncollected=7,
            missed=missed,
            uncollectable=full,
            details=details(**changes),
        )
        with lab.store() as store:
            store.set_source(HERE, source_json(source_status(facts)), AT)

    return write


def test_a_source_is_one_line_and_what_is_wrong_with_it_is_said_below(tell, ask) -> None:
    tell()

    code, out, _ = ask("sources")

    assert 0 == code
    header, line, _, *notes = out.splitlines()
    assert ["SOURCE", "UP", "HOST", "PYTHON", "LATENCY", "ACTIVE", "LOAD", "MEMORY", "DISK", "GPUS", "TO COLLECT"] == (
        re.split(r"\s{2,}", header)
    )
    assert "here  yes  here  3.9.2  12.3 ms  0/2  0.5/8  8.0 Gi free  0.5 Gi free  1  7" == re.sub(
        r"\s{2,}", "  ", line
    )
    assert [
        "here: its clock is 1m15s behind",
        "here: only 512 MiB are free on the disk of its root",
        "here: the results of 7 attempts are still to come",
        "here: no space [ResultsDiskFull]",
        "here: project self: a.py differs [ProjectDiffers]",
    ] == notes[:5]


def test_a_source_that_is_down_is_told_with_the_advice(tell, ask) -> None:
    down = Problem(reason="HostKeyUnknown", message="the key is not known")
    tell(connected=False, problem=down, reason=down.reason, message=down.message, advice="run ssh-keyscan")

    out = ask("sources")[1]

    assert "here: the key is not known [HostKeyUnknown]\n  hint: run ssh-keyscan\n" in out


def test_a_machine_that_ends_tasks_with_the_login_is_told_of(tell, ask) -> None:
    tell(machine=MACHINE | {"endsLeftovers": True})

    _, out, _ = ask("sources")

    assert "here: its machine ends all that a login has started when it ends, tasks too (KillUserProcesses)" in out
    assert "KillExcludeUsers" in out


def test_a_source_that_was_never_asked_is_listed_too(lab, ask) -> None:
    with lab.store():
        pass

    assert "here: no daemon has asked it so far" in ask("sources")[1]
    (told,) = json.loads(ask("sources", "-o", "json")[1])["sources"]
    assert ("here", False, True, None, None) == tuple(told[key] for key in ("name", "up", "enabled", "machine", "at"))


def test_each_key_is_documented(tell, ask, repository_root) -> None:
    tell()
    (told,) = json.loads(ask("sources", "-o", "json")[1])["sources"]
    documented = set(re.findall(r'"(\w+)"', (repository_root / "docs/cli.md").read_text()))

    assert MACHINE == told["machine"]
    assert set() == {*told, *told["machine"], *told["projects"][0]} - documented


def test_a_source_that_is_switched_off_is_told_at_once(lab, tell, ask) -> None:
    tell()
    with lab.store() as store:
        store.switch(HERE, on=False, at=AT)

    assert "here: disabled: nothing new starts there until `reconciler sources enable here`" in ask("sources")[1]
    assert not json.loads(ask("sources", "-o", "json")[1])["sources"][0]["enabled"]


@pytest.mark.parametrize("action", ["enable", "disable"])
def test_a_source_is_switched_by_a_request(lab, ask, action: str) -> None:
    code, out, _ = ask("sources", action, "here")

    (asked,) = requests.pending(lab.state)
    assert (2, action, {"source": "here"}) == (code, asked.verb.value, asked.arguments)
    assert "no daemon runs now" in out


def test_without_a_name_nothing_is_switched(ask) -> None:
    code, _, err = ask("sources", "disable")

    assert (64, True) == (code, "[SourceNeeded]" in err)


def test_what_a_scheduler_does_not_take_is_told_beside_what_the_operator_allows(tell, ask) -> None:
    tell(site={"version": "Slurm 22.05.8", "maxSubmitJobs": 1, "arraySizeMax": 100}, missed="ends are forgotten")

    out = ask("sources")[1]

    assert "here: Slurm 22.05.8 takes no more than 1 of our jobs at once" in out
    assert "here: Slurm 22.05.8 takes no more than 100 tasks in one array" in out
    assert "here: ends are forgotten [PollTooSlow]" in out
