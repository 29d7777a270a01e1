"""A claim or an exit record of this very boot that is not what was written: it happens on no sound disk, but it may lie
there. What is not whole is not believed, and what lies there at all lets nobody start.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from source_life import INSTANCE, eid_of, spec_of
from torn_disk import SECTOR
from torn_source import intended

from reconciler.agent.look import look
from reconciler.agent.place import Place
from reconciler.core.evidence import evidence
from reconciler.core.model import Attempt, HostIdentity, Phase
from reconciler.core.resolve import resolve
from reconciler.core.wire import StartOutcome
from reconciler.core.wire_json import found_from_json
from reconciler.dialects.process import ProcessDialect
from reconciler.links.base import Session
from reconciler.links.local import LocalLink

NAMES = ("succeeds", "fails")


@dataclass(frozen=True, slots=True)
class Ruins:
    """Two attempts that have ended, as they were left."""

    root: Path
    here: HostIdentity

    def file(self, name: str, attempt: str = "succeeds") -> Path:
        eid = eid_of(attempt)
        return self.root / "attempts" / eid[-2:] / eid / name

    def end(self, *, nonce: str | None) -> Any:
        """What is concluded about the attempt that had succeeded; nonce: as the daemon knows it, if it does."""
        eid = eid_of("succeeds")
        attempt = intended(eid, self.here)
        if nonce is not None:
            attempt = replace(attempt, phase=Phase.RUNNING, nonce=nonce, started_at=2.0)
        found = found_from_json(eid, look(Place(str(self.root)), eid).told())
        return resolve(attempt, evidence(attempt, found, self.here), 9.0)


async def left_by_a_real_agent(folder: Path) -> Ruins:
    """One attempt has succeeded, one has failed."""
    root, log = folder / "root", folder / "log"
    session = await LocalLink().open(instance=INSTANCE, root=str(root), slots=2, gpus=())
    try:
        submit = ProcessDialect().submit([spec_of(name, log) for name in NAMES])
        submit.parse(await session.ask(submit.request))
        ended: set[str] = set()
        async with asyncio.timeout(60):
            async for page in session.pushes():
                ended |= {found.eid for found in page if found.exit is not None}
                if len(ended) == len(NAMES):
                    break
        return Ruins(root, session.hello.identity)
    finally:
        await session.aclose()


def spoilt(whole: bytes, other: bytes) -> Iterator[bytes]:
    """What may be there instead: any beginning, zeros, blanks, sectors of it, another's, and plain nonsense."""
    body = whole.rstrip()
    yield from (body[:end] for end in range(len(body)))
    yield from (body[:end].ljust(len(whole)) for end in range(0, len(body), 7))
    yield from (body[:end].ljust(len(whole), b"\0") for end in range(len(body)))
    yield from (bytes(begin) + body[begin:] for begin in range(1, len(body), 7))
    yield body[:SECTOR] + bytes(SECTOR)
    yield other
    yield from (b"null", b"[]", b"{}", b"0", b'"text"', b"\xff\xfe", b"[" * 100_000)
    value = json.loads(whole)
    for name in value:
        for wrong in (None, [], {}, -1, "", "no", 10**400, 1e999):
            if wrong != value[name]:
                yield json.dumps(value | {name: wrong}).encode()
        yield json.dumps({key: each for key, each in value.items() if key != name}).encode()


async def outcomes(session: Session, log: Path) -> StartOutcome:
    """What becomes of the order to start the first attempt again."""
    submit = ProcessDialect().submit([spec_of("succeeds", log)])
    return submit.parse(await session.ask(submit.request))[eid_of("succeeds")]


def succeeded(end: Any) -> bool:
    return isinstance(end, Attempt) and end.phase is Phase.SUCCEEDED


def copied(ruins: Ruins, folder: Path) -> Ruins:
    shutil.copytree(ruins.root, folder, ignore=lambda *_: {"bell"})
    return replace(ruins, root=folder)
