"""A connected socket to a machine, by its name, without keeping anybody else waiting.

A resolver that does not answer blocks its caller for many seconds. The event loop's own threads are few, others need
them, and the end of the daemon waits for them. So each question has a thread of its own, which nobody waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

ADDRESS_S = 5.0  # for one of several addresses; the last one may take what time there is

Lookup: TypeAlias = Callable[..., Sequence[tuple[Any, ...]]]


class Place(NamedTuple):
    """An address as the resolver tells it."""

    family: int
    kind: int
    protocol: int
    name: str
    address: Any


async def dial(host: str, port: int, family: int, *, lookup: Lookup = socket.getaddrinfo) -> socket.socket:
    """Raises OSError: socket.gaierror when there is no such name, else why the last address could not be reached."""
    places = await _places(host, port, family, lookup)
    for place in places[:-1]:
        with contextlib.suppress(OSError):  # TimeoutError, too
            async with asyncio.timeout(ADDRESS_S):
                return await _connect(place)
    return await _connect(places[-1])


async def _connect(place: Place) -> socket.socket:
    there = socket.socket(place.family, place.kind, place.protocol)
    try:
        there.setblocking(False)
        await asyncio.get_running_loop().sock_connect(there, place.address)
    except BaseException:
        there.close()
        raise
    return there


async def _places(host: str, port: int, family: int, lookup: Lookup) -> Sequence[Place]:
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Sequence[Place]] = loop.create_future()

    def tell(set_it: Callable[[Any], None], value: object) -> None:
        if not found.done():
            set_it(value)

    def ask() -> None:
        try:
            places = [Place(*each) for each in lookup(host, port, family, socket.SOCK_STREAM)]
            told: tuple[Callable[[Any], None], object] = (found.set_result, places)
        except (OSError, UnicodeError) as error:
            told = (found.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, *told)

    threading.Thread(target=ask, name=f"look up {host}", daemon=True).start()
    return await found
