"""A root, a toy of a scheduler (see toy_queue.py), and sessions with agents."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from reconciler.core.identity import batch_eid
from reconciler.core.model import Eid, InstanceId
from reconciler.core.wire import AttemptSpec, Request
from reconciler.core.wire_commands import Command, command_to_json
from reconciler.core.wire_json import spec_to_json
from reconciler.links.base import Session
from reconciler.links.local import LocalLink

TOY = Path(__file__).parent / "toy_queue.py"
SCRIPT = '#!/bin/sh\nexec {python} {shim} "$1" "$2" "$3"\n'
WAITS = r"^(?P<job>\d+_(?P<index>\d+))\|waits\|.*(?P<batch>b[a-z2-7]{14})$"
RUNS = WAITS.replace("waits", "runs")
ANY = WAITS.replace("waits", r"\w+")
PATIENCE_S = 20.0


class ToyCluster:
    """Its jobs start when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.queue = folder / "queue"
        self.queue.mkdir()
        self.log = folder / "log"
        self.sessions: list[Session] = []

    async def open(self, python: str = sys.executable) -> Session:
        session = await LocalLink(python=python).open(
            instance=InstanceId("aaaa"), root=str(self.root), slots=1, gpus=()
        )
        self.sessions.append(session)
        return session

    async def armed(self, point: str) -> Session:
        """With an agent of which one process dies at this point."""
        token = self.folder / "token"
        token.touch()
        starter = self.folder / "python"
        armed = f"RECONCILER_CRASH_AT={point} RECONCILER_CRASH_TOKEN={token}"
        starter.write_text(f'#!/bin/sh\n{armed} exec {sys.executable} "$@"\n')
        starter.chmod(0o700)
        return await self.open(str(starter))

    def specs(self, count: int, script: str = "", **options: Any) -> list[AttemptSpec]:
        return [
            AttemptSpec(
                **{
                    "eid": Eid(f"gaaaa{chr(97 + number) * 10}"),
                    "sweep": "a-sweep",
                    "task": f"t{number}",
                    "attempt": 1,
                    "argv": ("/bin/sh", "-c", script or f"echo {number} >> {self.log}"),
                    "environment": {},
                    "setup": (),
                    "parameters": {"number": number},
                    "cwd": None,
                    "checkpoint": f"c{number}",
                    "walltime_s": None,
                    "gpus": 0,
                    "grace_s": 0.5,
                }
                | options
            )
            for number in range(count)
        ]

    def toy(self, *words: str, **options: Any) -> Any:
        argv = (sys.executable, "-I", "-S", str(TOY), str(self.queue), *words)
        return command_to_json(Command(argv=argv, **options))

    def submission(self, session: Session, specs: list[AttemptSpec]) -> Request:
        beid = batch_eid(InstanceId("aaaa"), [spec.eid for spec in specs])
        body = {
            "batch": beid,
            "name": f"a-sweep.{beid}",
            "attempts": [spec_to_json(spec) for spec in specs],
            "command": self.toy("put", f"a-sweep.{beid}", str(len(specs)), stdin=SCRIPT),
            "rejects": ["no such queue"],
            "mark": "",
        }
        return Request(op="submit", body=body)

    async def submit(self, session: Session, specs: list[AttemptSpec]) -> dict[str, Any]:
        return dict((await session.ask(self.submission(session, specs))).body)

    async def look(self, session: Session, *eids: Eid, histories: tuple[Any, ...] = ()) -> dict[str, Any]:
        body = {"eids": list(eids), "listing": self.toy("list"), "row": ANY, "histories": list(histories)}
        return dict((await session.ask(Request(op="listing", body=body))).body)

    async def withdraw(self, session: Session, *eids: Eid, running: bool) -> dict[str, str]:
        ends = [{"row": row, "end": self.toy("end", "{jobs}")} for row in (WAITS, RUNS)]
        body = {
            "eids": list(eids),
            "listing": self.toy("list"),
            "ends": ends,
            "running": running,
        }
        return dict((await session.ask(Request(op="withdraw", body=body))).body["outcomes"])

    def run(self, *words: str) -> str:
        argv = [sys.executable, "-I", "-S", str(TOY), str(self.queue), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():  # noqa: ASYNC110 - other processes make it so
                await asyncio.sleep(0.02)

    def file(self, eid: Eid, name: str) -> Path:
        return self.root / "attempts" / eid[-2:] / eid / name

    def ended(self, specs: list[AttemptSpec]) -> bool:
        return all(self.file(spec.eid, "exit.json").exists() for spec in specs)


@contextlib.asynccontextmanager
async def a_toy_cluster() -> AsyncIterator[ToyCluster]:
    """In a folder of its own; what is left of its sessions and jobs is ended."""
    folder = Path(tempfile.mkdtemp(prefix="s-"))
    cluster = ToyCluster(folder)
    yield cluster
    for session in cluster.sessions:
        await session.aclose()
    for file in cluster.queue.glob("job-*/runs-*"):
        with contextlib.suppress(OSError):
            os.killpg(int(file.read_text()), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
