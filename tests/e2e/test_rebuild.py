"""The state is deleted, garbled or put back from a copy at any moment: the same rows come back, nothing is doubled.

A real daemon with tasks that succeed, fail, are tried again, are cancelled and run on is killed; its state is lost;
`reconciler rebuild` makes it anew, and is compared with what the daemon had known; then the daemon goes on. At the end
the tasks' own log says how often each has run.

RECONCILER_REBUILD_SEEDS=1,2,3 and RECONCILER_REBUILD_MOMENTS=50 make it a longer run.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import state_damage
from processes import MARK, Processes
from recount import faults

SEEDS = [int(seed) for seed in os.environ.get("RECONCILER_REBUILD_SEEDS", "3").split(",")]
MOMENTS = int(os.environ.get("RECONCILER_REBUILD_MOMENTS", "11"))
SOURCES = "{a: {scheduler: process, slots: 3}, b: {scheduler: process, slots: 3}}"
PLAIN = 40
LENGTHS = (0.01, 0.4)
RETRIED = 8
DOOMED = 4
LONG = 4
LONG_S = 6
SAME = (
    "eid", "source", "digest", "phase", "nonce", "started_at", "ended_at", "exit_code", "signal", "cpu_s",
    "max_rss_mib", "gpus", "directory", "failure",
)  # fmt: skip
BUDGET = ("phase", "attempts", "failures", "uncounted", "digest", "succeeded", "source", "scale")
AFTER = {  # what an attempt may have become while nobody looked
    "queued": {"queued", "running", "succeeded", "failed", "cancelled"},
    "running": {"running", "succeeded", "failed", "cancelled"},
}


class Ordeal:
    """One world that loses its state again and again."""

    def __init__(self, world: Any, seed: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.processes = Processes(world.root)
        self.values = list(range(PLAIN // 2))
        self.removed: set[int] = set()
        self.story: list[str] = []
        self.compared: Counter[str] = Counter()  # attempts and tasks that were found to be the same
        self.ever: set[Any] = set()  # every attempt that any state knew
        self.kept: list[Path] = []
        (world.root / "marks").mkdir()
        self.push()

    # -- the world

    def push(self) -> None:
        marks = f"{self.world.root}/marks"
        retry = "  retry: {limit: 3, backoff: {duration: 1s, factor: 1}}\n"
        pinned = "  updatePolicy: Rerun\n"  # whoever loses a pin runs everything again
        self.world.commit(
            plain=self.world.manifest(
                "plain", f"{{n: {self.values}, d: {list(LENGTHS)}}}", command="sleep $(d)", extra=pinned
            ),
            retried=self.world.manifest(
                "retried",
                f"{{n: {list(range(RETRIED))}}}",
                command=f"sleep 0.2; mkdir {marks}/$(n) 2>/dev/null && exit 3; true",
                extra=retry + pinned,
            ),
            doomed=self.world.manifest(
                "doomed",
                f"{{n: {list(range(DOOMED))}}}",
                command="exit 4",
                extra="  retry: {limit: 1, backoff: {duration: 1s, factor: 1}}\n" + pinned,
            ),
            long=self.world.manifest(
                "long", f"{{n: {list(range(LONG))}}}", command=f"sleep {LONG_S}", extra="  parallelism: 1\n" + pinned
            ),
        )

    def edit(self) -> None:
        """Points leave and come; whatever runs of them is cancelled."""
        if self.dice.random() < 0.5:
            gone = set(self.dice.sample(self.values, min(len(self.values), self.dice.randint(1, 4))))
            self.removed |= gone
            self.values = [value for value in self.values if value not in gone]
        missing = sorted(set(range(PLAIN)) - set(self.values))
        self.values += self.dice.sample(missing, min(len(missing), self.dice.randint(0, 4)))
        self.push()

    def pass_time(self, most_s: float) -> None:
        end = time.monotonic() + self.dice.uniform(0.1, most_s)
        while time.monotonic() < end:
            self.processes.watch()
            time.sleep(0.02)

    # -- a moment

    def moment(self, number: int) -> None:
        self.world.start()
        self.world.wait(lambda: "http" in {path.name for path in self.world.state.glob("http")})
        if self.dice.random() < 0.6:
            self.edit()
        self.pass_time(1.5)
        self.world.kill()
        (self.world.state / "http").unlink(missing_ok=True)
        if self.dice.random() < 0.4:
            self.kept.append(state_damage.keep(self.world.state))
        before = state_damage.rows(self.world.state)
        self.ever |= before[0].keys()
        if number % 4 == 3 and self.kept:
            self.story.append("put back")
            state_damage.put_back(self.dice.choice(self.kept), self.world.state)
            return
        damage = self.dice.choice(state_damage.DAMAGES)
        self.story.append(damage.__name__)
        damage(self.world.state, self.dice)
        self.rebuild()
        self.compare(before, state_damage.rows(self.world.state))

    def rebuild(self) -> None:
        done = self.world.run("rebuild", "-o", "json")
        if "[StateIsWhole]" in done.stderr:  # what was hit meant nothing
            self.story.append("in vain")
            done = self.world.run("rebuild", "--force", "-o", "json")
        assert 0 == done.returncode, f"{self.story}: {done.stderr}"
        told = json.loads(done.stdout)
        assert ([], []) == (told["strangers"], told["doubled"]), self.story

    def compare(
        self,
        before: tuple[Mapping[Any, Any], Mapping[Any, Any]],
        after: tuple[Mapping[Any, Any], Mapping[Any, Any]],
    ) -> None:
        """What had ended is the same again; what had not may have gone on; nothing is there that was not."""
        for key, attempt in before[0].items():
            self._compare_attempt(key, attempt, after[0].get(key))
        assert set() == after[0].keys() - self.ever, self.story
        for key, task in before[1].items():
            old, new = _of(before[0], key), _of(after[0], key)
            if old and old == new and task["standing"] == after[1][key]["standing"] == "desired":
                assert _chosen(task, BUDGET) == _chosen(after[1][key], BUDGET), (self.story, key)
                self.compared["tasks"] += 1

    def _compare_attempt(self, key: Any, before: Any, after: Any) -> None:
        if before["phase"] in AFTER:
            assert after is None or after["phase"] in AFTER[before["phase"]], (self.story, key, after)
            assert after is not None or before["phase"] == "queued", (self.story, key)
        elif before["nonce"] is not None:
            assert after is not None, (self.story, key)
            assert _chosen(before, SAME) == _chosen(after, SAME), (self.story, key)
            self.compared["attempts"] += 1
        elif after is not None:  # it was revoked before it started: known again if its task is
            assert ("cancelled", before["eid"]) == (after["phase"], after["eid"]), (self.story, key)
            self.compared["revoked"] += 1

    # -- the end

    def settle(self) -> None:
        self.values = list(range(PLAIN))
        self.push()
        self.world.start()
        wanted = {"plain": PLAIN * len(LENGTHS), "retried": RETRIED, "long": LONG}
        self.world.wait(
            lambda: (
                all(self.world.counts(name).get("succeeded") == count for name, count in wanted.items())
                and self.world.counts("doomed").get("failed") == DOOMED
                and not any(sweep["sources"] for sweep in self.world.status()["sweeps"])
            ),
            timeout_s=90,
        )

    def figures(self) -> dict[str, int]:
        """What was really done."""
        done = Counter(f"states lost ({how})" for how in self.story if how != "in vain")
        return dict(done) | {f"{what} the same again": count for what, count in self.compared.items()}

    def judge(self) -> None:
        lines = [line.split() for line in self.world.log.read_text().splitlines()]
        tasks = {name: self.world.tasks(name) for name in ("plain", "retried", "doomed", "long")}
        runs = Counter((sweep, task) for sweep, task, _ in lines)
        expected = {"plain": 1, "retried": 2, "doomed": 2, "long": 1}
        wrong = [
            (name, task, runs[name, task])
            for name, points in tasks.items()
            for task, point in points.items()
            if not (name == "plain" and point["n"] in self.removed) and runs[name, task] != expected[name]
        ]
        assert [] == [each for each, count in Counter(map(tuple, lines)).items() if count > 1], self.story
        assert [] == wrong, self.story
        assert set() == self.processes.doubled, self.story
        assert [] == [each for each in runs if each[1] not in tasks[each[0]]], self.story
        assert [] == faults(self.world.state), self.story


def _of(attempts: Mapping[Any, Any], key: tuple[str, str]) -> dict[int, str]:
    """The phases of a task's attempts, while none of them is open."""
    phases = {number: row["phase"] for (*name, number), row in attempts.items() if tuple(name) == key}
    return {} if AFTER.keys() & set(phases.values()) else phases


def _chosen(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names}


@pytest.mark.timeout(MOMENTS * 12 + 150)
@pytest.mark.parametrize("seed", SEEDS)
def test_whenever_the_state_is_lost_the_same_rows_come_back_and_nothing_is_doubled(
    world: Any, seed: int, monkeypatch: pytest.MonkeyPatch, figures: Counter[str]
) -> None:
    monkeypatch.setenv(MARK, str(world.root))
    world.config.write_text(world.config.read_text().replace("{local: {scheduler: process, slots: 4}}", SOURCES))
    ordeal = Ordeal(world, seed)
    try:
        for number in range(MOMENTS):
            ordeal.moment(number)
        ordeal.settle()
        ordeal.judge()
        figures.update({f"rebuild: {name}": count for name, count in ordeal.figures().items()})
        assert ordeal.compared["attempts"] > MOMENTS
        assert ordeal.compared["tasks"] > MOMENTS
    finally:
        ordeal.processes.close()
        shutil.rmtree(world.root, ignore_errors=True)
