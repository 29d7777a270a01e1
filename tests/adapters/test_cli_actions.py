"""What a person asks for becomes a request; and the commands that look at the repository and at this machine."""

from __future__ import annotations

import json
import shutil
import threading
import time
from contextlib import contextmanager

import pytest
from cli_lab import AT, LR, Lab
from state_damage import make_newer, make_older

from reconciler import requests
from reconciler.cli.__main__ import main
from reconciler.core.model import Phase
from reconciler.requests import Outcome, Verb


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    lab.accept()
    return lab


@contextmanager
def answering(lab, outcome):
    """A daemon that answers the first request so."""

    def answer():
        while not (pending := requests.pending(lab.state)):
            time.sleep(0.02)
        requests.done(lab.state, pending[0], outcome)

    with lab.daemon():
        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join(20)


def asked(lab):
    return [(action.verb, dict(action.arguments)) for action in requests.pending(lab.state)]


# ------------------------------------------------------------------------------------------------ requests


def test_without_a_daemon_a_request_waits_for_one(lab, ask):
    code, out, _ = ask("reconcile")
    assert (2, True) == (code, out.startswith("recorded; no daemon runs now"))
    assert asked(lab) == [(Verb.RECONCILE, {})]


def test_the_outcome_is_told_when_a_daemon_runs(lab, ask):
    with answering(lab, Outcome(ok=True, message="3 tasks wait again", at=AT)):
        assert ask("retry", "lr") == (0, "3 tasks wait again\n", "")


def test_a_refused_request_is_an_error(lab, ask):
    with answering(lab, Outcome(ok=False, message="no plan waits\nlook at it", at=AT)):
        assert ask("approve", "abc") == (1, "", "reconciler: no plan waits\nhint: look at it\n")


def test_reconcile_names_the_sweep_and_repins(lab, ask):
    ask("reconcile", "lr", "--repin")
    assert asked(lab) == [(Verb.RECONCILE, {"sweep": "lr", "repin": True})]


def test_retry_completes_the_ids_of_the_tasks(lab, ask):
    task = lab.tasks()[1]
    lab.attempt(task, Phase.FAILED, exit_code=1, reason="UserError")
    ask("retry", "lr", task.key.task[:6])
    assert asked(lab) == [(Verb.RETRY, {"sweep": "lr", "tasks": [task.key.task]})]


def test_giving_up_on_an_attempt_says_which_one_was_seen(lab, ask):
    task = lab.tasks()[1]
    lab.attempt(task, Phase.RUNNING)
    ask("retry", "lr", task.key.task, "--assume-dead")
    assert asked(lab) == [(Verb.RETRY, {"sweep": "lr", "tasks": [task.key.task], "assumeDead": [1]})]


def test_giving_up_on_attempts_needs_their_names(lab, ask):
    code, _, err = ask("retry", "lr", "--assume-dead")
    assert (64, True, []) == (code, "[TaskNeeded]" in err, asked(lab))


def test_a_request_for_an_unknown_sweep_is_never_left(lab, ask):
    assert (64, []) == (ask("reconcile", "lrr")[0], asked(lab))


# ------------------------------------------------------------------------------------------------ plan


def test_a_new_manifest_is_planned_and_two_is_the_exit_code(lab, ask):
    lab.repository.commit({"sweeps.d/new.yaml": LR.replace("name: lr", "name: new"), "sweeps.d/lr.yaml": LR})
    code, out, err = ask("plan")
    assert (2, "") == (code, err)
    assert "+  new    Add 3" in out
    assert out.splitlines()[-1].endswith("1 to create")


def test_a_plan_as_json_has_exactly_the_promised_keys(lab, ask):
    commit = lab.repository.commit({"sweeps.d/lr.yaml": LR.replace("0.1, ", "0.2, ")})
    code, out, _ = ask("plan", "-o", "json")
    told = json.loads(out)
    assert (2, commit) == (code, told["revision"])
    assert list(told) == ["revision", "planId", "blocked", "changes", "sweeps", "errors"]
    assert told["sweeps"] == [
        {
            "name": "lr",
            "path": "sweeps.d/lr.yaml",
            "action": "update",
            "counts": {"Add": 1, "Keep": 2, "Withdraw": 1},
            "reasons": told["sweeps"][0]["reasons"],
            "specChanges": ["parameters"],
        }
    ]


def test_nothing_to_do_is_the_exit_code_zero(lab, ask):
    lab.repository.commit({"sweeps.d/lr.yaml": LR})
    code, out, _ = ask("plan")
    assert (0, True) == (code, out.splitlines()[-1].endswith(": nothing to do"))


