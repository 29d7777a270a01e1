"""What each job of a scheduler costs its node, as it starts an interpreter: CPU of a whole attempt that does nothing.

Beside a bare interpreter with the same options, in turns: from the kernel's account of ended children. `true` itself,
files, locks, claim and record are in the figure; what a scheduler's own processes cost is not.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.figures import Measured
from reconciler.agent import job, program
from reconciler.agent.place import Place
from reconciler.core.identity import batch_eid
from reconciler.core.model import Eid, InstanceId
from reconciler.core.wire import AttemptSpec
from reconciler.core.wire_json import spec_to_json
from reconciler.links.bundle import OPTIONS, agent_text

INSTANCE = InstanceId("aaaa")
STARTS = 40
QUICK_STARTS = 3
GOAL_MS = 40.0
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def measure(folder: Path, *, rounds: int, quick: bool, say: Callable[[str], None]) -> Sequence[Measured]:
    """Milliseconds of CPU above a bare interpreter, with compiled code beside the program and without."""
    starts = (QUICK_STARTS if quick else STARTS) * rounds
    root = folder / "root"
    path = program.publish(Place(str(root)), agent_text())
    batch = _stage(root, 2 * starts)
    python = [sys.executable, *OPTIONS]
    exec_ = [*python, path, "exec", str(root), batch]
    compiled, texts = Path(job.compiled_path(path)), []
    above: list[float] = []
    for number in range(starts):
        bare = _cpu_ms([*python, "-c", "pass"])
        above.append(_cpu_ms([*exec_, str(number), f"1_{number}", "0"]) - bare)
        aside = compiled.rename(folder / "aside")
        texts.append(_cpu_ms([*exec_, str(starts + number), f"1_{starts + number}", "0"]) - bare)
        aside.rename(compiled)
    ended = len(list(root.glob("attempts/*/*/exit.json")))
    if ended != 2 * starts:
        raise RuntimeError(f"only {ended} of {2 * starts} attempts have ended")
    say(f"{starts} starts in turns")
    version = ".".join(map(str, sys.version_info[:3]))
    return [
        Measured(
            what="a job of a scheduler: CPU above a bare interpreter",
            unit="ms",
            values=tuple(above),
            goal=GOAL_MS,
            note=f"Python {version}; smallest {min(above):.1f}",
        ),
        Measured(
            what="… from the text, where nothing is compiled",
            unit="ms",
            values=tuple(texts),
            note=f"smallest {min(texts):.1f}",
        ),
    ]


def _cpu_ms(argv: Sequence[str]) -> float:
    before = _used_s()
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return (_used_s() - before) * 1e3


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _stage(root: Path, count: int) -> str:
    """Attempts as a submission lays them down; returns the batch's id."""
    eids = [Eid("gaaaa" + _word(number, 10)) for number in range(count)]
    beid = batch_eid(INSTANCE, eids)
    (root / "OWNER").write_text(f"{INSTANCE}\n")
    (root / "batches" / beid).mkdir(parents=True)
    words = {"name": f"bench.{beid}", "instance": INSTANCE, "epoch": 1, "at": time.time(), "eids": eids}
    (root / "batches" / beid / "spec.json").write_text(json.dumps(words))
    for eid in eids:
        directory = root / "attempts" / eid[-2:] / eid
        directory.mkdir(parents=True)
        (directory / "spec.json").write_text(json.dumps(spec_to_json(_spec(eid))))
    return beid


def _word(number: int, length: int) -> str:
    digits = [LETTERS[number >> (5 * place) & 31] for place in reversed(range(length))]
    return "".join(digits)


def _spec(eid: Eid) -> AttemptSpec:
    return AttemptSpec(
        eid=eid,
        sweep="bench",
        task=eid,
        attempt=1,
        argv=("true",),
        environment={},
        setup=(),
        parameters={},
        cwd=None,
        checkpoint=eid,
        walltime_s=None,
        gpus=0,
        grace_s=1.0,
    )
