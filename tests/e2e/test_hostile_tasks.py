"""Programs that misbehave: each ends as it should, is told in plain words, and harms no other sweep.

One daemon runs them all.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

IGNORE_TERM = "trap '' TERM; while :; do sleep 0.1; done"
LEAVE_ORPHANS = "setsid sleep 61.25 & sleep 61.25 & (setsid sh -c 'sleep 61.25 & exec sleep 61.25' &) ; true"
RESUME_TWICE = (
    'c="$RECONCILER_CHECKPOINT/n"; n=$$(cat "$c" || echo 0); echo $$((n + 1)) > "$c"; [ "$n" -ge 2 ] || exit 75'
)
WALLTIME = "  resources: {walltime: 1s}\n"
MORE_TIME = "[{class: Timeout, action: Retry, scale: {walltime: 30}}]"


def starting(manifest: str, program: str) -> str:
    """The manifest, with another program in place of the shell."""
    return manifest.replace("command: [sh,", f"command: [{program},")


@pytest.fixture(scope="module")
def ends(shared: Any) -> Any:
    """A world in which every hostile sweep has been committed, and one that is none."""
    manifest = shared.manifest
    long = f"{{x: [{'x' * 200_000}]}}"
    shared.commit(
        absent=starting(manifest("absent", "{x: [1]}"), "no-such-program"),
        folder=starting(manifest("folder", "{x: [1]}"), "/"),
        long=starting(manifest("long", long, extra="  arguments: equals\n"), "/bin/true"),
        deaf=manifest("deaf", "{x: [1]}", command=IGNORE_TERM),
        orphans=manifest("orphans", "{x: [1]}", command=LEAVE_ORPHANS),
        late=manifest("late", "{x: [1]}", command="sleep 60", extra=WALLTIME),
        late_again=manifest(
            "late-again",
            "{x: [1]}",
            command='test "$RECONCILER_ATTEMPT" = 2 || sleep 60',
            extra=WALLTIME + "  retry: {limit: 1, backoff: {duration: 1s}, rules: " + MORE_TIME + "}\n",
        ),
        resumes=manifest(
            "resumes",
            "{x: [1]}",
            command=RESUME_TWICE,
            extra="  retry: {limit: 0, backoff: {duration: 1s, factor: 1}}\n",
        ),
        loud=manifest("loud", "{x: [1]}", command="head -c 100000000 /dev/zero | tr '\\\\0' x"),
        closed=manifest("closed", "{x: [1]}", command="exec 0<&- 1>&- 2>&-; kill -9 $PPID; sleep 0.2"),
        harmless=manifest("harmless", "{x: [1, 2, 3]}"),
    )
    shared.wait(lambda: shared.counts("deaf").get("running") == 1)
    shared.commit(deaf=manifest("deaf", "{x: [1]}", command=IGNORE_TERM, extra="  state: Cancelled\n"))
    return shared


def told(world: Any, name: str, command: str = "task") -> dict[str, Any]:
    """What `task` or `why` tells about the one task of a sweep."""
    (task,) = world.tasks(name)
    return dict(json.loads(world.run(command, name, task, "-o", "json").stdout))


def attempts(world: Any, name: str) -> list[dict[str, Any]]:
    """All attempts of the one task of a sweep, oldest first."""
    return list(told(world, name)["attempts"])


def failed(world: Any, name: str) -> None:
    world.wait(lambda: world.counts(name).get("failed") == 1)


def test_the_harmless_one_is_not_disturbed(ends: Any) -> None:
    ends.succeeded("harmless", 3)

    assert [1, 1, 1] == sorted(count for task, count in ends.runs().items() if task.startswith("harmless "))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "it could not be started: command not found: no-such-program"),
        ("folder", "it could not be started: cannot execute /: Permission denied"),
        ("long", "it could not be started: cannot execute /bin/true: Argument list too long"),
    ],
)
def test_a_command_that_cannot_be_started(ends: Any, name: str, message: str) -> None:
    failed(ends, name)

    reason = told(ends, name, "why")

    assert ("LaunchFailure", message) == (reason["attempt"]["failureClass"], reason["attempt"]["message"])
    assert reason["hint"]


def test_a_task_beyond_its_walltime(ends: Any) -> None:
    failed(ends, "late")

    (attempt,) = attempts(ends, "late")

    assert "Timeout" == attempt["failureClass"]


def test_a_walltime_that_is_scaled_by_the_retry(ends: Any) -> None:
    ends.succeeded("late-again", 1)

    assert [1, 30] == [each["resources"]["walltimeSeconds"] for each in attempts(ends, "late-again")]


def test_exit_code_75_resumes_without_using_up_retries(ends: Any) -> None:
    ends.succeeded("resumes", 1)

    assert [75, 75, 0] == [each["exitCode"] for each in attempts(ends, "resumes")]


def test_a_task_that_prints_a_hundred_megabytes(ends: Any) -> None:
    ends.succeeded("loud", 1)

    (attempt,) = attempts(ends, "loud")

    assert 100_000_000 == (Path(attempt["directory"]) / "stdout.log").stat().st_size


def test_what_a_task_leaves_behind_is_ended_with_it(ends: Any) -> None:
    ends.succeeded("orphans", 1)

    commands = [entry / "cmdline" for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    left = [path for path in commands if _read(path) == b"sleep\x0061.25\x00"]

    assert not left


def test_a_task_that_kills_its_shim_is_lost_and_not_succeeded(ends: Any) -> None:
    ends.wait(lambda: ends.counts("closed").get("lost") == 1)


def test_a_command_that_ignores_being_asked_is_killed_when_the_grace_is_over(ends: Any) -> None:
    ends.wait(lambda: ends.counts("deaf").get("cancelled") == 1)

    task = told(ends, "deaf")
    (attempt,) = task["attempts"]
    (asked,) = [event["at"] for event in task["events"] if event["message"] == "cancelling"]
    assert 9 == attempt["signal"]
    assert 9 < (datetime.fromisoformat(attempt["endedAt"]) - datetime.fromisoformat(asked)).total_seconds() < 20


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_nothing_was_left_on_the_machine(ends: Any) -> None:
    assert 0 == len([claim for claim in ends.claims() if _alive(claim)])


def _alive(claim: dict[str, Any]) -> bool:
    name = _read(Path(f"/proc/{claim['pid']}/comm")).decode().strip()
    return name != "" and claim["eid"].startswith(name) and claim["pid"] != os.getpid()
