"""The demo and the first steps of a newcomer, for real: a daemon, an agent and tasks on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def folder():
    """A short path: sources have long ones below."""
    path = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


def run(*words, cwd, timeout=150, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "reconciler.cli", *map(str, words)],
        cwd=cwd, capture_output=True, text=True, timeout=timeout, env={**os.environ, **environment},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.timeout(180)
def test_the_demo_shows_a_sweep_from_commit_to_results(folder):
    code, out, err = run("demo", "--directory", folder / "demo", cwd=folder)
    assert (code, err) == (0, "")
    assert "  6 tasks are new and start\n" in out
    assert re.search(r"^  \d+ (waited and are withdrawn|ran and are cancelled)$", out, re.MULTILINE)
    cold, critical, warm = (float(re.search(rf"^{t} .*? (\d\.\d\d)", out, re.MULTILINE)[1]) for t in (1.4, 2.269, 3.6))
    assert cold > 0.9 > critical > 0.4 > warm
    assert re.search(r"^Metrics for Prometheus were at http://127\.0\.0\.1:\d+/metrics,", out, re.MULTILINE)
    assert "\x1b" not in out
    config = folder / "demo/reconciler.yaml"
    status = json.loads(run("--config", config, "status", "-o", "json", cwd=folder)[1])
    assert (status["sweeps"][0]["tasks"]["succeeded"], status["sweeps"][0]["conditions"][0]["status"]) == (18, "True")
    assert "does not run" in run("--config", config, "check", cwd=folder)[1]


def test_the_demo_works_only_in_an_empty_folder(folder):
    (folder / "mine").write_text("")
    code, out, err = run("demo", "--directory", folder, cwd=folder)
    assert (64, "", True) == (code, out, "[FolderNotEmpty]" in err)


@pytest.mark.timeout(120)
def test_the_first_steps_of_a_newcomer(folder):
    """init → commit → run --once → look: without any configuration, as the README says."""
    home = {"HOME": str(folder / "home"), "XDG_STATE_HOME": "", "RECONCILER_CONFIG": ""}
    (folder / "home").mkdir()
    assert run("init", "mine", "--git", cwd=folder, **home)[0] == 0
    mine = folder / "mine"
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["add", "--all"], ["commit", "--quiet", "--message", "A first sweep"]):
        subprocess.run(["git", *identity, *words], cwd=mine, check=True)
    assert run("plan", cwd=mine, **home)[0] == 2
    code, _, err = run("run", "--once", cwd=mine, **home)
    assert (code, "Traceback" in err) == (0, False)
    assert run("plan", cwd=mine, **home)[0] == 0
    tasks = json.loads(run("tasks", "hello", "-o", "json", cwd=mine, **home)[1])["tasks"]
    assert [task["phase"] for task in tasks] == ["succeeded"] * 6
    assert run("logs", "hello", tasks[0]["task"], cwd=mine, **home) == (0, "hello, world!\n", "")
    why = json.loads(run("why", "hello", tasks[0]["task"], "-o", "json", cwd=mine, **home)[1])
    assert (why["phase"], why["reason"]) == ("succeeded", "Completed")


@pytest.mark.timeout(120)
def test_a_second_daemon_is_told_so_and_ends_with_75(folder):
    from_nothing = {"HOME": str(folder), "RECONCILER_CONFIG": ""}
    run("init", "mine", "--git", cwd=folder, **from_nothing)
    mine = folder / "mine"
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["add", "--all"], ["commit", "--quiet", "--message", "A first sweep"]):
        subprocess.run(["git", *identity, *words], cwd=mine, check=True)
    environment = {**os.environ, **from_nothing}
    first = subprocess.Popen(
        [sys.executable, "-m", "reconciler.cli", "run"], cwd=mine, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        while "serving" not in first.stderr.readline():
            assert first.poll() is None
        code, out, err = run("run", cwd=mine, **from_nothing)
        assert (75, "") == (code, out)
        assert re.fullmatch(r"reconciler: another daemon serves .* \[AlreadyRunning\]\nhint: .*\n", err)
    finally:
        first.terminate()
        first.stderr.read()
        assert first.wait(30) == 0
        first.stderr.close()
