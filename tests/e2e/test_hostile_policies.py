"""What a manifest says about order, failure, change and removal is what happens. One daemon serves them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


class Gate:
    """Tasks wait in it until it opens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.command = f"while [ ! -e {path} ]; do sleep 0.05; done"

    def open(self) -> None:
        self.path.touch()


@pytest.fixture
def gate(shared: Any, request: pytest.FixtureRequest) -> Gate:
    return Gate(shared.root / f"{request.node.name}.gate")


def total(world: Any, name: str) -> int:
    """How often tasks of a sweep ran."""
    return int(sum(count for task, count in world.runs().items() if task.startswith(f"{name} ")))


def reasons(world: Any, name: str) -> set[str]:
    """The words of a sweep's conditions that hold or not, and its summary."""
    sweep = world.sweep(name)
    return {condition["reason"] for condition in sweep.get("conditions", [])} | {sweep.get("summary", "")}


def says(world: Any, name: str, word: str) -> bool:
    return any(word in reason for reason in reasons(world, name))


def active(world: Any, name: str) -> int:
    return int(sum(world.sweep(name).get("sources", {}).values()))


def test_a_sweep_waits_for_those_that_it_depends_on(shared: Any, gate: Gate) -> None:
    shared.commit(
        before=shared.manifest("before", "{x: [1, 2]}", command=gate.command),
        after=shared.manifest("after", "{x: [1]}", extra="  dependsOn: [before]\n"),
    )
    shared.wait(lambda: says(shared, "after", "DependencyNotReady"))
    assert 0 == total(shared, "after")

    gate.open()

    shared.succeeded("after", 1)


def test_a_schedule_is_a_gate_that_opens_later(shared: Any) -> None:
    shared.commit(planned=shared.manifest("planned", "{x: [1]}", extra='  schedule: "0 0 29 2 *"\n'))
    shared.wait(lambda: says(shared, "planned", "NotScheduled"))
    assert 0 == total(shared, "planned")

    shared.commit(planned=shared.manifest("planned", "{x: [1]}"))

    shared.succeeded("planned", 1)


def test_the_higher_priority_goes_first(world: Any) -> None:
    world.configure(slots=1)
    world.commit(
        low=world.manifest("a-low", "{x: [1, 2, 3]}"),
        up=world.manifest("b-high", "{x: [1, 2, 3]}", extra="  priority: 10\n"),
    )

    assert 0 == world.run("run", "--once").returncode

    order = [line.split()[0] for line in world.log.read_text().splitlines()]
    assert ["a-low", "a-low"] == order[-2:]  # the first may have found the source alone


FAILING = "  parallelism: 1\n  maxFailures: 1\n"


def test_beyond_its_limit_of_failures_a_sweep_stalls_until_the_limit_is_raised(shared: Any) -> None:
    shared.commit(stalls=shared.manifest("stalls", "{x: [1, 2, 3, 4]}", command="false", extra=FAILING))
    shared.wait(lambda: says(shared, "stalls", "MaxFailuresReached"))
    assert (2, 2) == (shared.counts("stalls")["failed"], shared.counts("stalls")["waiting"])

    raised = FAILING.replace("maxFailures: 1", "maxFailures: 100%")
    shared.commit(stalls=shared.manifest("stalls", "{x: [1, 2, 3, 4]}", command="false", extra=raised))

    shared.wait(lambda: shared.counts("stalls").get("failed") == 4)
    assert 4 == total(shared, "stalls")


def test_a_stalled_sweep_goes_on_when_it_is_retried(shared: Any, gate: Gate) -> None:
    command = f"[ -e {gate.path} ]"
    shared.commit(mends=shared.manifest("mends", "{x: [1, 2, 3, 4]}", command=command, extra=FAILING))
    shared.wait(lambda: says(shared, "mends", "MaxFailuresReached"))

    gate.open()
    assert 0 == shared.run("retry", "mends").returncode

    shared.succeeded("mends", 4)
    assert 6 == total(shared, "mends")


def test_rerun_runs_the_succeeded_again_once(shared: Any) -> None:
    extra = "  updatePolicy: Rerun\n"
    shared.commit(rerun=shared.manifest("rerun", "{x: [1, 2]}", extra=extra))
    shared.succeeded("rerun", 2)

    shared.commit(rerun=shared.manifest("rerun", "{x: [1, 2]}", command="true again", extra=extra))

    shared.wait(lambda: total(shared, "rerun") == 4)
    shared.succeeded("rerun", 2)
    assert 4 == total(shared, "rerun")


def test_replace_cancels_what_runs_and_runs_it_anew(shared: Any) -> None:
    extra = "  updatePolicy: Replace\n"
    shared.commit(replaced=shared.manifest("replaced", "{x: [1, 2]}", command="sleep 300", extra=extra))
    shared.wait(lambda: shared.counts("replaced").get("running") == 2)

    shared.commit(replaced=shared.manifest("replaced", "{x: [1, 2]}", extra=extra))

    shared.succeeded("replaced", 2)
    assert 4 == total(shared, "replaced")


