"""Bytes between a daemon and an agent on a simulated machine: late, cut, or swallowed, but never reordered or made up.

The session is the production `LineSession`; only the stream under it is simulated. A cut is seen by the two ends at
different times: the far one may go on for a while, and do what was asked of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Protocol

from reconciler.core.errors import NotSent
from reconciler.core.model import InstanceId
from reconciler.links.base import NEWCOMER, Ruler
from reconciler.links.lines import Greeting, LineSession
from tests.sim.agents import start_agent
from tests.sim.files import Opened, Pipe
from tests.sim.loop import PROCESS, Process
from tests.sim.machine import KILL, Machine

CLOSE_TIMEOUT_S = 5.0
OPEN_TIMEOUT_S = 60.0


class Weather(Protocol):
    """What a link suffers at this moment."""

    def delay_s(self) -> float: ...

    def unreachable(self) -> str: ...

    def swallows(self) -> bool: ...

    def lost(self, what: str) -> None: ...


class Wire:
    """One connection: two pipes on the agent's machine, and what is under way to and from them."""

    def __init__(self, machine: Machine, weather: Weather, owner: Process, *, local: bool) -> None:
        self.machine = machine
        self.weather = weather
        self.owner = owner
        self.local = local
        self.down = Pipe()  # to the agent's stdin
        self.up = Pipe(capacity=1 << 20)  # from its stdout
        self._input = Opened(pipe=self.down, reads=False, writes=True)
        self._output = Opened(pipe=self.up, reads=True, writes=False)
        stdin = Opened(pipe=self.down, reads=True, writes=False)
        stdout = Opened(pipe=self.up, reads=False, writes=True)
        self._arrived = bytearray()
        self._ended = False
        self._waiting: asyncio.Future[None] | None = None
        self._down_at = self._up_at = 0.0
        self.cut_here = self.cut_there = False
        self.up.heard.append(self._collect)
        self.agent = start_agent(machine, stdin, stdout)
        owner.resources.append(self._orphaned)

    # -- the daemon's end

    async def read(self, size: int) -> bytes:
        """Some bytes; none at the end."""
        while not self._arrived and not self._ended:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        data = bytes(self._arrived[:size])
        del self._arrived[:size]
        return data

    async def write(self, data: bytes) -> None:
        """Hand the bytes over. Raises OSError when the other end has gone, as far as can be known here."""
        if self.cut_here or self._ended or not self.owner.alive:
            raise BrokenPipeError(32, "Broken pipe")
        if data:
            self._send(data)

    async def last_words(self) -> str:
        return ""

    async def aclose(self) -> None:
        """As LocalLink: the end of its stdin tells the agent to go, and one on this machine that does not is killed."""
        self.hang_up()
        if not self.local:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._agent_ended()
        except TimeoutError:
            if self.agent.alive:
                self.machine.signal(self.agent, KILL, None)

    async def _agent_ended(self) -> None:
        ended = asyncio.get_running_loop().create_future()
        if self.agent.alive:
            self.agent.resources.append(lambda: None if ended.done() else ended.set_result(None))
            await ended

    # -- what may happen to it

    def hang_up(self) -> None:
        """The daemon's end is closed; the agent sees the end of its stdin after what is under way."""
        if not self.cut_there:
            self.cut_there = True
            self._later(max(self._down_at, self._now() + self._delay()), self._close_input)

    def cut(self, *, there_after_s: float) -> None:
        """Nothing passes any more: here it is seen at once, there after a while."""
        if self.cut_here:
            return
        self.cut_here = True
        self.owner.call_soon(self._end)
        if not self.cut_there:
            self.cut_there = True
            self._later(self._now() + there_after_s, self._close_input)

    def _orphaned(self) -> None:
        """The daemon died: its ends are closed by the kernel."""
        self.cut_here = True
        self.hang_up()

    def _send(self, data: bytes) -> None:
        if self.cut_there or self.weather.swallows():
            self.weather.lost("request-lost")
            return
        self._down_at = max(self._down_at, self._now() + self._delay())
        self._later(self._down_at, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if self.cut_here:
            self.weather.lost("request-late")
        if self.down.readers:
            self.down.data += data
            self.down.ring()

    def _close_input(self) -> None:
        if self._input.references:
            self._input.close()
            self.down.ring()

    def _collect(self) -> None:
        """The agent has written, or ended: it arrives later."""
        if self.up.data:
            data = bytes(self.up.data)
            self.up.data.clear()
            if self.cut_here or self.weather.swallows():
                self.weather.lost("reply-lost")
            else:
                self._up_at = max(self._up_at, self._now() + self._delay())
                self.machine.loop.kernel.call_later(self._up_at - self._now(), self._arrive, data)
        if not self.up.writers and not self.cut_here:
            self._up_at = max(self._up_at, self._now() + self._delay())
            self.machine.loop.kernel.call_later(self._up_at - self._now(), self._end)

    def _arrive(self, data: bytes) -> None:
        if self.cut_here:
            self.weather.lost("reply-lost")
        else:
            self._arrived += data
            self._stir()

    def _end(self) -> None:
        self._ended = True
        self._stir()

    def _stir(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _later(self, at: float, call: Callable[..., None], *args: object) -> None:
        """At the agent's machine: gone with its power."""
        self.machine.later(at - self._now(), call, *args)

    def _delay(self) -> float:
        return self.weather.delay_s()

    def _now(self) -> float:
        return self.machine.loop.now


class SimLink:
    """The link of one daemon to one source."""

    def __init__(
        self, reach: Callable[[], Machine], weather: Weather, wires: list[Wire], dice: random.Random, *, local: bool
    ) -> None:
        """reach: the machine that answers under the source's name now; wires: those made so far are kept here."""
        self._reach = reach
        self._weather = weather
        self._wires = wires
        self._dice = dice
        self._local = local

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> LineSession:
        """See `Link.open`."""
        await asyncio.sleep(self._weather.delay_s())
        trouble = self._weather.unreachable()
        if trouble:
            raise NotSent("Unreachable", trouble)
        wire = Wire(self._reach(), self._weather, PROCESS.get(), local=self._local)
        self._wires[:] = [each for each in self._wires if each.agent.alive and not each.cut_here]
        self._wires.append(wire)
        session = LineSession(wire)
        try:
            greeting = Greeting(instance=instance, root=root, slots=slots, gpus=gpus, ruler=ruler)
            await session.begin(b"", greeting, OPEN_TIMEOUT_S)
        except BaseException:
            await session.aclose()
            raise
        return session
