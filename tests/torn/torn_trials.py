"""One cycle of a whole daemon, from a commit to recorded and acknowledged ends, in which one call fails.

What must come of it: the daemon goes on, or ends with a message for a person; once the fault is gone, and it is started
again, everything is done, and no attempt has run twice, by the tasks' own log.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Timer

import nursery
from git_repository import GitRepository
from recount import faults as recounted
from torn_tap import ECHO, SHORT, Tap, library

from reconciler.core.model import SweepName
from reconciler.store import Reader

ROLES = ("nursery.py", "-I -S -X utf8")
DAEMON, AGENT = 0, 1
ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EDQUOT": errno.EDQUOT, "EMFILE": errno.EMFILE, "SHORT": SHORT}
OF_SERVERS = {"ESTALE": errno.ESTALE, "ECHO": ECHO}  # what file servers add to them
SWEEP = SweepName("s")
TASKS = 2
ENDS = (0, 1, 2)  # all is done; an error, told; something is left
RESTARTS = 4
LASTS_S = 2.0
MANIFEST = """
apiVersion: reconciler/v1alpha1
kind: Sweep
metadata: {name: s}
spec:
  command: [sh, -c, 'echo "$RECONCILER_TASK $RECONCILER_ATTEMPT" >> "$TORN_LOG"']
  parameters: {x: [1, 2]}
  retry: {limit: 2, backoff: {duration: 1s}}
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """The call number `call` of a role fails; `lasting`: and all after it, for LASTS_S."""

    role: int
    call: int
    error: str
    lasting: bool = False

    def __str__(self) -> str:
        return f"{('daemon', 'agent')[self.role]} call {self.call}{' and on' if self.lasting else ''}: {self.error}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a cycle."""

    fault: Fault | None
    hit: str  # the call that failed, "" if none did
    wrong: list[str]
    codes: list[int]  # of the daemon's lives
    counts: tuple[int, ...]
    stories: tuple[str, ...]
    said: str


class Nursery:
    """One that runs, with the tap loaded."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, nursery.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "LD_PRELOAD": str(library())},
            text=True,
        )

    def wait(self) -> None:
        """Until it has imported everything."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline()

    def run(self, words: list[str], environment: dict[str, str], output: Path) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"words": words, "environment": environment, "output": str(output)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


class Laboratory:
    """A repository that all cycles read, and nurseries for as many at a time."""

    def __init__(self, folder: Path, nurseries: int) -> None:
        self._folder = folder
        self.origin = GitRepository(folder / "origin")
        self.origin.write("sweeps.d/s.yaml", MANIFEST)
        self.origin.commit(None)
        self._idle: SimpleQueue[Nursery] = SimpleQueue()
        self._all = [Nursery() for _ in range(nurseries)]
        for each in self._all:
            each.wait()
            self._idle.put(each)

    def close(self) -> None:
        for each in self._all:
            each.close()

    def configuration(self, state: Path, results: Path) -> str:
        return (
            f"repository: {{url: {self.origin.directory}, branch: main, path: sweeps.d, interval: 1s}}\n"
            "sources: {local: {scheduler: process, slots: 1}}\n"
            f"state: {{dir: {state}}}\nresults: {{dir: {results}}}\n"
        )

    @contextmanager
    def nursery(self) -> Iterator[Nursery]:
        """One that is free."""
        nursery = self._idle.get()
        try:
            yield nursery
        finally:
            self._idle.put(nursery)

    def outcomes(self, faults: list[Fault]) -> Iterator[Outcome]:
        """As they come, several at a time."""
        with ThreadPoolExecutor(len(self._all)) as pool:
            yield from pool.map(self.outcome, faults)

    def outcome(self, fault: Fault | None) -> Outcome:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            with self.nursery() as nursery, Tap(folder / "state", ROLES) as tap:
                return Cycle(self, nursery, folder, tap).outcome(fault)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Cycle:
    """One world, in which a daemon works until all is done."""

    def __init__(self, laboratory: Laboratory, nursery: Nursery, folder: Path, tap: Tap) -> None:
        self._nursery = nursery
        self._tap = tap
        self._output = folder / "said"
        self._log = folder / "log"
        self.state = folder / "state"
        self._config = folder / "reconciler.yaml"
        self._config.write_text(laboratory.configuration(self.state, folder / "results"))

    def outcome(self, fault: Fault | None) -> Outcome:
        if fault is not None:
            last = 1 << 40 if fault.lasting else fault.call
            self._tap.arm(fault.role, fault.call, last, (ERRORS | OF_SERVERS)[fault.error])
        lifted = Timer(LASTS_S, self._tap.arm)
        if fault is not None and fault.lasting:
            lifted.start()
        codes = [self._live()]
        lifted.cancel()
        hit, counts = self._tap.what, self._tap.counts
        stories = tuple(self._tap.story(role) for role in (DAEMON, AGENT))
        self._tap.arm()
        while (codes[-1] or not self._done()) and len(codes) <= RESTARTS:
            codes.append(self._live())
        said = self._output.read_text(errors="replace") if self._output.exists() else ""
        return Outcome(fault, hit, list(self._wrong(codes, said)), codes, counts, stories, said)

    def _live(self) -> int:
        environment = self._tap.environment() | {"TORN_LOG": str(self._log)}
        return self._nursery.run(["--config", str(self._config), "run", "--once"], environment, self._output)

    def _done(self) -> bool:
        return self._phases() == {"succeeded": TASKS}

    def _phases(self) -> dict[str, int]:
        if not (self.state / "state.db").exists():
            return {}
        reader = Reader.open(self.state)
        try:
            return Counter(task.phase.value for task in reader.tasks(SWEEP, limit=100))
        finally:
            reader.close()

    def _wrong(self, codes: list[int], said: str) -> Iterator[str]:
        runs = Counter(self._log.read_text().splitlines() if self._log.exists() else [])
        if not self._done():
            yield f"not done: {self._phases()}"
        yield from (f"it said {word}" for word in ("Traceback", "defect") if word in said)
        yield from (f"exit code {code}" for code in codes if code not in ENDS)
        if 1 in codes and "reconciler: " not in said:
            yield "it ended without a message"
        yield from (f"ran {count} times: {run}" for run, count in runs.items() if count != 1)
        if len(runs) != TASKS:
            yield f"{len(runs)} runs of {TASKS} tasks: {sorted(runs)}"
        yield from recounted(self.state)
