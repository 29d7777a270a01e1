"""The pinned code on a source, where bringing it fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from some_stock import only_self
from virtual_clock import VirtualClock

from reconciler.core.errors import Busy
from reconciler.core.model import Code, Commit
from reconciler.core.settings import SELF
from reconciler.core.wire_code import LaidOut
from reconciler.project import AGAIN_S, Brought, Projects

CODE = Code(SELF, Commit("a" * 40))


class Source:
    """One that has no room for code, `failures` times."""

    config = SimpleNamespace(name="laptop", host=None)
    state = SimpleNamespace(hello=None)

    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def ask(self, exchange: Any) -> Any:
        self.failures -= 1
        if self.failures >= 0:
            raise Busy("Busy", "no room")
        return LaidOut(path="/projects/self", seal="/seal")


async def test_code_is_tried_again_in_time_though_the_clock_was_set_back():
    clock = VirtualClock()
    projects = Projects(Source(failures=1), only_self(Path("/mirror")), clock)
    await projects.bring({CODE})
    clock.jump(-86_400)
    await clock.advance(AGAIN_S)

    await projects.bring(set())
    assert Brought(path="/projects/self", seal="/seal") == projects.found(CODE)
