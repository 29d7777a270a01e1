"""The link to this machine: the agent is a child that speaks on its stdin and stdout."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from reconciler.core.model import InstanceId
from reconciler.core.wire import Found, Hello, Reply, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLink:
    """Starts the agent with `python` (by default the daemon's own)."""

    python: str = sys.executable

    async def open(self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...]) -> LocalSession:
        raise NotImplementedError


class LocalSession:
    """A conversation with one agent on this machine; see `Session`."""

    @property
    def hello(self) -> Hello:
        raise NotImplementedError

    async def ask(self, request: Request) -> Reply:
        raise NotImplementedError

    def pushes(self) -> AsyncIterator[Sequence[Found]]:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError
