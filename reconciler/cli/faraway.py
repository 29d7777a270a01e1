"""A file of an attempt that lies on another machine: read over a session of our own, which changes nothing there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.core.errors import LinkError
from reconciler.core.model import Eid, InstanceId
from reconciler.core.settings import SourceConfig

if TYPE_CHECKING:
    from reconciler.links.base import Session

VISITOR = InstanceId("")
PIECE_BYTES = 1 << 18


@dataclass(slots=True, kw_only=True)
class FarFile:
    """Opens its session when it is first asked, and again after that was cut. Every method raises ReconcilerError."""

    source: SourceConfig
    eid: Eid
    name: str
    _session: Session | None = field(default=None, init=False)

    async def size(self) -> int:
        """In bytes, now; 0 when there is no such file."""
        return (await self._read(0, 0))[1]

    async def chunks(self, offset: int) -> AsyncIterator[bytes]:
        """What it holds from an offset on, until there is no more."""
        while data := (await self._read(offset, PIECE_BYTES))[0]:
            yield data
            offset += len(data)

    async def aclose(self) -> None:
        """End the session, if there is one."""
        session, self._session = self._session, None
        if session is not None:
            await session.aclose()

    async def _read(self, offset: int, length: int) -> tuple[bytes, int]:
        from reconciler.source import read

        session = await self._open()
        exchange = read(self.eid, self.name, offset, length)
        try:
            piece = exchange.parse(await session.ask(exchange.request))
        except LinkError:
            await self.aclose()
            raise
        return piece.data, piece.size

    async def _open(self) -> Session:
        from reconciler.links.choice import link_to

        if self._session is None:
            source = self.source
            self._session = await link_to(source).open(instance=VISITOR, root=source.root, slots=0, gpus=())
        return self._session
