"""The link to this machine: the agent is a child that speaks on its stdin and stdout.

It has a session of its own, so that a Ctrl-C meant for the daemon does not reach it; when the daemon ends, however it
ends, the agent sees the end of its stdin and goes, and the tasks live on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass

from reconciler.core.errors import NotSent
from reconciler.core.model import InstanceId
from reconciler.links.base import NEWCOMER, Ruler
from reconciler.links.bundle import OPTIONS, agent_text, starter
from reconciler.links.lines import Greeting, LineSession, converse

OPEN_TIMEOUT_S = 60.0
CLOSE_TIMEOUT_S = 5.0
STDERR_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLink:
    """Starts the agent with `python`, by default the daemon's own."""

    python: str = sys.executable
    open_timeout_s: float = OPEN_TIMEOUT_S

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> LineSession:
        """See `Link.open`."""
        try:
            process = await asyncio.create_subprocess_exec(
                self.python,
                *OPTIONS,
                "-c",
                starter(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                cwd=os.sep,
            )
        except OSError as error:
            message = f"cannot start the agent with {self.python}: {error.strerror}"
            raise NotSent("AgentNotStarted", message, hint="is this Python still installed?") from None
        greeting = Greeting(instance=instance, root=root, slots=slots, gpus=gpus, ruler=ruler)
        return await converse(Child(process), agent_text(), greeting, timeout_s=self.open_timeout_s)


class Child:
    """The bytes to and from an agent that is our child."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._last_words = b""
        self._listening = asyncio.ensure_future(self._listen())

    async def read(self, size: int) -> bytes:
        """Some bytes; none at the end."""
        assert self._process.stdout is not None
        return await self._process.stdout.read(size)

    async def write(self, data: bytes) -> None:
        """Hand the bytes over; returns when there is room for more. Raises OSError when the agent has gone."""
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def last_words(self) -> str:
        """The end of what the agent wrote on stderr."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._listening)
        return self._last_words.decode("utf-8", "replace").strip()

    async def aclose(self) -> None:
        """The end of its stdin tells the agent to go; one that does not is killed."""
        process = self._process
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):  # somebody else may still hold its other end
                await process.wait()
                await process.stdin.wait_closed()
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(STDERR_BYTES):
            self._last_words = (self._last_words + data)[-STDERR_BYTES:]
