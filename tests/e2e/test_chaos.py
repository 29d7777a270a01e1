"""Chaos: everything is killed, stopped, copied and edited at random moments, and still nothing is lost or run twice.

The oracle is the tasks' own log and the kernel's process table. What must hold for every task, hurt or not: no attempt
starts twice, no two attempts of one task live at once, and in the end each has succeeded with the newest program. A
task that nobody has hurt or removed runs exactly as often as its program asks for.

RECONCILER_CHAOS_SEEDS=1,2,3 and RECONCILER_CHAOS_S=60 make it a longer run.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import MARK, Processes, name_of, text_of
from recount import faults

SEEDS = [int(seed) for seed in os.environ.get("RECONCILER_CHAOS_SEEDS", "11").split(",")]
CHAOS_S = float(os.environ.get("RECONCILER_CHAOS_S", "18"))
CONVERGE_S = 75.0
SLOTS = 4
PLAIN = 50  # values of `n`, each with three lengths
LENGTHS = (0.01, 0.05, 0.5)
RETRIED = 12
TURNED = 6


class Chaos:
    """One world under attack: `plain` succeeds, `retried` fails once, `turned` gets new programs, and leaves."""

    def __init__(self, world: Any, seed: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.processes = Processes(world.root)
        self.root = world.root / "root"
        self.log = world.root / "tasks.log"
        self.values = list(range(PLAIN))
        self.parallelism = 8
        self.state = "Active"
        self.turn = 1  # the program of `turned`; 0: its manifest is away
        self.pace_s = self.dice.choice([0.2, 0.5, 1.0])  # between two attacks, at most
        self.removed: set[tuple[str, int]] = set()  # ("plain", value) of values that ever left
        self.hurt: set[tuple[str, str]] = set()  # (sweep, task) whose shim or process was killed
        self.story: list[str] = []
        (world.root / "marks").mkdir()
        self.configure()
        self.push()

    # -- the world

    def configure(self) -> None:
        self.world.configure(slots=SLOTS)
        text = self.world.config.read_text()
        self.world.config.write_text(text.replace(f"slots: {SLOTS}}}", f"slots: {SLOTS}, root: {self.root}}}"))

    def push(self) -> None:
        self.world.commit(
            plain=self._manifest(
                "plain",
                f"{{n: {self.values}, d: {list(LENGTHS)}}}",
                "$(n)",
                "sleep $(d)",
                f"  parallelism: {self.parallelism}\n  state: {self.state}\n",
            ),
            retried=self._manifest(
                "retried",
                f"{{n: {list(range(RETRIED))}}}",
                "$(n)",
                f"sleep 0.1; mkdir {self.world.root}/marks/$(n) 2>/dev/null && exit 3; true",
                "  parallelism: 2\n",
            ),
            **({"turned": self._turned()} if self.turn else self._away()),
        )

    def _turned(self) -> str:
        extra = "  updatePolicy: Replace\n  parallelism: 3\n"
        return self._manifest("turned", f"{{n: {list(range(TURNED))}}}", f"$(n) {self.turn}", "sleep 0.4", extra)

    def _away(self) -> dict[str, None]:
        return {"turned": None} if (self.world.repository / "sweeps.d/turned.yaml").exists() else {}

    def _manifest(self, name: str, parameters: str, value: str, command: str, extra: str) -> str:
        line = f"$RECONCILER_SWEEP $RECONCILER_TASK $RECONCILER_ATTEMPT {value}"
        script = f'echo "{line}" >> {self.log}; {command}'
        return (
            f"apiVersion: reconciler/v1alpha1\nkind: Sweep\nmetadata: {{name: {name}}}\nspec:\n"
            f"  command: [sh, -c, {json.dumps(script)}]\n  parameters: {parameters}\n"
            f"  retry: {{limit: 8, backoff: {{duration: 1s, factor: 1}}}}\n{extra}"
        )

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []

    # -- attacks

    def attacks(self) -> list[Callable[[], None]]:
        often = [self.kill_daemon, self.stop_daemon, self.kill_agent, self.kill_shims, self.kill_tasks]
        edits = [self.remove, self.remove, self.bring_back, self.bring_back, self.squeeze, self.pause]
        rare = [self.hide_repository, self.freeze_daemon, self.freeze_agent, self.take_over, self.go_back, self.leave]
        return [*often, *edits, *rare, self.turn_over]

    def kill_daemon(self) -> None:
        self.world.kill()
        self.pass_time(0.5)
        self.world.start()

    def stop_daemon(self) -> None:
        assert self.world.stop() in (0, -signal.SIGTERM)  # the latter while it has hardly begun
        self.world.start()

    def kill_agent(self) -> None:
        pid = self.agent()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def agent(self) -> int | None:
        """The newest agent, by the epoch that it won."""
        epochs = sorted((self.root / "epoch").glob("[0-9]*[0-9]"), key=lambda path: int(path.name))
        pid = int(json.loads(epochs[-1].read_text())["pid"]) if epochs else 0
        return pid if any(pid == each for each, _ in self.processes.all()) else None

    def kill_shims(self) -> None:
        """Stopped first, so that it is certain which attempt is hurt."""
        for pid, _ in self.some(self.processes.shims(), 10):
            os.kill(pid, signal.SIGSTOP)
            eid = name_of(pid)
            spec = self.root / "attempts" / eid[-2:] / eid / "spec.json"
            with contextlib.suppress(OSError, ValueError):
                body = json.loads(spec.read_text())
                self.hurt.add((body["sweep"], body["task"]))
            os.kill(pid, signal.SIGKILL)

    def kill_tasks(self) -> None:
        for pid, env in self.some(self.processes.tasks(), 2):
            self.hurt.add((env["RECONCILER_SWEEP"], env["RECONCILER_TASK"]))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        gone = set(self.dice.sample(self.values, min(len(self.values), self.dice.randint(1, 8))))
        self.removed |= {("plain", value) for value in gone}
        self.values = [value for value in self.values if value not in gone]
        self.push()

    def bring_back(self) -> None:
        missing = sorted(set(range(PLAIN + 10)) - set(self.values))
        self.values += self.dice.sample(missing, min(len(missing), self.dice.randint(1, 8)))
        self.dice.shuffle(self.values)
        self.push()

    def squeeze(self) -> None:
        self.parallelism = self.dice.randint(1, 8)
        self.push()

    def turn_over(self) -> None:
        self.turn += 1
        self.push()

    def leave(self) -> None:
        turn, self.turn = self.turn, 0
        self.push()
        self.pass_time(1.5)
        self.turn = turn
        self.push()

    def pause(self) -> None:
        self.state = "Paused"
        self.push()
        self.pass_time(1.0)
        self.state = "Active"
        self.push()

    def hide_repository(self) -> None:
        hidden = self.world.root / "hidden"
        self.world.repository.rename(hidden)
        self.pass_time(1.5)
        hidden.rename(self.world.repository)

    def freeze_daemon(self) -> None:
        daemon = self.world._daemon
        daemon.send_signal(signal.SIGSTOP)
        self.pass_time(1.5)
        daemon.send_signal(signal.SIGCONT)

    def freeze_agent(self) -> None:
        pid = self.agent()
        if pid is not None:
            os.kill(pid, signal.SIGSTOP)
            self.pass_time(1.5)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def take_over(self) -> None:
        """A copy of the state goes on while the original is frozen; then the original wakes, and must do nothing."""
        old: subprocess.Popen[bytes] = self.world._daemon
        self.go_on_with(self.copy())
        self.pass_time(3)
        old.send_signal(signal.SIGCONT)
        self.pass_time(2)
        old.kill()
        old.wait()

    def go_back(self) -> None:
        """The state is put back from a backup that knows nothing of the last seconds."""
        backup = self.copy()
        self.world._daemon.send_signal(signal.SIGCONT)
        self.pass_time(3)
        self.world.kill()
        self.go_on_with(backup)

    def copy(self) -> Path:
        """Of the state; the daemon is frozen from now on."""
        self.world.wait((self.root / "OWNER").exists)  # before that nothing is worth a copy
        self.world._daemon.send_signal(signal.SIGSTOP)
        copy: Path = self.world.root / f"state{len(self.story)}"
        with contextlib.suppress(shutil.Error):  # a git that was not frozen takes its temporary files away
            shutil.copytree(self.world.state, copy, symlinks=True)
        return copy

    def go_on_with(self, state: Path) -> None:
        self.world.state = state
        self.configure()
        self.world.start()

    def some(self, found: Any, most: int) -> list[Any]:
        found = list(found)
        return self.dice.sample(found, min(len(found), self.dice.randint(1, most)))

    def pass_time(self, most_s: float) -> None:
        end = time.monotonic() + self.dice.uniform(0, most_s)
        while time.monotonic() < end:
            self.processes.watch()
            time.sleep(0.02)

    # -- the whole

    def rage(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.world.start()
        while time.monotonic() < end:
            self.pass_time(self.pace_s)
            attack = self.dice.choice(self.attacks())
            self.story.append(attack.__name__)
            attack()

    def settle(self) -> None:
        """No more attacks: everything comes to its end."""
        self.state, self.parallelism = "Active", 8
        self.push()
        end = time.monotonic() + CONVERGE_S
        while not self.settled() and time.monotonic() < end:
            self.pass_time(0.2)

    def settled(self) -> bool:
        head = self.world.git("rev-parse", "HEAD")
        told = self.world.status()
        sweeps = {sweep["name"]: sweep["tasks"] for sweep in told["sweeps"] if not sweep["sources"]}
        open_ = sum(tasks[phase] for tasks in sweeps.values() for phase in ("waiting", "queued", "running"))
        desired = {name: tasks["desired"] for name, tasks in sweeps.items()}
        wanted = {"plain": len(self.values) * len(LENGTHS), "retried": RETRIED, "turned": TURNED}
        return told["revision"] == head and not open_ and desired == wanted


@pytest.mark.timeout(CHAOS_S + CONVERGE_S + 60)
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_no_task_is_lost_and_none_runs_twice(
    world: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARK, str(world.root))
    chaos = Chaos(world, seed)
    try:
        _ordeal(chaos)
    finally:
        chaos.processes.close()


def _ordeal(chaos: Chaos) -> None:
    world = chaos.world
    chaos.rage(CHAOS_S)
    chaos.settle()
    story = " ".join(chaos.story)
    assert chaos.settled(), (
        f"never settled after: {story}\n{world.status()}\n{text_of(world.root / 'daemon.log')[-3000:]}"
    )
    assert world.stop() == 0
    time.sleep(0.5)
    _judge(chaos, story)


def _judge(chaos: Chaos, story: str) -> None:
    world, lines = chaos.world, chaos.lines()
    started = Counter((sweep, task, attempt) for sweep, task, attempt, *_ in lines)
    runs = Counter((sweep, task) for sweep, task, *_ in lines)
    spared = {
        (sweep, task, 1 if sweep == "plain" else 2)
        for sweep, task, _, value, *_ in lines
        if sweep != "turned" and (sweep, task) not in chaos.hurt and (sweep, int(value)) not in chaos.removed
    }
    newest = {task: int(words[1]) for sweep, task, _, *words in lines if sweep == "turned"}
    desired = {("plain", value) for value in chaos.values} | {("retried", value) for value in range(RETRIED)}

    assert [] == [attempt for attempt, count in started.items() if count > 1], story
    assert set() == chaos.processes.doubled, story
    assert [] == [(sweep, task, runs[sweep, task]) for sweep, task, n in spared if runs[sweep, task] != n], story
    assert desired <= {(sweep, int(value)) for sweep, _, _, value, *_ in lines}, story
    assert [chaos.turn] * TURNED == list(newest.values()), story
    assert (RETRIED, TURNED) == (world.counts("retried")["succeeded"], world.counts("turned")["succeeded"]), story
    assert world.counts("plain")["desired"] == world.counts("plain")["succeeded"] + _given_up(chaos), story
    assert [] == faults(world.state), story
    assert [] == chaos.processes.left(), story
    assert chaos.processes.most["retried"] <= 2, story
    assert chaos.processes.most["turned"] <= 3, story


def _given_up(chaos: Chaos) -> int:
    """Tasks that were hurt while they were not desired: they failed, and were not to be tried again."""
    lines = chaos.lines()
    both = chaos.hurt & {(sweep, task) for sweep, task, _, value, *_ in lines if (sweep, int(value)) in chaos.removed}
    counts = chaos.world.counts("plain")
    failed = counts.get("failed", 0) + counts.get("lost", 0)
    return failed if failed <= len(both) else -1
