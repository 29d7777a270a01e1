"""Where it was measured: a figure without its machine says nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def machine(folder: Path) -> dict[str, str]:
    """Cores, processor, kernel, file system of the working folder, and load, in words for a table."""
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _processor(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": file_system(folder, Path("/proc/self/mounts").read_text()),
        "python": platform.python_version(),
        "load before": load(),
        "commit": _commit(),
    }


def load() -> str:
    """How many processes wanted to run, over the last minute."""
    return f"{os.getloadavg()[0]:.2f}"


def busy() -> bool:
    """Whether others use more than a quarter of a core, by the last minute."""
    return os.getloadavg()[0] > 0.25


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def file_system(folder: Path, mounts: str) -> str:
    """Type and device of the innermost mount that holds the folder; `mounts` in the form of /proc/self/mounts."""
    rows = [line.split() for line in mounts.splitlines()]
    holding = [row for row in rows if folder.resolve().is_relative_to(row[1])]
    device, _, kind = max(holding, key=lambda row: len(row[1]))[:3]
    return f"{kind} on {device}"


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