def test_a_broken_manifest_makes_the_plan_an_error_with_its_place(lab, ask):
    lab.repository.commit({"sweeps.d/lr.yaml": LR.replace("retry:", "retyr:")})
    code, _, err = ask("plan")
    assert (1, True) == (code, err.startswith("sweeps.d/lr.yaml:8:3: "))


def test_the_working_tree_is_planned_before_it_is_committed(lab, ask):
    lab.repository.commit({"sweeps.d/lr.yaml": LR})
    lab.repository.write("sweeps.d/lr.yaml", LR.replace("0.1, ", "0.1, 0.2, "))
    assert (0, 2) == (ask("plan")[0], ask("plan", "--working-tree")[0])


# ------------------------------------------------------------------------------------------------ check


def test_check_of_a_machine_where_all_is_well(lab, ask):
    lab.repository.commit({"sweeps.d/lr.yaml": LR})
    with lab.daemon():
        code, out, _ = ask("check", "-o", "json")
    told = json.loads(out)
    assert (0, True) == (code, told["ok"])
    keys = ["name", "status", "message", "hint", "machine", "site", "file", "line", "column", "reason"]
    assert [list(each) for each in told["checks"]] == [keys] * len(told["checks"])
    assert {each["name"] for each in told["checks"]} == {
        "python", "git", "configuration", "state", "daemon", "repository", "source here",
    }  # fmt: skip
    assert told["checks"][-1]["message"].startswith("the agent answers, on Python 3")


def test_check_warns_of_what_can_wait(lab, ask):
    lab.repository.commit()
    code, out, _ = ask("check")
    assert code == 0
    assert "warn daemon: does not run\n      hint: start it with `reconciler run`\n" in out
    assert "0 manifests in sweeps.d\n      hint: `reconciler init` writes a first one\n" in out


def test_check_fails_for_a_repository_that_is_not_there(lab, ask):
    document = json.loads(lab.config.read_text())
    document["repository"]["url"] = str(lab.folder / "nowhere")
    lab.config.write_text(json.dumps(document))
    code, out, _ = ask("check")
    assert code == 1
    assert "fail repository: " in out


def test_check_tells_what_is_wrong_with_the_configuration(lab, ask):
    lab.config.write_text("sources: 3\n")
    code, out, _ = ask("check")
    assert code == 1
    assert "fail configuration: " in out


def test_check_tells_that_a_state_is_of_an_older_release(lab, ask):
    lab.repository.commit({"sweeps.d/lr.yaml": LR})
    shutil.rmtree(lab.state)
    make_older(lab.state, 1, "test")
    code, out, _ = ask("check")
    assert 0 == code
    assert f"warn state: {lab.state}/state.db has the older format 1 [OlderState]\n      hint: start the daemon" in out


def test_check_fails_for_a_state_that_cannot_be_read(lab, ask):
    lab.repository.commit({"sweeps.d/lr.yaml": LR})
    make_newer(lab.state)
    code, out, _ = ask("check")
    assert 1 == code
    assert f"fail state: {lab.state}/state.db was written by a newer release [NewerState]" in out


@pytest.mark.parametrize("command", [["status"], ["tasks", "lr"], ["why", "lr", "x"], ["sources"], ["watch"]])
def test_who_reads_an_older_state_is_told_what_makes_it_newer(lab, ask, command):
    shutil.rmtree(lab.state)
    make_older(lab.state, 1, "test")
    code, _, err = ask(*command)
    assert (1, True) == (code, "has the older format 1 [OlderState]" in err)
    assert "hint: start the daemon of this release, or restart the one that runs" in err


# ------------------------------------------------------------------------------------------------ completion


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o"), ("zsh", "#compdef reconciler"), ("fish", "complete")]
)
def test_each_shell_gets_its_script(ask, shell, word):
    code, out, _ = ask("completion", shell)
    assert (0, True) == (code, word in out)


def test_the_shell_is_offered_the_sweeps_and_their_tasks(lab, monkeypatch, capsys):
    offered = []
    for words in (f"reconciler --config {lab.config} tasks ", f"reconciler --config {lab.config} why lr "):
        monkeypatch.setenv("_RECONCILER_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
        with pytest.raises(SystemExit):
            main()
        offered.append(capsys.readouterr().out.split())
    assert offered == [["plain,lr"], sorted(f"plain,{task.key.task}" for task in lab.tasks())]
