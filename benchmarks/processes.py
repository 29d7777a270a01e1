"""What the kernel says of a process and of all that descend from it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """So far used CPU time, and resident memory now."""

    cpu_s: float
    resident_mib: float
    proportional_mib: float  # pages shared by several processes count in each with its share


def peak_mib(pid: int) -> float:
    """The most resident memory that the process ever had."""
    return _status_mib(pid, "VmHWM")


def usage(pid: int) -> Usage:
    """Raises OSError when there is no such process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Usage(
        cpu_s=(int(fields[11]) + int(fields[12])) * _TICK_S,
        resident_mib=_status_mib(pid, "VmRSS"),
        proportional_mib=_kib(Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss") / 1024,
    )


def descendants(pid: int) -> list[int]:
    """Of all generations, as of now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it ended meanwhile
            children.setdefault(parent, []).append(int(entry.name))
    found = list(children.get(pid, ()))
    for each in found:
        found.extend(children.get(each, ()))
    return found


def _status_mib(pid: int, name: str) -> float:
    return _kib(Path(f"/proc/{pid}/status").read_text(), name) / 1024


def _kib(text: str, name: str) -> int:
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0
