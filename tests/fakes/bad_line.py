"""A TCP proxy that is as bad as a line can be: slow, cut after so many bytes, or silent without an end.

async with BadLine(port) as line:
    line.fate = Fate(up=1000)      # of the next connection
    … connect to line.port …
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass
from socket import SO_LINGER, SOL_SOCKET

ADDRESS = "127.0.0.1"
READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one connection: it ends after so many bytes to the far end, or from it.

    latency_s   of each direction
    silent      it does not end then, but says nothing more: a half-open line
    within_s    it ends after so long in any case
    """

    up: int | None = None
    down: int | None = None
    latency_s: float = 0.0
    silent: bool = False
    within_s: float | None = None


class Wire:
    """One connection under way."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self.up = 0  # bytes so far
        self.down = 0
        self.over = asyncio.Event()
        self.stalled = False


class BadLine:
    """Listens on `port`, and forwards to the port that it is made for."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.fate = Fate()
        self.wires: list[Wire] = []
        self._tasks: set[asyncio.Task[None]] = set()  # never cancelled: the streams of asyncio do not bear that

    async def __aenter__(self) -> BadLine:
        self._server = await asyncio.start_server(self._serve, ADDRESS, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for wire in self.wires:
            wire.over.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End what is open."""
        for wire in self.wires:
            wire.over.set()

    def stall(self) -> None:
        """What is open says nothing more, and does not end."""
        for wire in self.wires:
            wire.stalled = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(self.fate)
        self.wires = [each for each in self.wires if not each.over.is_set()] + [wire]
        this = asyncio.current_task()
        assert this is not None
        self._tasks.add(this)
        this.add_done_callback(self._tasks.discard)
        there_reader, there = await asyncio.open_connection(ADDRESS, self.target)
        ways = [
            asyncio.ensure_future(self._carry(wire, "up", reader, there)),
            asyncio.ensure_future(self._carry(wire, "down", there_reader, writer)),
        ]
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wire.fate.within_s):
                    await wire.over.wait()
        finally:
            wire.over.set()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, there):
                _reset(end)

    async def _carry(self, wire: Wire, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bytes of one direction, until one end closes or the fate is fulfilled."""
        limit = getattr(wire.fate, way)
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sending = asyncio.ensure_future(_deliver(late, writer))
        loop = asyncio.get_running_loop()
        try:
            while data := await reader.read(READ_BYTES):
                if wire.stalled:
                    continue
                if limit is not None:
                    data = data[: limit - getattr(wire, way)]
                setattr(wire, way, getattr(wire, way) + len(data))
                late.put_nowait((loop.time() + wire.fate.latency_s, data))
                if limit is not None and getattr(wire, way) >= limit:
                    if wire.fate.silent:
                        wire.stalled = True
                        await asyncio.Event().wait()
                    break
            late.put_nowait((0.0, b""))
            await sending
        except OSError:
            pass
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            wire.over.set()


async def _deliver(late: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due, data = await late.get()
        if not data:
            return
        await asyncio.sleep(max(0.0, due - loop.time()))
        writer.write(data)
        await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """As a router does that has forgotten the connection: no farewell, and what is unsent is lost."""
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
