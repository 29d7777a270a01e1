"""A TCP proxy that delivers everything later: `python -m benchmarks.delay TARGET_PORT ONE_WAY_S` listens on a free port
of 127.0.0.1, prints it, and runs until its stdin ends.

Every piece is delivered so long after it came, in order, in both directions; how fast bytes flow is not limited.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque

ADDRESS = "127.0.0.1"
READ_BYTES = 1 << 18


class Late:
    """One direction of one connection."""

    def __init__(self, one_way_s: float, writer: asyncio.StreamWriter) -> None:
        self._one_way_s = one_way_s
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[bytes] = deque()

    async def carry(self, reader: asyncio.StreamReader) -> None:
        """Until its end has been delivered, too."""
        try:
            while data := await reader.read(READ_BYTES):
                self._later(data)
        except OSError:
            pass
        self._later(b"")

    def _later(self, data: bytes) -> None:
        self._pieces.append(data)
        self._loop.call_later(self._one_way_s, self._deliver)

    def _deliver(self) -> None:
        data = self._pieces.popleft()
        if data:
            self._writer.write(data)
        else:
            self._writer.close()


async def serve(port: int, one_way_s: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(ADDRESS, port)
        ways = Late(one_way_s, there_writer).carry(reader), Late(one_way_s, writer).carry(there_reader)
        with contextlib.suppress(asyncio.CancelledError):  # when all of this ends
            await asyncio.gather(*ways)

    server = await asyncio.start_server(connected, ADDRESS, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
