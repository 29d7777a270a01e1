"""What every way of holding code on a source has in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from reconciler.core.dispatch import Hold
from reconciler.core.model import Commit, ProjectName
from reconciler.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """Code that is on a source.

    path          where tasks run, absolute on the source
    seal          on the source: how its files looked when they were verified; "": nothing can be told from looks
    look_again_s  so long it is believed to be there; None: as long as the session lasts
    """

    path: str
    seal: str = ""
    look_again_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """Code that is not on a source, and what brings it there, which may take long; it returns the bytes that were sent.

    When that is done, `Way.bring` is asked again. It raises what asking a source raises, and RepositoryError.
    """

    supply: Callable[[], Awaitable[int]]


class Way(Protocol):
    """One way in which a source comes to hold the pinned code of one project.

    `bring` answers with the code, with what would have to be done first, or with why nothing that is pinned to it can
    start there: a hold whose reason says whether the code differs (ProjectDiffers) or could not be brought
    (ProjectNotReady). It raises what asking a source raises; Refused and Busy become a hold.
    """

    async def bring(self, source: Source, pin: Commit) -> Brought | Coming | Hold: ...


Ways: TypeAlias = Mapping[ProjectName, Way]
