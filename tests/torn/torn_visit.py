"""A real agent on a disk that a power loss has left: it takes the root over, knows what it may not start, and works."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

from source_life import DAEMON, INSTANCE, eid_of, spec_of
from torn_source import EIDS, Recording, misjudged, put

from reconciler.core.errors import ReconcilerError
from reconciler.core.model import Eid
from reconciler.core.wire import StartOutcome
from reconciler.dialects.process import ProcessDialect
from reconciler.links.base import Ruler, Session
from reconciler.links.local import LocalLink

PATIENCE_S = 60.0
NEWCOMER = "newcomer"


async def faults(recording: Recording, count: int, fate: str, seed: int, folder: Path) -> list[str]:
    """What a session does wrong on the disk that is left after `count` changes; `folder`/disk is made, and removed."""
    disk, log = folder / "disk", folder / "log"
    log.unlink(missing_ok=True)
    put(recording, count, fate, seed, disk)
    ruler = Ruler(daemon=DAEMON, after=recording.epoch(count))
    try:
        session = await LocalLink().open(instance=INSTANCE, root=str(disk / "root"), slots=2, gpus=(), ruler=ruler)
    except ReconcilerError as error:
        shutil.rmtree(disk)
        return [f"no session: {error}"]
    try:
        return await _visited(recording, count, session, disk / "root", log)
    finally:
        await session.aclose()
        shutil.rmtree(disk)


async def _visited(recording: Recording, count: int, session: Session, root: Path, log: Path) -> list[str]:
    dialect = ProcessDialect()
    inspect = dialect.inspect(list(EIDS))
    found = dict(inspect.parse(await session.ask(inspect.request)))
    here = (
        replace(session.hello.identity, boot="another")
        if session.hello.identity == recording.home
        else session.hello.identity
    )
    wrong = [] if set(found) == set(EIDS) else [f"left out: {set(EIDS) - set(found)}"]
    wrong += misjudged(recording, count, found, here)

    claimed = {path.parent.name for path in root.glob("attempts/*/*/claim")}
    again = dialect.submit([spec_of(EIDS[Eid(eid)], log) for eid in sorted(claimed)])
    outcomes = again.parse(await session.ask(again.request))
    wrong += [f"{EIDS[eid]} starts again" for eid, outcome in outcomes.items() if outcome is StartOutcome.ACCEPTED]
    wrong += await _works(session, log)
    return wrong


async def _works(session: Session, log: Path) -> list[str]:
    """Something new runs, and nothing else has."""
    eid = eid_of(NEWCOMER)
    spec = replace(spec_of("succeeds", log), eid=eid, argv=("/bin/sh", "-c", f"echo {NEWCOMER} >> {log}"))
    submit = ProcessDialect().submit([spec])
    submit.parse(await session.ask(submit.request))
    async with asyncio.timeout(PATIENCE_S):
        async for page in session.pushes():
            if any(found.eid == eid and found.exit is not None for found in page):
                break
    ran = log.read_text().split() if log.exists() else []
    return [] if ran == [NEWCOMER] else [f"ran: {ran}"]