@pytest.mark.parametrize(("policy", "ran"), [("Drain", 2), ("Keep", 4)])
def test_removed_points_are_drained_or_kept(shared: Any, gate: Gate, policy: str, ran: int) -> None:
    name, extra = policy.lower(), f"  onRemove: {policy}\n  parallelism: 1\n"
    shared.commit(**{name: shared.manifest(name, "{x: [1, 2, 3]}", command=gate.command, extra=extra)})
    shared.wait(lambda: shared.counts(name).get("running") == 1)

    shared.commit(**{name: shared.manifest(name, "{x: [4]}", command=gate.command, extra=extra)})
    shared.wait(lambda: shared.sweep(name)["observedGeneration"] == 2)
    gate.open()

    shared.wait(lambda: total(shared, name) == ran and active(shared, name) == 0)
    shared.wait(lambda: shared.counts(name)["waiting"] == 0)
    assert ran == total(shared, name)


def test_a_deleted_sweep_is_cancelled_when_it_says_so(shared: Any) -> None:
    extra = "  deletionPolicy: Cancel\n"
    shared.commit(goes=shared.manifest("goes", "{x: [1, 2]}", command="sleep 300", extra=extra))
    shared.wait(lambda: shared.counts("goes").get("running") == 2)

    shared.commit(goes=None)

    shared.wait(lambda: active(shared, "goes") == 0)
    assert not [claim for claim in shared.claims() if _lives(claim) and _sweep(shared, claim) == "goes"]


def test_an_orphaned_sweep_is_let_alone(shared: Any) -> None:
    extra = "  deletionPolicy: Orphan\n"
    shared.commit(orphan=shared.manifest("orphan", "{x: [1, 2]}", command="sleep 300", extra=extra))
    shared.wait(lambda: shared.counts("orphan").get("running") == 2)

    shared.commit(orphan=None)

    shared.wait(lambda: active(shared, "orphan") == 0)
    assert 2 == len([claim for claim in shared.claims() if _lives(claim) and _sweep(shared, claim) == "orphan"])


def test_replicates_run_each_point_so_often_and_a_raise_runs_only_the_new_ones(shared: Any) -> None:
    shared.commit(again=shared.manifest("again", "{x: [1, 2]}", extra="  replicates: 3\n"))
    shared.succeeded("again", 6)

    shared.commit(again=shared.manifest("again", "{x: [1, 2]}", extra="  replicates: 4\n"))

    shared.succeeded("again", 8)
    assert 8 == total(shared, "again")


def test_more_samples_keep_the_earlier_draws(shared: Any) -> None:
    parameters = "{x: {distribution: uniform, min: 0, max: 1}, y: [1, 2]}"
    shared.commit(drawn=shared.manifest("drawn", parameters, extra="  samples: 2\n  seed: 7\n"))
    shared.succeeded("drawn", 4)
    before = shared.tasks("drawn")

    shared.commit(drawn=shared.manifest("drawn", parameters, extra="  samples: 3\n  seed: 7\n"))

    shared.succeeded("drawn", 6)
    assert before.items() <= shared.tasks("drawn").items()
    assert 6 == total(shared, "drawn")


def pinned(world: Any, count: int) -> str:
    values = list(range(count))
    command = f"sh program.sh >> {world.root}/said.log; [ -e {world.root}/program.gate ] || sleep 300"
    return str(world.manifest("pinned", f"{{x: {values}}}", command=command, extra="  parallelism: 1\n"))


def test_tasks_run_the_program_of_their_commit_until_they_are_pinned_anew(shared: Any) -> None:
    program, said, gate = shared.repository / "program.sh", shared.root / "said.log", shared.root / "program.gate"
    program.write_text(f"echo one; while [ ! -e {gate} ]; do sleep 0.05; done\n")
    shared.commit(pinned=pinned(shared, 3))
    shared.wait(said.exists)

    program.write_text("echo two\n")
    shared.commit(pinned=pinned(shared, 4))
    shared.wait(lambda: shared.counts("pinned").get("desired") == 4)
    gate.touch()
    shared.succeeded("pinned", 4)
    assert ["one"] * 4 == said.read_text().split()

    assert 0 == shared.run("reconcile", "pinned", "--repin").returncode
    shared.commit(pinned=pinned(shared, 6))
    shared.succeeded("pinned", 6)

    assert ["one"] * 4 + ["two"] * 2 == said.read_text().split()
    assert 6 == total(shared, "pinned")


def test_only_commits_count(shared: Any) -> None:
    shared.commit(draft=shared.manifest("draft", "{x: [1]}"))
    shared.succeeded("draft", 1)
    path = shared.repository / "sweeps.d/draft.yaml"
    path.write_text(shared.manifest("draft", "{x: [1, 2, 3]}"))

    plain, working = shared.run("plan", "-o", "json"), shared.run("plan", "--working-tree", "-o", "json")

    def change(text: str) -> dict[str, Any]:
        return next(sweep for sweep in json.loads(text)["sweeps"] if sweep["name"] == "draft")

    assert ("unchanged", "update") == (change(plain.stdout)["action"], change(working.stdout)["action"])
    assert (2, 2) == (working.returncode, sum(change(working.stdout)["counts"].values()) - 1)
    assert 1 == shared.counts("draft")["desired"]
    shared.git("checkout", "--quiet", "--", "sweeps.d/draft.yaml")


def _lives(claim: dict[str, Any]) -> bool:
    try:
        fields = Path(f"/proc/{claim['pid']}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    comm = Path(f"/proc/{claim['pid']}/comm").read_text().strip()
    return fields[0] != "Z" and int(fields[19]) == claim["start"] and claim["eid"].startswith(comm)


def _sweep(world: Any, claim: dict[str, Any]) -> str:
    (path,) = world.state.rglob(f"{claim['eid']}/spec.json")
    return str(json.loads(path.read_text())["sweep"])
