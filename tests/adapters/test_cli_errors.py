"""Every error is one message on stderr with a hint, and has its exit code; never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cli_lab import AT, Lab

from reconciler.cli.__main__ import cli, execute
from reconciler.cli.group import COMMANDS
from reconciler.core.model import Phase, SweepName


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def test_an_unknown_command_is_wrong_usage_and_names_the_nearest(ask):
    expected = "reconciler: there is no command 'sttus'; did you mean status?\nhint: see `reconciler --help`\n"
    assert (64, "", expected) == ask("sttus")


def test_a_missing_argument_is_wrong_usage(ask):
    expected = "reconciler: missing argument 'TASK'\nhint: see `reconciler why --help`\n"
    assert (64, "", expected) == ask("why", "lr")


def test_an_unknown_option_is_wrong_usage(ask):
    code, _, err = ask("status", "--colour")
    assert code == 64
    assert err.startswith("reconciler: no such option")


def test_no_command_at_all_shows_the_help(capsys):
    assert execute([]) == 64
    assert "Begin:" in capsys.readouterr().err


def test_a_missing_configuration_is_an_error_with_its_place(capsys):
    code = execute(["--config", "/nowhere/reconciler.yaml", "status"])
    assert code == 1
    assert capsys.readouterr().err.startswith("/nowhere/reconciler.yaml: ")


def test_each_error_of_a_configuration_is_told(lab, capsys):
    lab.config.write_text("repository: {url: /srv/x, brnch: main}\nsurces: {}\n")
    code = execute(["--config", str(lab.config), "status"])
    err = capsys.readouterr().err
    assert code == 1
    assert "reconciler.yaml:1:" in err
    assert "reconciler.yaml:2:" in err
    assert "hint: " in err


@pytest.mark.parametrize("command", [("status",), ("tasks", "lr"), ("why", "lr", "abc"), ("retry", "lr"), ("watch",)])
def test_a_missing_state_is_an_error_that_says_how_to_begin(ask, command):
    code, out, err = ask(*command)
    assert (code, out) == (1, "")
    assert "[NoState]\nhint: " in err


def test_an_unknown_sweep_names_the_nearest(lab, ask):
    lab.accept()
    expected = "reconciler: there is no sweep 'lrr' [UnknownSweep]\nhint: did you mean lr?\n"
    assert (64, "", expected) == ask("tasks", "lrr")


def test_an_unknown_sweep_like_no_other_is_told_which_there_are(lab, ask):
    lab.accept()
    expected = "reconciler: there is no sweep 'vision' [UnknownSweep]\nhint: there are: lr\n"
    assert (64, "", expected) == ask("status", "vision")


def test_a_sweep_whose_manifest_was_never_valid_is_not_called_unknown(lab, ask):
    lab.accept()
    with lab.store() as store:
        store.set_invalid("sweeps.d/vision.yaml", SweepName("vision"), [], AT)
    code, _, err = ask("status", "vision")
    assert (64, True) == (code, "[NeverAccepted]" in err)


def test_a_mistyped_task_names_the_nearest(lab, ask):
    lab.accept()
    task = lab.tasks()[0].key.task
    code, _, err = ask("task", "lr", task[:-1] + "1")
    assert code == 64
    assert f"hint: did you mean {task}?" in err


def test_an_ambiguous_prefix_lists_the_tasks(lab, ask):
    lab.accept(many())
    ids = [task.key.task for task in lab.tasks("many")]
    letter, several = next((a, found) for a in "abcdefgh" if len(found := [i for i in ids if i[0] == a]) > 1)
    code, _, err = ask("task", "many", letter)
    assert code == 64
    assert f"several tasks of many begin with '{letter}': " in err
    assert all(task in err for task in several[:10])


def test_logs_of_a_task_without_an_attempt_say_so(lab, ask):
    lab.accept()
    task = lab.tasks()[0].key.task
    expected = (
        f"reconciler: task {task} has no attempt yet, so no logs [NoAttempt]\nhint: see `reconciler why lr {task}`\n"
    )
    assert (64, "", expected) == ask("logs", "lr", task)


def test_logs_of_an_attempt_that_never_was_list_those_there_are(lab, ask):
    lab.accept()
    task = lab.tasks()[0]
    lab.attempt(task, Phase.FAILED, exit_code=1, reason="UserError")
    code, _, err = ask("logs", "lr", task.key.task, "--attempt", "7")
    assert code == 64
    assert "hint: it has 1" in err


def test_a_missing_repository_is_an_error(lab, ask):
    document = json.loads(lab.config.read_text())
    document["repository"]["url"] = str(lab.folder / "nowhere")
    lab.config.write_text(json.dumps(document))
    code, out, err = ask("plan")
    assert (code, out) == (1, "")
    assert "[NotFound]" in err


def test_control_characters_never_reach_the_terminal(ask):
    code, _, err = ask("validate", "/nowhere/\x1b[31mred")
    assert code == 64
    assert "\x1b" not in err


def test_each_summary_is_the_first_sentence_of_the_command_itself():
    expected = {name: entry.summary.rstrip(".") for name, entry in COMMANDS.items()}
    with cli.make_context("reconciler", ["status"]) as context:
        commands = {name: cli.get_command(context, name) for name in COMMANDS}
    assert expected == {name: command.get_short_help_str(200).rstrip(".") for name, command in commands.items()}


def test_a_closed_pipe_ends_quietly(tmp_path):
    (tmp_path / "many.yaml").write_text(many(100_000))
    command = [sys.executable, "-m", "reconciler.cli", "expand", str(tmp_path / "many.yaml"), "-o", "json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(20) == b'{"sweep": "many", "p'
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 141)
    process.stderr.close()


@pytest.fixture
def foreground() -> Iterator[None]:
    """What we start hears Ctrl-C, though the tests themselves may have been started in the background, and do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("foreground")
def test_ctrl_c_ends_quietly(lab):
    lab.accept()
    command = [sys.executable, "-m", "reconciler.cli", "--config", str(lab.config), "watch", "-o", "json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout.readline().startswith(b"{")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (err, process.returncode) == (b"", 130)


def many(points: int = 200) -> str:
    return (
        "apiVersion: reconciler/v1alpha1\nkind: Sweep\nmetadata: {name: many}\n"
        "spec:\n  command: [echo, $(i)]\n"
        f"  parameters: {{i: {{range: {{start: 0, stop: {points}, step: 1}}}}}}\n"
    )
