"""What the readers print: plain tables for people, and JSON whose keys are a contract."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading

import pytest
from cli_lab import AT, COMMIT, HERE, LR, Lab

from reconciler.cli.__main__ import execute
from reconciler.cli.output import time_of_day
from reconciler.core.model import Condition, ConditionStatus, FailureClass, Phase, SweepName
from reconciler.core.status import SourceFacts, source_status
from reconciler.core.status_json import source_json

TASK_KEYS = [
    "sweep", "task", "replicate", "parameters", "phase", "reason", "desired", "attempt", "source", "failures",
    "uncountedFailures", "notBefore",
]  # fmt: skip
ATTEMPT_KEYS = [
    "attempt", "eid", "source", "phase", "reason", "message", "failureClass", "exitCode", "signal", "intendedAt",
    "acceptedAt", "unlistedAt", "startedAt", "endedAt", "cancelReason", "cpuSeconds", "maxRssMib", "efficiency", "gpus",
    "resources", "directory",
]  # fmt: skip


@pytest.fixture
def lab(tmp_path):
    """A sweep of three tasks: one succeeded, one failed, one waits; and a source that is up."""
    lab = Lab(tmp_path)
    lab.accept()
    first, second, _ = lab.tasks()
    succeeded = lab.attempt(first, Phase.SUCCEEDED, exit_code=0, reason="Completed")
    write(succeeded, "stdout.log", "accuracy 0.9\n")
    failed = lab.attempt(
        second, Phase.FAILED, exit_code=1, reason="UserError", message="exit code 1", failure=FailureClass.USER_ERROR
    )
    write(failed, "stderr.log", "Traceback:\nValueError: too hot\n")
    with lab.store() as store:
        facts = SourceFacts(name=HERE, enabled=True, connected=True, slots=2)
        store.set_source(HERE, source_json(source_status(facts)), AT)
    return lab


@pytest.fixture
def ask_json(shown):
    return lambda *words: json.loads(shown(*words, "-o", "json"))


def write(attempt, name, text):
    with open(f"{attempt.directory}/{name}", "w") as file:
        file.write(text)


def normal(text):
    """Without what differs from run to run: ages."""
    return re.sub(r"from \S+ ago", "from AGE ago", text)


# ------------------------------------------------------------------------------------------------ status


def test_status_as_a_table(shown):
    expected = """\
SWEEP  READY  DONE  RUNNING  WAITING  FAILED  SUMMARY
lr     False  1/3   0        1        1       1 failed, 1 succeeded, 1 waiting

SOURCE  UP   ACTIVE  SLOTS  GPUS
here    yes  0       2      -

revision c0ffee000000
no daemon runs; this is from AGE ago: start it with `reconciler run`
"""
    assert sorted(expected.split()) == sorted(normal(shown("status")).split())


def test_status_as_json_has_exactly_the_promised_keys(ask_json):
    status = ask_json("status")
    (sweep,) = status["sweeps"]
    (source,) = status["sources"]
    assert list(status) == ["revision", "sweeps", "sources"]
    assert list(sweep) == [
        "name", "state", "generation", "observedGeneration", "project", "commit", "summary", "conditions", "tasks",
        "sources", "holds",
    ]  # fmt: skip
    assert set(source) == {
        "name", "up", "enabled", "slots", "active", "gpus", "gpusFree", "uncollected", "conditions",
    }  # fmt: skip
    assert [list(condition) for condition in sweep["conditions"]] == [["type", "status", "reason", "message"]] * 3


def test_status_as_json_counts_tasks_by_phase(ask_json):
    status = ask_json("status")
    assert status["revision"] == COMMIT
    assert status["sweeps"][0]["tasks"] == {
        "desired": 3, "waiting": 1, "queued": 0, "running": 0, "succeeded": 1, "failed": 1, "cancelled": 0, "lost": 0,
    }  # fmt: skip


def test_conditions_that_the_daemon_wrote_are_shown(lab, shown, ask_json):
    with lab.store() as store:
        stalled = Condition(
            type="Stalled", status=ConditionStatus.TRUE, reason="MaxFailuresReached", message="1 task failed, 0 may"
        )
        ready = Condition(type="Ready", status=ConditionStatus.FALSE, reason="MaxFailuresReached")
        store.set_status(SweepName("lr"), [ready, stalled], None)
    assert [each["type"] for each in ask_json("status", "lr")["sweeps"][0]["conditions"]] == ["Ready", "Stalled"]
    assert "lr: Stalled: 1 task failed, 0 may" in shown("status").splitlines()


def test_conditions_that_the_counts_have_overtaken_are_not_believed(lab, ask_json):
    with lab.store() as store:
        ready = Condition(type="Ready", status=ConditionStatus.TRUE, reason="AllSucceeded")
        store.set_status(SweepName("lr"), [ready], None)
    conditions = ask_json("status")["sweeps"][0]["conditions"]
    assert next((each["type"], each["status"]) for each in conditions) == ("Ready", "False")


def test_a_broken_manifest_is_told_with_its_place(lab, shown):
    error = {"file": "sweeps.d/x.yaml", "line": 3, "column": 7, "reason": "UnknownField", "message": "no", "hint": ""}
    with lab.store() as store:
        store.set_invalid("sweeps.d/x.yaml", None, [error], AT)
    assert "sweeps.d/x.yaml:3:7: no [UnknownField]" in shown("status").splitlines()


def test_status_says_nothing_of_a_daemon_that_runs(lab, shown):
    with lab.daemon():
        assert "daemon" not in shown("status")


# ------------------------------------------------------------------------------------------------ tasks


def test_tasks_as_a_table(lab, shown):
    first, second, third = (task.key.task for task in lab.tasks())
    expected = f"""\
