#!/usr/bin/env python3
"""A scheduler in one file, for tests of what the agent does for any of them: put, list, end. Its state is a folder.

    toy_queue.py FOLDER put NAME COUNT     script on stdin; prints the job's number; started by `run`
    toy_queue.py FOLDER run [ELEMENT …]    starts what waits (or these elements), each `/bin/sh SCRIPT INDEX JOB`
    toy_queue.py FOLDER list               JOB_INDEX|STATE|NAME, of what has not ended
    toy_queue.py FOLDER end ELEMENT …      ends these

A file named `fail` in the folder is what `put` says on stderr, with exit code 1, instead of taking anything; one named
`doubt` does the same after it has taken the job.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path


def put(folder: Path, name: str, count: str) -> int:
    script = sys.stdin.read()
    if (folder / "fail").exists():
        sys.stderr.write((folder / "fail").read_text())
        return 1
    number = len(list(folder.glob("job-*"))) + 1
    job = folder / f"job-{number}"
    job.mkdir()
    (job / "script").write_text(script)
    (job / "name").write_text(name)
    for index in range(int(count)):
        (job / f"waits-{index}").touch()
    if (folder / "doubt").exists():
        sys.stderr.write((folder / "doubt").read_text())
        return 1
    sys.stdout.write(f"{number}\n")
    return 0


def run(folder: Path, *chosen: str) -> int:
    for waiting in sorted(folder.glob("job-*/waits-*")):
        job, index = waiting.parent, waiting.name.partition("-")[2]
        element = f"{job.name.partition('-')[2]}_{index}"
        if chosen and element not in chosen:
            continue
        waiting.unlink()
        log = (job / f"log-{index}").open("wb")
        argv = ["/bin/sh", str(job / "script"), index, element, "0"]
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
        (job / f"runs-{index}").write_text(str(process.pid))
    return 0


def rows(folder: Path) -> int:
    for job in sorted(folder.glob("job-*")):
        name = (job / "name").read_text()
        for file in sorted(job.iterdir()):
            state, _, index = file.name.partition("-")
            if state == "waits" or (state == "runs" and _lives(int(file.read_text()))):
                sys.stdout.write(f"{job.name.partition('-')[2]}_{index}|{state}|{name}\n")
    return 0


def end(folder: Path, *elements: str) -> int:
    for element in elements:
        number, _, index = element.partition("_")
        job = folder / f"job-{number}"
        (job / f"waits-{index}").unlink(missing_ok=True)
        runs = job / f"runs-{index}"
        if runs.exists() and _lives(int(runs.read_text())):
            os.kill(int(runs.read_text()), signal.SIGTERM)
    return 0


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


if __name__ == "__main__":
    what = {"put": put, "run": run, "list": rows, "end": end}[sys.argv[2]]
    sys.exit(what(Path(sys.argv[1]), *sys.argv[3:]))
