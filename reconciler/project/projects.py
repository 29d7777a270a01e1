"""What is known of the code on one source. Code that cannot be had is tried again after a while."""

from __future__ import annotations

import logging
from collections.abc import Set
from dataclasses import replace

from reconciler.clock import Clock
from reconciler.core.dispatch import Hold
from reconciler.core.errors import Busy, Refused
from reconciler.core.model import Code
from reconciler.core.wire import Hello
from reconciler.crashpoints import crashpoint
from reconciler.project.base import Brought, Ways
from reconciler.source import Source

log = logging.getLogger("reconciler.project")

AGAIN_S = 30.0


class Projects:
    """Which code is known to be on one source. A new session asks again: the other end may have changed."""

    def __init__(self, source: Source, ways: Ways, clock: Clock) -> None:
        self._source = source
        self._ways = ways
        self._clock = clock
        self._session: Hello | None = None
        self._found: dict[Code, Brought] = {}
        self._look_at: dict[Code, float] = {}  # elapsed, as below: until then what was found is believed
        self._doubted: dict[Code, float] = {}  # elapsed: when it was not as it had been found
        self._problems: dict[Code, Hold] = {}
        self._again_at: dict[Code, float] = {}  # elapsed: the wall clock may be set back meanwhile

    async def bring(self, wanted: Set[Code]) -> bool:
        """Bring this code, unless it is there or failed a moment ago.

        Returns whether anything has changed. Raises what asking a source raises when there is no answer.
        """
        elapsed = self._clock.elapsed()
        due = {code for code in self._problems if self._again_at[code] <= elapsed}
        missing = sorted((wanted | due) - self._there().keys() - (self._problems.keys() - due))
        for code in missing:
            await self._bring(code)
        return bool(missing)

    def found(self, code: Code) -> Brought | None:
        """Where tasks run that are pinned to this; None: it is not known to be there."""
        return self._there().get(code)

    def doubt(self, code: Code | None) -> None:
        """It is not as it was found: look at it again. What changes again and again is let be for a while."""
        elapsed = self._clock.elapsed()
        if code is None or self._there().pop(code, None) is None:
            return
        if elapsed - self._doubted.get(code, -AGAIN_S) < AGAIN_S:
            message = f"the code of {code.pin[:12]} on {self._source.config.name} changes again and again"
            self._hold(code, Hold(reason="ProjectDiffers", message=message))
        self._doubted[code] = elapsed

    def problem(self, code: Code) -> Hold | None:
        """Why nothing that is pinned to this can start here; it is tried again soon after the hold's end.

        From its end on there is nothing to wait for but what comes of that: who waited for an instant that has passed
        would never wait again.
        """
        hold = self._problems.get(code)
        overdue = hold is not None and hold.until is not None and hold.until <= self._clock.now()
        return replace(hold, until=None) if hold is not None and overdue else hold

    def forget(self, pinned: Set[Code]) -> None:
        """Only this code is of interest."""
        for code in self._problems.keys() - pinned:
            del self._problems[code]
        for code in self._doubted.keys() - pinned:
            del self._doubted[code]

    def _there(self) -> dict[Code, Brought]:
        if self._source.state.hello is not self._session:
            self._session = self._source.state.hello
            self._found = {}
        elapsed = self._clock.elapsed()
        for code in [code for code, brought in self._found.items() if self._is_old(code, brought, elapsed)]:
            del self._found[code]
        return self._found

    def _is_old(self, code: Code, brought: Brought, elapsed: float) -> bool:
        return brought.look_again_s is not None and self._look_at[code] <= elapsed

    async def _bring(self, code: Code) -> None:
        name = self._source.config.name
        try:
            found = await self._ask(code)
        except (Refused, Busy) as error:
            log.warning("code not brought", extra={"source": name, "commit": code.pin, "why": error.message})
            message = f"the code of {code.pin[:12]} cannot be brought to {name}: {error.message}"
            found = Hold(reason="ProjectNotReady", message=message + (f" ({error.hint})" if error.hint else ""))
        if isinstance(found, Hold):
            self._hold(code, found)
            return
        crashpoint("project.brought")
        self._there()[code] = found
        self._look_at[code] = self._clock.elapsed() + (found.look_again_s or 0.0)
        self._problems.pop(code, None)

    def _hold(self, code: Code, hold: Hold) -> None:
        again_s = AGAIN_S if hold.until is None else max(0.0, hold.until - self._clock.now())
        self._problems[code] = replace(hold, until=self._clock.now() + again_s)
        self._again_at[code] = self._clock.elapsed() + again_s

    async def _ask(self, code: Code) -> Brought | Hold:
        way = self._ways.get(code.project)
        if way is None:
            message = f"the configuration has no project {code.project!r} any more"
            return Hold(reason="ProjectNotReady", message=message)
        return await way.bring(self._source, code.pin)
