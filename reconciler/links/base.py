"""What a link is: bytes to and from one agent. Dialects and links never meet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.core.model import InstanceId
from reconciler.core.wire import Found, Hello, Reply, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruler:
    """Who asks to rule a root: one daemon, from start to end, and the last epoch that it has won there (0: none).

    With an epoch won, it is refused when another has won one since: who was frozen or cut off takes nothing back. But
    not when that was one of the `earlier` daemons of the same state: they are gone, and their hello came late.
    """

    daemon: str = ""
    after: int = 0
    earlier: tuple[str, ...] = ()


NEWCOMER = Ruler()  # has never ruled here


class Session(Protocol):
    """An open conversation with one agent.

    `ask` raises NotSent (nothing left), NoReply (it may have happened; also on timeout and when the session ends while
    the answer is awaited), or the SourceError that the agent named. `pushes` yields pages of evidence in the order
    in which the agent sent them and ends when the session ends.
    """

    @property
    def hello(self) -> Hello: ...

    async def ask(self, request: Request) -> Reply: ...

    def pushes(self) -> AsyncIterator[Sequence[Found]]: ...

    async def aclose(self) -> None: ...


class Link(Protocol):
    """How to reach one source. `open` starts the agent, says hello and wins an epoch.

    It raises NotSent when the source cannot be reached, Refused when the root belongs to another instance, Fenced when
    another daemon rules it now.
    """

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> Session: ...
