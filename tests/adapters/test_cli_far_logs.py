"""Logs of tasks on another machine: from the results tree once they are there, from that machine while they are not."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
from far_cli_lab import far_lab

from reconciler.cli.__main__ import execute
from reconciler.core.model import Phase

pytestmark = pytest.mark.real("openssh-server")


@pytest.fixture
def lab():
    with far_lab() as lab:
        lab.accept()
        yield lab


@pytest.fixture
def ask(lab, capfd):
    """(code, stdout, stderr) of a command."""

    def run(*words):
        code = execute(["--config", str(lab.config), *words])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def test_what_was_collected_is_read_here_though_its_machine_is_away(lab, ask) -> None:
    task = lab.tasks()[0]
    attempt = lab.attempt(task, Phase.FAILED)
    lab.collected(attempt, stdout_log="out\n", stderr_log="too hot\n")
    lab.host.stop()

    assert (0, "out\n", "") == ask("logs", "lr", task.key.task)
    assert "  too hot" in ask("why", "lr", task.key.task)[1]
    told = json.loads(ask("logs", "lr", task.key.task, "-o", "json")[1])
    assert (True, str(lab.tree.folder(attempt.key) / "stdout.log")) == (told["here"], told["path"])


def test_what_runs_or_was_not_collected_so_far_is_read_there(lab, ask) -> None:
    runs, ended, _ = lab.tasks()
    lab.write(lab.attempt(runs, Phase.RUNNING), "stdout.log", "so far\n")
    attempt = lab.attempt(ended, Phase.SUCCEEDED)
    lab.write(attempt, "stdout.log", "x" * 600_000)

    assert (0, "so far\n", "") == ask("logs", "lr", runs.key.task)
    assert (0, "x" * 600_000, "") == ask("logs", "lr", ended.key.task)
    told = json.loads(ask("logs", "lr", ended.key.task, "-o", "json")[1])
    assert (False, "here", 600_000) == (told["here"], told["source"], len(told["text"]))
    assert [] == list(lab.root.glob("epoch"))  # a visitor makes nothing


def test_a_machine_that_is_away_is_told_with_the_place_of_the_logs(lab, ask) -> None:
    task = lab.tasks()[0]
    attempt = lab.attempt(task, Phase.RUNNING)
    lab.host.stop()

    code, out, err = ask("logs", "lr", task.key.task)

    assert (64, "") == (code, out)
    assert "[NotHere]" in err
    assert f"hint: look there: {attempt.directory}/stdout.log" in err


def test_following_survives_a_cut_line_and_ends_with_the_attempt(lab) -> None:
    task = lab.tasks()[0]
    attempt = lab.attempt(task, Phase.RUNNING)
    path = lab.write(attempt, "stdout.log", "one\n")
    words = ["--config", str(lab.config), "logs", "lr", task.key.task, "-f"]
    command = [sys.executable, "-m", "reconciler.cli", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = threading.Timer(40, process.kill)
        deadline.start()
        assert "one\n" == process.stdout.readline()
        lab.host.cut()
        path.write_text("one\ntwo\n")
        assert "two\n" == process.stdout.readline()
        path.write_text("one\ntwo\nthree\n")
        lab.end(attempt)
        assert "three\n" == process.stdout.read()
        assert "the line was cut" in process.stderr.read()
        assert 0 == process.wait()
        deadline.cancel()
