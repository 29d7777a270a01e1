"""A stretch of a source's life, told mark by mark: run as a program, with the tap on its files and on its agent's.

Attempts succeed, fail, are killed, cannot be launched, are given up before they start, cancelled while they run; ends
are acknowledged and forgotten, and a second session adopts what the first has started.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from base64 import b32encode
from collections.abc import Callable
from pathlib import Path

from reconciler.core.model import Eid, InstanceId
from reconciler.core.wire import AttemptSpec, Exchange, Found, Lock, Request
from reconciler.dialects.process import ProcessDialect
from reconciler.links.base import Ruler
from reconciler.links.local import LocalLink
from reconciler.source import acknowledge, forget

MARKS = "marks"
INSTANCE = InstanceId("aaaa")
DAEMON = "the daemon"
PATIENCE_S = 60.0

SCRIPTS = {
    "succeeds": "true",
    "fails": "exit 3",
    "killed": "kill -9 $$",
    "unlaunched": "",  # no such program, and its name is long
    "forgotten": "echo much > out.txt",
    "slow": "sleep 60",
    "slower": "sleep 60",
    "waits": "sleep 60",
    "unseen": "true",  # given up before it was ever started
}


def eid_of(name: str) -> Eid:
    return Eid("gaaaa" + b32encode(hashlib.sha256(name.encode()).digest()).decode().lower()[:10])


def spec_of(name: str, log: Path) -> AttemptSpec:
    """The attempt of this name; it says in the tasks' own log that it runs."""
    argv = ("/bin/sh", "-c", f"echo {name} >> {log}; {SCRIPTS[name]}")
    return AttemptSpec(
        eid=eid_of(name),
        sweep="s",
        task=eid_of(name)[-10:],
        attempt=1,
        argv=argv if SCRIPTS[name] else ("no-such-program-" + "x" * 200,),
        environment={},
        setup=(),
        parameters={"name": name},
        cwd=None,
        checkpoint=name,
        walltime_s=None,
        gpus=0,
        digest="d",
        grace_s=0.5,
    )


class Visit:
    """One session, of which all that was told is marked."""

    def __init__(self, life: Life, session: object) -> None:
        self._life = life
        self.session = session
        self._news = asyncio.Event()
        self._listening = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        async for page in self.session.pushes():
            for found in page:
                self._life.told[found.eid] = found
                self._life.mark({"told": found.eid, "nonce": found.claim.nonce if found.claim else ""})
            self._news.set()

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not what():
                self._news.clear()
                await self._news.wait()

    async def ask(self, exchange: Exchange) -> object:
        return exchange.parse(await self.session.ask(exchange.request))

    async def close(self) -> None:
        await self.session.aclose()
        await self._listening


class Life:
    """A root, and what was told about it."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.root = folder / "root"
        self.log = log
        self.told: dict[Eid, Found] = {}
        self._marks = os.open(folder / MARKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def mark(self, words: dict[str, object]) -> None:
        os.write(self._marks, json.dumps(words).encode() + b"\n")

    async def open(self, after: int) -> Visit:
        session = await LocalLink().open(
            instance=INSTANCE, root=str(self.root), slots=2, gpus=(), ruler=Ruler(daemon=DAEMON, after=after)
        )
        self.mark({"epoch": session.hello.epoch})
        return Visit(self, session)

    def specs(self, *names: str) -> list[AttemptSpec]:
        return [spec_of(name, self.log) for name in names]

    def ended(self, *names: str) -> bool:
        return all(eid_of(name) in self.told and self.told[eid_of(name)].exit is not None for name in names)

    def runs(self, *names: str) -> bool:
        return all(eid_of(name) in self.told and self.told[eid_of(name)].lock is Lock.HELD for name in names)


async def live(life: Life) -> None:
    dialect = ProcessDialect(grace_s=0.5)
    short = ("succeeds", "fails", "killed", "unlaunched", "forgotten")
    first = await life.open(0)
    await first.ask(dialect.submit(life.specs(*short)))
    await first.until(lambda: life.ended(*short))
    await first.ask(acknowledge([eid_of("succeeds"), eid_of("fails"), eid_of("forgotten")]))
    await first.ask(forget([eid_of("forgotten")]))
    await first.ask(dialect.submit(life.specs("slow", "slower", "waits")))
    await first.until(lambda: life.runs("slow", "slower"))
    for name in ("waits", "unseen"):
        outcomes = await first.ask(dialect.cancel([eid_of(name)]))
        life.mark({"revoked": eid_of(name), "outcome": outcomes[eid_of(name)]})
    await first.close()

    second = await life.open(1)
    await second.ask(dialect.inspect([eid_of("slow"), eid_of("slower"), eid_of("killed")]))
    await second.ask(dialect.cancel([eid_of("slow")]))
    await second.until(lambda: life.ended("slow"))
    await second.ask(dialect.cancel([eid_of("slower")]))
    await second.until(lambda: life.ended("slower"))
    await second.session.ask(Request(op="probe", body={}))
    await second.close()


if __name__ == "__main__":
    asyncio.run(live(Life(Path(sys.argv[1]), Path(sys.argv[2]))))
