"""Results of another machine, a real sshd, come here whole, whoever is killed and whatever is full meanwhile.

What lies there is the oracle: byte by byte the same lies here, for each attempt that has ended.
"""

from __future__ import annotations

import getpass
import json
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.store import Reader
from tests.e2e.conftest import World
from tests.fakes.ssh_lab import SshHost, SshLab

pytestmark = pytest.mark.real("openssh-server")

NAMES = {"stdout.log": "stdout.log", "exit.json": "exit.json", "metrics.json": "output/metrics.json"}


class FarWorld(World):
    """Its one source is another machine."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        super().__init__(root)
        self.ssh = SshLab(root.parent / "ssh")
        self.host: SshHost = self.ssh.host("far")
        self.results = root / "results"
        self.write_config()

    def write_config(self) -> None:
        far = {
            "scheduler": "process",
            "host": f"ssh://{getpass.getuser()}@127.0.0.1:{self.host.port}",
            "identityFile": str(self.ssh.identity),
            "knownHosts": str(self.ssh.known_hosts),
            "sshConfig": str(self.ssh.config),
            "root": str(self.state / "far"),
            "slots": 4,
        }
        document = {
            "repository": {"url": str(self.repository), "interval": "1s"},
            "sources": {"far": far},
            "state": {"dir": str(self.state)},
            "results": {"dir": str(self.results)},
            "http": {"listen": "127.0.0.1:0"},
        }
        self.config.write_text(json.dumps(document))

    def commit_writers(self, sizes: str) -> None:
        """Tasks that write so many bytes, no two the same."""
        command = 'head -c $(size) /dev/urandom; echo \\"{}\\" > $RECONCILER_OUTPUT/metrics.json'
        self.commit(s=self.manifest("s", f"{{size: {sizes}}}", command=command.replace("\\", "")))

    def to_collect(self) -> int | None:
        """None: nothing is known so far."""
        sources = self.status()["sources"]
        return sources[0]["uncollected"] if sources else None

    def condition(self, kind: str) -> str:
        for source in self.status()["sources"]:
            for each in source["conditions"]:
                if each["type"] == kind:
                    return str(each["reason"])
        return ""

    def uncollected(self) -> int:
        reader = Reader.open(self.state)
        try:
            return sum(reader.uncollected_counts().values())
        finally:
            reader.close()

    def differences(self) -> list[str]:
        """Files that do not lie here as they lie there."""
        found = []
        for record in (self.state / "far").glob("attempts/*/*/exit.json"):
            spec = json.loads((record.parent / "spec.json").read_text())
            here = self.results / spec["sweep"] / "tasks" / spec["task"] / "attempts" / str(spec["attempt"])
            for name, there in NAMES.items():
                if not (here / name).exists() or (here / name).read_bytes() != (record.parent / there).read_bytes():
                    found.append(str(here / name))
        return found

    def close(self) -> None:
        super().close()
        self.ssh.close()


@pytest.fixture
def world() -> Iterator[FarWorld]:
    folder = Path(tempfile.mkdtemp(prefix="rf-"))
    world = FarWorld(folder / "w")
    yield world
    world.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(180)
def test_daemon_and_line_are_killed_again_and_again_while_results_come(world: FarWorld) -> None:
    dice = random.Random(7)
    world.commit_writers("{range: {start: 1, stop: 1500001, step: 100000}}")
    world.start()
    world.wait(lambda: world.counts("s").get("succeeded", 0) >= 1, 60)

    for _ in range(6):
        time.sleep(dice.uniform(0.3, 1.5))
        if dice.random() < 0.6:
            world.kill()
            world.start()
        else:
            world.host.cut()

    world.succeeded("s", 15, 90)
    world.wait(lambda: world.uncollected() == 0, 60)
    assert [] == world.differences()
    assert [] == [path for path in world.results.rglob(".*") if path.is_file()]
    assert {1} == set(world.runs().values())


@pytest.mark.timeout(120)
def test_run_once_ends_when_the_results_lie_here(world: FarWorld) -> None:
    world.commit_writers("[10, 200000]")

    done = world.run("run", "--once", timeout_s=60)

    assert (0, []) == (done.returncode, world.differences()), done.stderr
    (task, _) = world.tasks("s")
    assert f"tasks/{task}/attempts/1/stdout.log" in world.run("logs", "s", task, "-o", "json").stdout


@pytest.mark.mounts
@pytest.mark.timeout(180)
def test_a_full_disk_here_is_told_stops_no_task_and_loses_nothing(world: FarWorld) -> None:
    world.mount(world.results, "size=1m")
    world.commit_writers("[400001, 400002, 400003, 400004]")
    world.start()

    world.wait(lambda: world.condition("CollectFailed") == "ResultsDiskFull", 60)
    world.succeeded("s", 4)
    world.commit_writers("[400001, 400002, 400003, 400004, 5]")
    world.succeeded("s", 5)
    assert 0 < world.uncollected()

    subprocess.run(["mount", "-o", "remount,size=64m", str(world.results)], check=True)
    world.wait(lambda: world.uncollected() == 0, 90)
    world.wait(lambda: world.condition("CollectFailed") == "" and world.to_collect() == 0)
    assert [] == world.differences()
