"""What is known of the code on one source. Code that cannot be had is tried again after a while.

A look is quick, and done at once. What must be sent first may take long: that goes on beside everything else, one at a
time for each source, and when it has gone on for a moment, its sweeps are held from this source, and from no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace

from reconciler.clock import Clock
from reconciler.core.dispatch import Hold
from reconciler.core.errors import Busy, Garbled, LinkError, ReconcilerError, Refused, RepositoryError
from reconciler.core.model import Code, ProjectName
from reconciler.core.wire import Hello
from reconciler.core.wire_code import tidy
from reconciler.crashpoints import crashpoint
from reconciler.project.base import Brought, Coming, Ways
from reconciler.source import Source

log = logging.getLogger("reconciler.project")

AGAIN_S = 30.0
DOUBTS_MAX = 5  # within that time: who touches files without a change costs only a look each time
COMING_GRACE_S = 5.0  # what comes quickly need not send tasks elsewhere
UNUSED_S = 7 * 86400.0  # so long code stays on a source that no sweep is pinned to
TIDY_EVERY_S = 6 * 3600.0


@dataclass(slots=True)
class Tally:
    """What was done for one project on this source; all but `worktrees` only ever grows."""

    brought: int = 0
    failures: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Supply:
    """Code that is on its way in one session."""

    code: Code
    session: Hello | None
    task: asyncio.Future[int]


class Projects:
    """Which code is known to be on one source. A new session asks again: the other end may have changed."""

    def __init__(self, source: Source, ways: Ways, clock: Clock) -> None:
        self._source = source
        self._ways = ways
        self._clock = clock
        self._session: Hello | None = None
        self._found: dict[Code, Brought] = {}
        self._look_at: dict[Code, float] = {}  # elapsed, as below: until then what was found is believed
        self._doubted: dict[Code, list[float]] = {}  # elapsed: when it was lately not as it had been found
        self._problems: dict[Code, Hold] = {}
        self._again_at: dict[Code, float] = {}  # elapsed: the wall clock may be set back meanwhile
        self._since: dict[Code, float] = {}  # elapsed: what is to be sent first, and since when that is known
        self._supply: _Supply | None = None
        self._tidy_at: float | None = None  # elapsed; None: at once
        self._tallies: dict[ProjectName, Tally] = {}
        self.stirred: Callable[[], None] = lambda: None  # something has come: bring again

    async def bring(self, wanted: Set[Code]) -> bool:
        """Look for this code, and bring what is missing, unless it failed a moment ago.

        Returns whether anything has changed. Raises what asking a source raises when there is no answer.
        """
        self._receive()
        elapsed = self._clock.elapsed()
        due = {code for code in self._problems if self._again_at[code] <= elapsed}
        asked = wanted | due | self._since.keys()
        missing = sorted(asked - self._there().keys() - (self._problems.keys() - due))
        for code in missing:
            if self._supply is None or self._supply.code != code:
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
        lately = [at for at in self._doubted.get(code, []) if elapsed - at < AGAIN_S]
        if len(lately) >= DOUBTS_MAX:
            message = f"the code of {code.pin[:12]} on {self._source.config.name} changes again and again"
            self._hold(code, Hold(reason="ProjectDiffers", message=message))
        self._doubted[code] = [*lately, elapsed][-DOUBTS_MAX:]
        self.stirred()

    def problem(self, code: Code) -> Hold | None:
        """Why nothing that is pinned to this can start here; it is tried again soon after the hold's end.

        From its end on there is nothing to wait for but what comes of that: who waited for an instant that has passed
        would never wait again.
        """
        hold = self._problems.get(code)
        if hold is None:
            return self._coming(code)
        overdue = hold.until is not None and hold.until <= self._clock.now()
        return replace(hold, until=None) if overdue else hold

    def tallies(self) -> Mapping[ProjectName, Tally]:
        """What was done so far, by project."""
        return self._tallies

    async def keep(self, pinned: Set[Code]) -> None:
        """Only this code is of interest; other code leaves the source when it was of none for long.

        Raises what asking a source raises when there is no answer.
        """
        for codes in (self._problems, self._doubted, self._since):
            for code in codes.keys() - pinned:
                del codes[code]
        self._there()
        elapsed = self._clock.elapsed()
        if self._tidy_at is not None and elapsed < self._tidy_at:
            return
        self._tidy_at = elapsed + TIDY_EVERY_S
        try:
            needed = {f"{code.project}/{code.pin.rpartition(':')[2]}" for code in pinned}
            needed |= {f"{code.project}/{each.path.rpartition('/')[2]}" for code, each in self._found.items()}
            done = await self._source.ask(tidy(needed, UNUSED_S))
        except (Refused, Busy, Garbled) as error:
            log.warning("unused code not removed", extra={"source": self._source.config.name, "why": error.message})
            return
        if done.removed:
            log.info("unused code removed", extra={"source": self._source.config.name, "worktrees": done.removed})

    def _there(self) -> dict[Code, Brought]:
        if self._source.state.hello is not self._session:
            self._session = self._source.state.hello
            self._found = {}
            self._tidy_at = None
        elapsed = self._clock.elapsed()
        for code in [code for code, brought in self._found.items() if self._is_old(code, brought, elapsed)]:
            del self._found[code]
        return self._found

    def _is_old(self, code: Code, brought: Brought, elapsed: float) -> bool:
        return brought.look_again_s is not None and self._look_at[code] <= elapsed

    async def _bring(self, code: Code) -> None:
        try:
            found = await self._ask(code)
        except (Refused, Busy, RepositoryError) as error:
            found = self._failed(code, error)
        match found:
            case Brought():
                crashpoint("project.brought")
                self._there()[code] = found
                self._look_at[code] = self._clock.elapsed() + (found.look_again_s or 0.0)
                self._problems.pop(code, None)
                self._since.pop(code, None)
                self._tally(code).brought += 1
            case Coming(supply=supply):
                self._problems.pop(code, None)
                self._since.setdefault(code, self._clock.elapsed())
                if self._supply is None:  # else its turn comes when that is done
                    task = asyncio.ensure_future(supply())
                    task.add_done_callback(self._supplied)
                    self._supply = _Supply(code, self._session, task)
            case Hold():
                self._hold(code, found)

    async def _ask(self, code: Code) -> Brought | Coming | Hold:
        way = self._ways.get(code.project)
        if way is None:
            message = f"the configuration has no project {code.project!r} any more"
            return Hold(reason="ProjectNotReady", message=message)
        return await way.bring(self._source, code.pin)

    def _supplied(self, task: asyncio.Future[int]) -> None:
        """How it has ended is told by who receives it. When its session has ended nobody does, and nobody need."""
        if not task.cancelled():
            task.exception()
        self.stirred()

    def _receive(self) -> None:
        """What was on its way has come, or has not."""
        supply = self._supply
        if supply is None:
            return
        if supply.session is not self._source.state.hello:
            supply.task.cancel()
            self._supply = None
        elif supply.task.done():
            self._supply = None
            try:
                self._tally(supply.code).sent_bytes += supply.task.result()
            except LinkError:  # the session ends; the next one begins with a look
                pass
            except ReconcilerError as error:
                self._hold(supply.code, self._failed(supply.code, error))

    def _coming(self, code: Code) -> Hold | None:
        since = self._since.get(code)
        if since is None or self._clock.elapsed() - since < COMING_GRACE_S:
            return None
        message = f"the code of {code.pin[:12]} is on its way to {self._source.config.name}"
        return Hold(reason="ProjectComing", message=message)

    def _failed(self, code: Code, error: ReconcilerError) -> Hold:
        name = self._source.config.name
        log.warning("code not brought", extra={"source": name, "commit": code.pin, "why": error.message})
        message = f"the code of {code.pin[:12]} cannot be brought to {name}: {error.message}"
        return Hold(reason="ProjectNotReady", message=message + (f" ({error.hint})" if error.hint else ""))

    def _hold(self, code: Code, hold: Hold) -> None:
        again_s = AGAIN_S if hold.until is None else max(0.0, hold.until - self._clock.now())
        self._since.pop(code, None)
        self._problems[code] = replace(hold, until=self._clock.now() + again_s)
        self._again_at[code] = self._clock.elapsed() + again_s
        self._tally(code).failures += 1

    def _tally(self, code: Code) -> Tally:
        return self._tallies.setdefault(code.project, Tally())
