"""What lives, by the kernel's word: every process that carries the mark of a world in its environment."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

MARK = "RECONCILER_TEST_WORLD"  # in the environment of everything that a world starts


class Processes:
    """All processes of one world: they were started with the variable `mark` set to its folder."""

    def __init__(self, folder: Path, mark: str = MARK) -> None:
        self.mark = f"{mark}={folder}".encode()
        self.doubled: set[str] = set()  # tasks of which two attempts were seen alive
        self.most: Counter[str] = Counter()  # by sweep: the most attempts seen alive at once; "" is all together

    def all(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Every process of this world but this one, with its environment."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    words = (entry / "environ").read_bytes().split(b"\0")
                    if self.mark in words:
                        pairs = (word.decode(errors="replace").partition("=") for word in words)
                        yield int(entry.name), {name: value for name, _, value in pairs}

    def tasks(self) -> list[tuple[int, dict[str, str]]]:
        """Those that belong to attempts."""
        return [(pid, env) for pid, env in self.all() if "RECONCILER_OUTPUT" in env]

    def shims(self) -> list[tuple[int, str]]:
        """Those that have an attempt in hand, each with its eid."""
        named = [(pid, name_of(pid)) for pid, env in self.all() if "RECONCILER_OUTPUT" not in env]
        return [(pid, name) for pid, name in named if len(name) == 15 and name.startswith("g")]

    def watch(self) -> None:
        """Look for what must never be."""
        alive = {env["RECONCILER_OUTPUT"]: (env["RECONCILER_SWEEP"], env["RECONCILER_TASK"]) for _, env in self.tasks()}
        per_task = Counter(alive.values())
        self.doubled |= {task for (_, task), count in per_task.items() if count > 1}
        for sweep, count in [*Counter(sweep for sweep, _ in alive.values()).items(), ("", len(alive))]:
            self.most[sweep] = max(self.most[sweep], count)

    def left(self) -> list[str]:
        """What should not be there any more: pids with their command lines."""
        return [f"{pid} {text_of(Path(f'/proc/{pid}/cmdline'))}" for pid, _ in self.all()]

    def close(self) -> None:
        """Whatever a failure has left; what is killed may have started something just before."""
        for _ in range(3):
            for pid, _ in self.all():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def name_of(pid: int) -> str:
    """What ps shows: a shim is named by the attempt that it has in hand."""
    return text_of(Path(f"/proc/{pid}/comm")).strip()


def text_of(path: Path) -> str:
    """ "" when the file is not there."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
