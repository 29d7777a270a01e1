"""What may lie in place of a claim or an exit record, and what is concluded from it on the very boot that wrote it."""

from __future__ import annotations

import asyncio
import json
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
from reconciler.core.wire_json import found_from_json
from reconciler.dialects.process import ProcessDialect
from reconciler.links.local import LocalLink

NAMES = ("succeeds", "fails")
PATIENCE_S = 60.0
OPTIONAL = {"epoch", "digest", "job"}  # of a claim: they do not decide whether it is one
YOUNGER = {"begun"}  # a claim without it is one of an older release; with nonsense in it, it is none
NAMED = {"kind", "eid", "ended_by"}  # texts of which only one, or a few, will do
WRONG: tuple[Any, ...] = (None, [], {}, -1, "", "no", "\ud800", 10**400, float("inf"), float("nan"))


@dataclass(frozen=True, slots=True)
class Ruins:
    """Two attempts that have ended, as a real agent has left them."""

    root: Path
    here: HostIdentity

    def file(self, name: str, attempt: str = "succeeds") -> Path:
        eid = eid_of(attempt)
        return self.root / "attempts" / eid[-2:] / eid / name

    def conclusion(self, *, nonce: str | None) -> str:
        """About the attempt that had succeeded: its phase if it has ended, else what should be done or known.

        nonce: what the daemon knows of it; None: no more than that it was intended.
        """
        eid = eid_of("succeeds")
        attempt = intended(eid, self.here)
        if nonce is not None:
            attempt = replace(attempt, phase=Phase.RUNNING, nonce=nonce, started_at=2.0)
        found = found_from_json(eid, json.loads(json.dumps(look(Place(str(self.root)), eid).told())))
        end = resolve(attempt, evidence(attempt, found, self.here), 9.0)
        if isinstance(end, Attempt) and end.phase.active:  # what is known of it now: and then?
            end = resolve(end, evidence(end, found, self.here), 9.0)
        return "" if end is None else end.phase.value if isinstance(end, Attempt) else end.reason


async def left_by_an_agent(folder: Path) -> Ruins:
    """One attempt has succeeded, one has failed."""
    root, log = folder / "root", folder / "log"
    session = await LocalLink().open(instance=INSTANCE, root=str(root), slots=2, gpus=())
    try:
        submit = ProcessDialect().submit([spec_of(name, log) for name in NAMES])
        submit.parse(await session.ask(submit.request))
        ended: set[str] = set()
        async with asyncio.timeout(PATIENCE_S):
            async for page in session.pushes():
                ended |= {found.eid for found in page if found.exit is not None}
                if len(ended) == len(NAMES):
                    break
        return Ruins(root, session.hello.identity)
    finally:
        await session.aclose()


def spoilt(whole: bytes, other: bytes) -> Iterator[bytes]:
    """What may be there instead: any beginning, zeros, blanks, a part, another's, nonsense, and each field wrong."""
    body = whole.rstrip()
    for end in range(len(body)):
        yield from (body[:end], body[:end].ljust(len(whole), b"\0"), body[:end].ljust(len(whole)))
    yield from (bytes(begin) + body[begin:] for begin in range(1, len(body), 7))
    yield body[:SECTOR].ljust(2 * SECTOR, b"\0")
    yield other
    yield from NONSENSE
    value = json.loads(whole)
    for name in value.keys() - OPTIONAL:
        yield from (json.dumps(value | {name: wrong}).encode() for wrong in WRONG if is_wrong(name, value[name], wrong))
        if value[name] is not None and name not in YOUNGER:
            yield json.dumps({key: each for key, each in value.items() if key != name}).encode()


def is_wrong(name: str, right: Any, other: Any) -> bool:
    """A text may be another one where any would do."""
    any_text = isinstance(right, str) and name not in NAMED and other in ("", "no")
    return other != right and not any_text


NONSENSE = (b"null", b"[]", b"{}", b"0", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000)
