"""What a job starts with: compiled code beside the program, or else the program's text, in each Python."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from toy_cluster import ToyCluster

from reconciler.agent import job, program, untyped
from reconciler.agent.place import Place
from reconciler.core.wire import AttemptSpec
from reconciler.links.bundle import OPTIONS, agent_text
from tests.adapters.test_agent_pythons import pythons

PYTHONS = pythons(*range(6, 15))


@pytest.fixture
async def cluster() -> AsyncIterator[ToyCluster]:
    cluster = ToyCluster(Path(tempfile.mkdtemp(prefix="s-")))
    yield cluster
    for session in cluster.sessions:
        await session.aclose()
    shutil.rmtree(cluster.folder, ignore_errors=True)


async def submitted(cluster: ToyCluster, python: str = sys.executable) -> AttemptSpec:
    """Two attempts in the queue, by an agent in this Python; the first of them."""
    specs = cluster.specs(2)
    await cluster.submit(await cluster.open(python), specs)
    return specs[0]


def files(cluster: ToyCluster) -> tuple[Path, Path]:
    """The program for jobs, and what is compiled of it."""
    (text,) = (cluster.root / "agent").glob("*.py")
    (compiled,) = set((cluster.root / "agent").iterdir()) - {text}
    return text, compiled


def take_text_away(cluster: ToyCluster) -> None:
    """The program for jobs tells who reads its text."""
    (text,) = (cluster.root / "agent").glob("*.py")
    head = text.read_bytes().partition(job.TEXT)[0]
    text.write_bytes(head + job.TEXT + b"#raise SystemExit('the text was read')\n")


def job_of(cluster: ToyCluster, python: str = sys.executable, index: int = 0) -> list[str]:
    """The words of the job that starts an attempt on its node."""
    (batch,) = (cluster.root / "batches").iterdir()
    (text,) = (cluster.root / "agent").glob("*.py")
    return [python, *OPTIONS, str(text), "exec", str(cluster.root), batch.name, str(index), f"1_{index}", "0"]


def start(cluster: ToyCluster, python: str = sys.executable, index: int = 0) -> tuple[int, str]:
    """What the job does on its node: its exit status, and what it says."""
    ran = subprocess.run(job_of(cluster, python, index), capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stderr


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: Path(path).name)
async def test_a_job_reads_no_text_where_its_python_has_compiled_it(cluster: ToyCluster, python: str) -> None:
    spec = await submitted(cluster, python)
    take_text_away(cluster)

    assert (0, "") == start(cluster, python)

    assert cluster.ended([spec])


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: Path(path).name)
async def test_a_job_runs_from_the_text_where_nothing_is_compiled(cluster: ToyCluster, python: str) -> None:
    await submitted(cluster)
    files(cluster)[1].unlink()

    assert (0, "") == start(cluster, python, index=1)

    assert cluster.ended(cluster.specs(2)[1:])
    assert [] == [file for file in (cluster.root / "agent").iterdir() if file.suffix != ".py"]


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: Path(path).name)
async def test_the_first_job_of_a_batch_compiles_for_the_python_of_its_node(cluster: ToyCluster, python: str) -> None:
    specs = [await submitted(cluster), cluster.specs(2)[1]]
    _, compiled = files(cluster)
    compiled.write_bytes(b"odd")

    assert (0, "") == start(cluster, python)
    take_text_away(cluster)
    assert (0, "") == start(cluster, python, index=1)

    assert cluster.ended(specs)


async def test_a_task_that_goes_on_behind_a_child_that_was_ended_with_its_job_has_not_succeeded(
    cluster: ToyCluster,
) -> None:
    pids = cluster.folder / "pids"
    (spec,) = cluster.specs(1, f"sleep 60 & echo $$ $! > {pids}.new; mv {pids}.new {pids}; wait; exit 0")
    await cluster.submit(await cluster.open(), [spec])
    shim = await asyncio.create_subprocess_exec(*job_of(cluster))
    await cluster.until(pids.exists)
    task, child = map(int, pids.read_text().split())

    shim.send_signal(signal.SIGSTOP)  # who goes through a list of processes comes to it late
    os.kill(child, signal.SIGTERM)
    await cluster.until(lambda: state_of(task) == "Z")
    shim.terminate()
    shim.send_signal(signal.SIGCONT)

    assert 0 == await asyncio.wait_for(shim.wait(), 20)
    record = json.loads(cluster.file(spec.eid, "exit.json").read_text())
    assert ("cancel", 0) == (record["ended_by"], record["exit_code"])


ODD: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("empty", lambda kept: b""),
    ("torn", lambda kept: kept[: len(kept) // 2]),
    ("of zeros", lambda kept: bytes(len(kept))),
    ("with zeros at its end", lambda kept: kept[:-4096] + bytes(4096)),
    ("with bits flipped", lambda kept: kept.replace(b"/exit.json", b"/exit.jsoN")),
    ("longer", lambda kept: kept + b"\0"),
    ("whole, and no code", lambda kept: job.sealed(b"i\1\0\0\0")),
    ("whole, and none of ours", lambda kept: job.sealed(b"[\0\0\0\0")),
]


@pytest.mark.parametrize("change", [change for _, change in ODD], ids=[name for name, _ in ODD])
async def test_a_job_runs_from_the_text_where_what_is_compiled_is_odd(
    cluster: ToyCluster, change: Callable[[bytes], bytes]
) -> None:
    spec = await submitted(cluster)
    _, compiled = files(cluster)
    compiled.write_bytes(change(compiled.read_bytes()))

    assert (0, "") == start(cluster)

    assert cluster.ended([spec])


def test_what_another_build_of_python_has_compiled_is_not_read() -> None:
    names = {
        subprocess.check_output(
            [python, *OPTIONS, "-c", f"exec({job_text()!r}); print(compiled_path('/a/b.py'))"], text=True
        )
        for python in PYTHONS
    }

    assert len(PYTHONS) == len(names)


def job_text() -> str:
    return Path(job.__file__).read_text().replace("__main__", "elsewhere")


def test_what_a_job_imports_is_what_is_compiled(tmp_path: Path) -> None:
    """Else it would not notice what is missing before the claim, and read the text each time."""
    path = program.publish(Place(str(tmp_path)), agent_text())
    loads = (
        f"exec({job_text()!r}); assert load({path!r}); from reconciler_agent import execute\n"
        "assert not [name for name in sys.modules if name in ('ast', 'traceback', 'typing', 'hashlib', 'subprocess')]"
    )

    subprocess.run([sys.executable, *OPTIONS, "-c", loads], check=True)


def test_a_tuple_with_names_is_one_without_types() -> None:
    class Pair(untyped.NamedTuple):
        left: int
        right: str = "r"

        @property
        def both(self) -> str:
            return f"{self.left}{self.right}"

    pair: Any = Pair(1)

    assert ((1, "r"), "1r", (2, "r")) == (pair, pair.both, pair._replace(left=2))
    with pytest.raises(TypeError):
        Pair()


def test_the_program_is_laid_down_once_and_what_is_needed_is_kept(tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    path = program.publish(place, agent_text())
    ages = {
        file: time.time() - age for file, age in zip(sorted((tmp_path / "agent").iterdir()), (7.0, 9.0), strict=True)
    }
    (old := tmp_path / "agent" / "0123456789abcdef.cpython-36-00000000").touch()
    os.utime(old, (0, 0))
    inodes = {file: file.stat().st_ino for file in ages}
    for file, at in ages.items():
        os.utime(file, (at, at))

    assert path == program.publish(place, agent_text())

    assert inodes == {file: file.stat().st_ino for file in (tmp_path / "agent").iterdir()}
    assert all(file.stat().st_mtime > at for file, at in ages.items())


def test_no_room_for_what_is_compiled_is_no_failure(tmp_path: Path) -> None:
    path = program.publish(Place(str(tmp_path)), agent_text())
    Path(job.compiled_path(path)).unlink()
    again = (
        "import resource, sys; from reconciler.agent import program, place\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "print(program.publish(place.Place(sys.argv[1]), sys.stdin.buffer.read()))"
    )

    ran = subprocess.run([sys.executable, "-c", again, str(tmp_path)], input=agent_text(), capture_output=True)

    assert (0, path) == (ran.returncode, ran.stdout.decode().strip()), ran.stderr.decode()
    assert [Path(path)] == list((tmp_path / "agent").iterdir())
