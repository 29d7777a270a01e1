"""What tasks used of what was asked for, as a table and as JSON."""

from __future__ import annotations

import json

import pytest
from cli_lab import Lab

from reconciler.cli.__main__ import execute
from reconciler.core.model import FailureClass, Phase, Resources

ASKED = Resources(cpus=4, memory_mib=16384, walltime_s=3600)


@pytest.fixture
def lab(tmp_path):
    """Of three tasks one succeeded at the second try, one was lost before it was measured, one waits."""
    lab = Lab(tmp_path)
    lab.accept()
    first, second, _ = lab.tasks()
    lab.attempt(first, Phase.FAILED, cpu_s=30.0, max_rss_mib=9999.0, resources=ASKED, failure=FailureClass.USER_ERROR)
    (again,) = [task for task in lab.tasks() if task.key == first.key]
    _wait(lab, again)
    lab.attempt(lab.tasks()[0], Phase.SUCCEEDED, exit_code=0, cpu_s=16.0, max_rss_mib=1024.0, resources=ASKED)
    lab.attempt(second, Phase.LOST, failure=FailureClass.LOST)
    return lab


def _wait(lab, task):
    with lab.store() as store:
        for _ in store.reset(task.key.sweep, [task.key], phases=[Phase.FAILED], reason="Retried", at=1.0):
            pass


def test_each_task_is_shown_with_what_its_newest_measured_attempt_used(lab, shown):
    first, second, third = (task.key.task for task in lab.tasks())
    expected = f"""\
TASK        PHASE      TOOK  CPU       MEMORY               WALLTIME  PARAMETERS
{first}  succeeded  8s    50% of 4  1 GiB (6% of 16 GiB)  0% of 1h00m  lr=0.1
{second}  lost       -     -         -                    -         lr=0.01
{third}  waiting    -     -         -                    -         lr=0.001

1 task measured; 50% of the processor time that was reserved was used
cpu:      median 50%, largest 50%
memory:   median 6%, largest 6%
walltime: median 0%, largest 0%
hint: `memory`: 16 GiB asked for, the largest process used 1 GiB; 1.5 GiB would do
hint: `walltime`: 60 min asked for, the longest task took 8 s; a shorter one starts sooner in a queue
"""
    assert [line.split() for line in expected.splitlines()] == [
        line.split() for line in shown("efficiency", "lr").splitlines()
    ]


def test_the_summary_is_over_all_tasks_whatever_is_listed(shown):
    assert "1 task measured; 50% of the processor time that was reserved was used" in shown(
        "efficiency", "lr", "--limit", "0"
    )
    told = json.loads(shown("efficiency", "lr", "--limit", "1", "-o", "json"))
    assert (1, True, 1) == (told["summary"]["tasks"], told["more"], len(told["tasks"]))


def test_the_json_has_exactly_the_promised_keys(shown):
    told = json.loads(shown("efficiency", "lr", "-o", "json"))
    assert list(told) == ["sweep", "summary", "more", "tasks"]
    assert list(told["summary"]) == ["tasks", "cpu", "cpuPerTask", "memory", "walltime", "hints"]
    (task,) = told["tasks"]
    assert list(task) == [
        "task", "attempt", "source", "phase", "elapsedSeconds", "cpuSeconds", "maxRssMib", "resources", "efficiency",
    ]  # fmt: skip
    assert (2, 8.0, {"cpu": 0.5, "memory": 0.0625, "walltime": 8 / 3600}) == (
        task["attempt"], task["elapsedSeconds"], task["efficiency"],
    )  # fmt: skip


def test_task_and_why_tell_it_of_the_newest_attempt(lab, shown):
    first, second, _ = (task.key.task for task in lab.tasks())
    used = "8s, cpu 50% of 4, memory 1 GiB (6% of 16 GiB), walltime 0% of 1h00m"
    assert f"used:        {used}" in shown("task", "lr", first).splitlines()
    assert f"used: {used}" in shown("why", "lr", first).splitlines()
    assert "used" not in shown("task", "lr", second)


def test_a_sweep_of_which_nothing_has_ended_is_told_so(tmp_path, capsys):
    lab = Lab(tmp_path / "new")
    lab.accept()
    assert execute(["--config", str(lab.config), "efficiency", "lr"]) == 0
    assert "no task has ended so far of which is known what it used" in capsys.readouterr().out
