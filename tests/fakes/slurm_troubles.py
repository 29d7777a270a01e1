"""What is done to a cluster of the tests beyond what its daemons bear: it forgets, comes back old, loses nodes.

A controller keeps what it knows in a folder, and writes there every five seconds. One that finds it empty knows of no
job, and gives the same numbers out again; one that finds it as it was a while ago does the same with all that came
since. Nodes tell it of jobs that it does not know, and are told to end them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.fakes.slurm_lab import SlurmLab

SOMEBODY = "somebody"


def stranger(lab: SlurmLab, *words: str, script: str = "sleep 300") -> str:
    """Somebody else's array of one, whose elements have ids like ours; returns its number."""
    array = ("--array=0-0", "-J", SOMEBODY, "-o", "/dev/null")
    return lab.run("sbatch", "--parsable", *array, *words, "--wrap", script).strip()


def until(true: Callable[[], object], timeout_s: float = 40.0) -> None:
    """Wait for what a cluster does. Whatever else this process has to do waits, too."""
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, f"not within {timeout_s:g} s"
        time.sleep(0.05)


def state_of(lab: SlurmLab, job: str) -> str:
    """What the controller says of it, also for a while after its end; "" when it does not know it."""
    rows = lab.run("squeue", "-h", "-r", "--states=all", "-o", "%i|%A|%T").splitlines()
    return next((state for element, whole, state in (row.split("|") for row in rows) if job in (element, whole)), "")


def elements(lab: SlurmLab) -> Mapping[str, str]:
    """The name of each job in the queue."""
    rows = lab.run("squeue", "-h", "-r", "-o", "%i %j").splitlines()
    return {job: name for job, _, name in (row.partition(" ") for row in rows)}


def forget(lab: SlurmLab, *, next_id: str) -> None:
    """The controller dies, and with it all that it had saved; this is the number of the next job.

    What ran is ended by its node, which is told to: whoever got its number before that would be ended with it, and
    whoever gets it soon after does not start there.
    """
    lab.kill_controller()
    _renumber(lab, next_id)
    shutil.rmtree(lab.folder / "state")
    (lab.folder / "state").mkdir()
    _up(lab)
    until(lambda: not any(_living(lab, node) for node in lab.nodes))
    lab.renew_nodes()
    lab.until_idle()


def keep(lab: SlurmLab) -> Path:
    """A copy of all that the controller knows now."""
    lab.kill_controller(signal.SIGTERM)
    copy = Path(tempfile.mkdtemp(prefix="state-", dir=lab.folder)) / "state"
    shutil.copytree(lab.folder / "state", copy)
    _up(lab)
    return copy


def put_back(lab: SlurmLab, copy: Path) -> None:
    """The controller dies, and comes back with what it knew when the copy was made."""
    lab.kill_controller()
    shutil.rmtree(lab.folder / "state")
    shutil.copytree(copy, lab.folder / "state")
    _up(lab)


def _up(lab: SlurmLab) -> None:
    lab.start_controller()
    lab.until_it_answers()
    lab.until_idle()


def _renumber(lab: SlurmLab, first: str) -> None:
    file = lab.folder / "slurm.conf"
    text = re.sub(r"^FirstJobId=.*\n", "", file.read_text(), flags=re.MULTILINE)
    file.write_text(f"FirstJobId={lab.first_id(first)}\n{text}")


@contextlib.contextmanager
def closed(lab: SlurmLab) -> Iterator[None]:
    """Nothing starts meanwhile."""
    lab.run("scontrol", "update", "partitionname=main", "state=down")
    try:
        yield
    finally:
        lab.run("scontrol", "update", "partitionname=main", "state=up")


def freeze(lab: SlurmLab, node: str) -> None:
    """The node's slurmd answers nobody any more, as behind a cut network; what runs there goes on."""
    lab._children[f"slurmd.{node}"].send_signal(signal.SIGSTOP)


def thaw(lab: SlurmLab, node: str) -> None:
    """It is heard again."""
    lab._children[f"slurmd.{node}"].send_signal(signal.SIGCONT)


def die(lab: SlurmLab, node: str) -> None:
    """The machine of a node goes, at once: its slurmd, what that has started, and our tasks."""
    lab.kill_node(node)
    while pids := _living(lab, node):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _living(lab: SlurmLab, node: str) -> set[int]:
    """Processes of jobs on this node, and what had started them."""
    conf, name = f"SLURM_CONF={lab.folder}/slurm.conf".encode(), f"SLURMD_NODENAME={node}".encode()
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            words = (entry / "environ").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if conf in words and name in words and _state(int(entry.name)) != "Z":
                found |= {int(entry.name), *_steps_above(int(entry.name))}
    return found


def _steps_above(pid: int) -> Iterator[int]:
    """The slurmstepd that it is a child of, if it lives."""
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    if parent > 1 and Path(f"/proc/{parent}/comm").read_text().startswith("slurmstepd"):
        yield parent


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