TASK        PHASE      ATTEMPT  SOURCE  PARAMETERS  REASON
{first}  succeeded  1        here    lr=0.1      Completed
{second}  failed     1        here    lr=0.01     UserError
{third}  waiting    -        -       lr=0.001
"""
    assert expected == shown("tasks", "lr")


def test_tasks_as_json(lab, ask_json):
    told = ask_json("tasks", "lr")
    assert (list(told), told["more"]) == (["sweep", "more", "tasks"], False)
    assert [list(task) for task in told["tasks"]] == [TASK_KEYS] * 3
    assert [task["parameters"] for task in told["tasks"]] == [{"lr": 0.1}, {"lr": 0.01}, {"lr": 0.001}]


def test_tasks_of_one_phase(lab, ask_json):
    assert [task["phase"] for task in ask_json("tasks", "lr", "--phase", "failed")["tasks"]] == ["failed"]


def test_a_limited_list_says_that_there_is_more(shown, ask_json):
    assert shown("tasks", "lr", "--limit", "2").endswith("… and more; `--limit` shows more than 2\n")
    assert ask_json("tasks", "lr", "--limit", "2")["more"] is True


def test_a_task_may_be_named_by_the_beginning_of_its_id(lab, ask_json):
    task = lab.tasks()[0].key.task
    assert ask_json("task", "lr", task[:6].upper())["task"] == task


def test_a_task_as_json(lab, ask_json):
    told = ask_json("task", "lr", lab.tasks()[1].key.task)
    (attempt,) = told["attempts"]
    assert list(told) == [*TASK_KEYS[:7], *TASK_KEYS[7:], "attempts", "events"]
    assert list(attempt) == ATTEMPT_KEYS
    assert (attempt["exitCode"], attempt["failureClass"], attempt["signal"]) == (1, "UserError", None)
    assert attempt["startedAt"] == "2023-11-14T22:13:21.000Z"
    assert list(told["events"][-1]) == ["at", "sweep", "task", "attempt", "reason", "message"]


def test_a_task_as_a_table(lab, shown):
    lines = shown("task", "lr", lab.tasks()[1].key.task).splitlines()
    assert lines[1:5] == [
        "phase:       failed (UserError)",
        "parameters:  lr=0.01",
        "replicate:   0",
        "failures:    0 counted, 0 not counted",
    ]
    assert re.fullmatch(r"1 +failed +here +\S+ \S+ +8s +1 +UserError: exit code 1", lines[7])


# ------------------------------------------------------------------------------------------------ why


def test_why_of_a_waiting_task(lab, ask_json):
    told = ask_json("why", "lr", lab.tasks()[2].key.task)
    assert list(told) == [
        "sweep", "task", "phase", "reason", "message", "hint", "notBefore", "retries", "attempt", "queue", "stderr",
    ]  # fmt: skip
    assert (told["phase"], told["reason"], told["attempt"]) == ("waiting", "NextInLine", None)
    assert told["retries"] == {"limit": 2, "used": 0, "left": 2}


def test_why_of_a_failed_task_shows_the_end_of_its_stderr(lab, shown):
    lines = shown("why", "lr", lab.tasks()[1].key.task).splitlines()
    assert lines[0].endswith(" (lr=0.01) is failed")
    assert "attempt 1 on here: failed, exit 1, UserError: exit code 1" in lines
    assert "  ValueError: too hot" in lines


def test_why_of_a_job_that_its_scheduler_does_not_list(tmp_path, capsys):
    lab = Lab(tmp_path / "missed")
    lab.accept()
    task = lab.tasks()[0]
    lab.attempt(task, Phase.QUEUED, started_at=None, unlisted_at=AT)
    execute(["--config", str(lab.config), "why", "lr", task.key.task])
    expected = f"its scheduler does not list it, since {time_of_day(AT)}: if that stays so, another attempt is made"
    assert expected in capsys.readouterr().out.splitlines()


def test_why_says_that_no_daemon_runs(lab, shown):
    waiting = lab.tasks()[2].key.task
    assert "no daemon runs, so nothing starts: start it with `reconciler run`" in shown("why", "lr", waiting)
    with lab.daemon():
        assert "no daemon runs" not in shown("why", "lr", waiting)


def test_why_of_a_task_whose_code_differs_on_the_only_source(tmp_path, capsys):
    lab = Lab(tmp_path / "differs")
    lab.accept()
    code = {"project": "self", "revision": COMMIT, "reason": "ProjectDiffers", "message": "1 modified: conf.yaml"}
    with lab.store() as store:
        store.set_source(HERE, {"up": True, "projects": [code]}, AT)
    execute(["--config", str(lab.config), "why", "lr", lab.tasks()[0].key.task, "-o", "json"])
    told = json.loads(capsys.readouterr().out)
    assert ("ProjectDiffers", "1 modified: conf.yaml") == (told["reason"], told["message"])


def test_why_of_a_task_that_the_only_source_refuses(tmp_path, capsys):
    lab = Lab(tmp_path / "refused")
    lab.accept()
    refused = {"sweep": "lr", "generation": 1, "reason": "SubmissionRefused", "message": "here refuses it: no account"}
    with lab.store() as store:
        store.set_source(HERE, {"up": True, "refused": [refused, {**refused, "generation": 2, "reason": "X"}]}, AT)
    execute(["--config", str(lab.config), "why", "lr", lab.tasks()[0].key.task, "-o", "json"])
    told = json.loads(capsys.readouterr().out)
    assert ("SubmissionRefused", "here refuses it: no account") == (told["reason"], told["message"])


def test_why_of_a_paused_sweep(tmp_path, capsys):
    lab = Lab(tmp_path / "paused")
    lab.accept(LR + "  state: Paused\n")
    task = lab.tasks()[0].key.task
    execute(["--config", str(lab.config), "why", "lr", task, "-o", "json"])
    assert json.loads(capsys.readouterr().out)["reason"] == "Paused"


# ------------------------------------------------------------------------------------------------ logs


def test_logs_are_the_bytes_of_the_task(lab, shown):
    first, second, _ = lab.tasks()
    assert shown("logs", "lr", first.key.task) == "accuracy 0.9\n"
    assert shown("logs", "lr", second.key.task, "--stderr") == "Traceback:\nValueError: too hot\n"


def test_logs_as_json(lab, ask_json):
    told = ask_json("logs", "lr", lab.tasks()[0].key.task)
    assert list(told) == ["sweep", "task", "attempt", "phase", "stream", "source", "here", "path", "text"]
    assert (told["stream"], told["here"], told["text"]) == ("stdout", True, "accuracy 0.9\n")


def test_following_logs_ends_when_the_attempt_does(lab):
    waiting = lab.tasks()[2]
    attempt = lab.attempt(waiting, Phase.RUNNING)
    write(attempt, "stdout.log", "one\n")
    command = [
        sys.executable,
        "-m",
        "reconciler.cli",
        "--config",
        str(lab.config),
        "logs",
        "lr",
        waiting.key.task,
        "-f",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        deadline = threading.Timer(30, process.kill)
        deadline.start()
        assert process.stdout.readline() == "one\n"
        with open(f"{attempt.directory}/stdout.log", "a") as file:
            file.write("two\n")
        assert process.stdout.readline() == "two\n"
        with open(f"{attempt.directory}/stdout.log", "a") as file:
            file.write("three\n")
        lab.end(attempt)
        assert process.stdout.read() == "three\n"
        assert process.wait() == 0
        deadline.cancel()


# ------------------------------------------------------------------------------------------------ the contract


def test_each_key_of_each_reader_is_documented(lab, ask_json, repository_root):
    task = lab.tasks()[1].key.task
    documented = set(re.findall(r'"(\w+)"', (repository_root / "docs/cli.md").read_text()))
    readers = ["status"], ["tasks", "lr"], ["task", "lr", task], ["why", "lr", task], ["logs", "lr", task, "--stderr"]
    found = {key for words in readers for key in keys(ask_json(*words))}
    assert found - documented == set()


def keys(value):
    """The names in a document; what stands under `parameters` and `sources` is named by people."""
    if isinstance(value, list):
        return {key for each in value for key in keys(each)}
    if isinstance(value, dict):
        named = {key for key, each in value.items() if key not in ("parameters",) for key in keys(each)}
        return set(value) | named
    return set()


# ------------------------------------------------------------------------------------------------ watch


def test_watch_prints_lines_when_nobody_looks(shown):
    lines = shown("watch", "--for", "0.3", "--interval", "0.1").splitlines()
    assert [line for line in lines if " lr: " in line] == lines[:1]
    assert lines[-1].endswith("#1 Failed: told")


def test_watch_as_json_is_a_status_on_each_line(shown):
    lines = shown("watch", "--for", "0.25", "--interval", "0.1", "-o", "json").splitlines()
    assert len(lines) == 3
    assert {tuple(json.loads(line)) for line in lines} == {("revision", "sweeps", "sources")}


# ------------------------------------------------------------------------------------------------ where it is printed


def test_nothing_is_cut_off_where_there_is_no_terminal(lab, shown):
    long = "x" * 500
    lab.accept(LR.replace("name: lr", "name: long").replace("[0.1, 0.01, 0.001]", f"[{long}]"))
    assert f"lr={long}\n" in shown("tasks", "long")


def test_what_a_manifest_says_cannot_drive_the_terminal(lab, shown):
    lab.accept(LR.replace("name: lr", "name: odd").replace("[0.1, 0.01, 0.001]", r'["\e[2J[red]"]'))
    assert "lr=\ufffd[2J[red]" in shown("tasks", "odd")
