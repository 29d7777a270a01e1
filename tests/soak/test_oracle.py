"""What the soak's oracle calls a broken promise, and what not."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.soak.oracle import Log, script


def read(folder: Path, *lines: str) -> Log:
    path = folder / "log"
    path.write_text("".join(line + "\n" for line in lines))
    log = Log(path)
    log.read()
    return log


def test_a_task_that_ran_once_to_its_end_is_what_was_promised(tmp_path: Path) -> None:
    verdict = read(tmp_path, "start 7 1", "end 7 1").judge({7}, {}, set())

    assert ((), (), ()) == (verdict.doubled, verdict.overlapped, verdict.lost)


@pytest.mark.parametrize("lines", [[], ["start 7 1"]], ids=["never started", "never ended"])
def test_a_task_without_an_end_is_lost(tmp_path: Path, lines: list[str]) -> None:
    assert ("task 7 never came to its end",) == read(tmp_path, *lines).judge({7}, {}, set()).lost


def test_a_task_that_ran_twice_is_doubled_unless_it_was_taken_out_or_hurt(tmp_path: Path) -> None:
    log = read(tmp_path, "start 7 1", "start 7 2", "end 7 2")

    assert ("task 7 ran 2 times, and was taken out 0 times before its end",) == log.judge({7}, {}, set()).doubled
    assert () == log.judge({7}, {7: 1}, set()).doubled
    assert () == log.judge({7}, {}, {7}).doubled


def test_an_attempt_that_started_twice_is_doubled_whatever_was_done_to_it(tmp_path: Path) -> None:
    log = read(tmp_path, "start 7 1", "start 7 1", "end 7 1")

    assert ("attempt 1 of task 7 started 2 times",) == log.judge({7}, {7: 5}, {7}).doubled


def test_a_line_that_is_not_whole_yet_is_read_later(tmp_path: Path) -> None:
    log = read(tmp_path, "start 7 1")
    with log.path.open("a") as file:
        file.write("end 7")
    log.read()
    with log.path.open("a") as file:
        file.write(" 1\n")
    log.read()

    assert {7: 1} == log.ends


def test_two_attempts_of_one_task_that_live_at_once_say_so_themselves(tmp_path: Path) -> None:
    text = script(tmp_path / "log", tmp_path)

    def attempt(number: int) -> subprocess.Popen[bytes]:
        environment = {"PATH": "/bin:/usr/bin", "RECONCILER_ATTEMPT": str(number)}
        return subprocess.Popen(["sh", "-c", text, "task", "7", "60"], env=environment, start_new_session=True)

    log = Log(tmp_path / "log")
    first = attempt(1)
    while not log.runs[7]:
        log.read()
    second = attempt(2)
    while log.runs[7] < 2:
        log.read()
    for process in (first, second):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    assert ["attempt 2 of task 7 started while another one was alive"] == log.overlaps
