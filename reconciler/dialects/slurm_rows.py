"""What squeue, sacct and sinfo print, read. Fields are fixed and the name comes last: strangers' may contain anything.

Of a job's id and its name only both together say whose it is: a controller that was killed gives ids out again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reconciler.core.jobs import Account, Job, JobState, Wait
from reconciler.dialects.slurm_states import state_of, verdict_of, wait_of

LISTED = "%i|%F|%K|%T|%r|%j"
LISTED_HEADER = "JOBID|ARRAY_JOB_ID|ARRAY_TASK_ID|STATE|REASON|NAME"
ACCOUNTED = "JobID,State,ExitCode,Start,End,NodeList,MaxRSS,TotalCPU,JobName"
FINISHED = "JobArrayID:|,State:|,restartcnt:|,exit_code:|,EndTime:|,NodeList:|,Name:512"
UNSTARTED = "JobArrayID:|,State:|,Reason:60|,exit_code:|,NodeList:|,Name:512"
NO_LOG = 53  # the signal in the exit status of a job whose node could not open the file for what it says
NO_ROOT = 96  # what our job script exits with when its node lacks the program: newer Slurm makes the folders of a log
LOST_CLAIM = 97  # what our job script exits with when another start has the claim: no end of anything
MOST_NODES = 4096

_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?")
_HOSTS = re.compile(r"([^,\[\]]+)(?:\[([0-9,-]+)\])?([^,\[\]]*)(?:,|$)")
_DURATION = re.compile(r"(?:(\d{1,5})-)?(?:(\d{1,5}):)?(\d{1,2}):(\d{1,2}(?:\.\d{1,6})?)")
_AMOUNT = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([KMGT]?)")
_IN_MIB = {"": 2.0**-20, "K": 2.0**-10, "M": 1.0, "G": 2.0**10, "T": 2.0**20}
_STATUS = re.compile(r"(\d{1,9})(?::(\d{1,3}))?")
_ELEMENT = re.compile(r"(\d{1,18})_(\d{1,9})(?:\.(\w+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a listing: an element of an array, or all those of it that have not begun."""

    name: str
    array: str
    ranges: tuple[range, ...]
    state: JobState
    raw: str
    why: str
    wait: Wait | None
    limit: int | None = None  # of the array, as far as this row tells

    def job(self, index: int) -> Job:
        return Job(
            id=f"{self.array}_{index}",
            state=self.state,
            raw=self.raw,
            why=self.why,
            wait=self.wait,
            array=int(self.array),
            limit=self.limit,
        )


def listed(text: str) -> list[Row] | None:
    """The arrays of a listing, those that run before those that wait; None: it is no listing.

    squeue prints a header whatever there is, so that a wrapper that has swallowed an error is noticed.
    """
    lines = text.splitlines()
    if LISTED_HEADER not in lines:
        return None
    rows = [row for line in lines[lines.index(LISTED_HEADER) + 1 :] if (row := _row(line)) is not None]
    return sorted(rows, key=lambda row: row.state is not JobState.RUNNING)


def _row(line: str) -> Row | None:
    parts = line.split("|", 5)
    if len(parts) < 6:
        return None
    _, array, indices, raw, why, name = parts
    state = state_of(raw)
    if state is None or not array.isdigit():
        return None
    return Row(
        name=name,
        array=array,
        ranges=ranges(indices),
        state=state,
        raw=raw,
        why="" if why == "None" else why,
        wait=wait_of(why) if state is JobState.WAITING else None,
        limit=_limit(indices),
    )


def _limit(indices: str) -> int | None:
    """Of "0-3%2"; a row for several says nothing else when it has none, one for a single element says nothing."""
    written, _, limit = indices.partition("%")
    if limit.isdigit():
        return int(limit)
    return None if written.isdigit() else 0


def ranges(text: str) -> tuple[range, ...]:
    """The indices of "0-3,7,10-20:5%2"; none of what is no array."""
    found = []
    for part in text.partition("%")[0].split(","):
        match = _RANGE.fullmatch(part)
        if match is not None:
            first = int(match[1])
            found.append(range(first, int(match[2] or first) + 1, max(1, int(match[3] or 1))))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """How one start of a job has ended."""

    name: str
    account: Account
    nodes: tuple[str, ...] | None  # None: it cannot be told


def accounted(text: str) -> list[Past]:
    """The ends in what sacct prints with duplicates; a start that was followed by another is told apart by number.

    A job whose id was handed out again has another name, and is counted for itself.
    """
    found: list[Past] = []
    starts: dict[tuple[str, str], int] = {}
    last: dict[str, int] = {}  # where in `found` the newest end of a job is
    for line in text.splitlines():
        parts = line.split("|", 8)
        match = _ELEMENT.fullmatch(parts[0])
        if len(parts) < 9 or match is None:
            continue
        job, step = f"{match[1]}_{match[2]}", match[3]
        _, state, code, start, end, nodes, rss, cpu, name = parts
        if step is not None:
            place = last.get(job)
            if step == "batch" and place is not None:
                found[place] = _with_usage(found[place], rss, cpu)
            continue
        last.pop(job, None)
        if start == "Unknown" or start == "None":
            continue
        restarts = starts.get((job, name), -1) + 1
        starts[job, name] = restarts
        past = _past(job, restarts, state, _status(code), end, nodes, name)
        if past is not None:
            last[job] = len(found)
            found.append(past)
    return found


def _with_usage(past: Past, rss: str, cpu: str) -> Past:
    return replace(past, account=replace(past.account, cpu_s=seconds(cpu), max_rss_mib=mebibytes(rss)))


def seconds(text: str) -> float | None:
    """Of "1-02:03:04", "00:00:03" or "01:02.345"."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, rest = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def mebibytes(text: str) -> float | None:
    """Of "1236K", "1.5G" or a bare number of bytes."""
    match = _AMOUNT.fullmatch(text)
    return None if match is None else float(match[1]) * _IN_MIB[match[2]]


def finished(text: str) -> list[Past]:
    """The ends in what squeue still knows of jobs that have ended; it does not know of earlier starts."""
    found = []
    for line in text.splitlines():
        parts = line.split("|", 6)
        if len(parts) == 7:
            job, state, restarts, code, end, nodes, name = (part.strip() for part in parts)
            if _ELEMENT.fullmatch(job) and restarts.isdigit():
                past = _past(job, int(restarts), state, _status(code), end, nodes, name)
                found += [past] if past is not None else []
    return found


def unstarted(text: str) -> dict[tuple[str, int], str]:
    """How jobs ended that have claimed nothing, in words, by name and index."""
    found = {}
    for line in text.splitlines():
        parts = line.split("|", 5)
        match = _ELEMENT.fullmatch(parts[0].strip())
        if len(parts) == 6 and match is not None:
            _, state, why, code, nodes, name = (part.strip() for part in parts)
            status = _status(code)
            if verdict_of(state) is not None and status is not None:
                found[name, int(match[2])] = ", ".join(_ended(state, why, status, nodes))
    return found


@dataclass(frozen=True, slots=True)
class _Status:
    """How the script of a job ended."""

    code: int
    signal: int


def _status(text: str) -> _Status | None:
    """Of "3:0", which is code and signal; squeue of 20.11 and 22.05 prints both as wait(2) has them ("768")."""
    match = _STATUS.fullmatch(text)
    if match is None:
        return None
    if match[2] is not None:
        return _Status(int(match[1]), int(match[2]))
    return _Status(int(match[1]) >> 8, int(match[1]) & 0x7F)


def _ended(state: str, why: str, status: _Status, nodes: str) -> Iterator[str]:
    yield f"Slurm says {state}" + (f" on {nodes}" if nodes and not nodes.startswith("(") else "")
    if why not in ("", "None"):
        yield why
    if status.signal == NO_LOG:
        yield "its node could not open the file for what the job says: it does not have the source's `root`, or no room"
    elif status.code == NO_ROOT:
        yield "its node does not have the source's `root`"
    elif status.signal:
        yield f"signal {status.signal}"
    elif status.code:
        yield f"exit code {status.code}"


def _past(job: str, restarts: int, state: str, status: _Status | None, end: str, nodes: str, name: str) -> Past | None:
    """None of what is no end of this start: it has not ended, or another start had the claim."""
    verdict = verdict_of(state)
    if verdict is None or not end.isdigit() or status is None or status.code == LOST_CLAIM:
        return None
    account = Account(job=job, restarts=restarts, verdict=verdict, ended_at=float(end), ceased=False, raw=state)
    return Past(name=name, account=account, nodes=hosts(nodes))


def dead(text: str) -> frozenset[str]:
    """The nodes that do not answer, from what sinfo prints of them, one a line."""
    return frozenset(line.strip() for line in text.splitlines() if line.strip())


def judged(past: Past, silent: frozenset[str] | None) -> Account:
    """The end with what is known of its nodes; silent: those that do not answer, None when nobody could tell.

    A job leaves the listing when its nodes have confirmed that it is gone, or when they were given up as down. The
    latter are silent, until they are heard again, when what is left there is ended.
    """
    known = silent is not None and past.nodes is not None and silent.isdisjoint(past.nodes)
    return replace(past.account, ceased=known)


def hosts(text: str) -> tuple[str, ...] | None:
    """The names in "n[1-3,07],m2"; None when there are none, too many, or it is not understood."""
    names: list[str] = []
    place = 0
    if not text or text.startswith(("None", "(")):
        return None
    while place < len(text):
        match = _HOSTS.match(text, place)
        if match is None or match.end() == place:
            return None
        for number in _numbers(match[2]):
            names.append(f"{match[1]}{number}{match[3]}")
            if len(names) > MOST_NODES:
                return None
        place = match.end()
    return tuple(names)


def _numbers(text: str | None) -> Iterator[str]:
    """ "1-3,07" as the names have them: with leading zeros where they were written."""
    for part in () if text is None else text.split(","):
        first, _, last = part.partition("-")
        for number in range(int(first or 0), int(last or first or 0) + 1):
            yield f"{number:0{len(first)}d}"
    if text is None:
        yield ""


def places(rows: Sequence[Row], count: int) -> dict[int, Job]:
    """The elements of arrays of one name, by index: a running one before its copies."""
    found: dict[int, Job] = {}
    for row in rows:
        for indices in row.ranges:
            for index in range(indices.start, min(indices.stop, count), indices.step):
                found.setdefault(index, row.job(index))
    return found
