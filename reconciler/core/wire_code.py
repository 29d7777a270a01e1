"""The questions about code that is brought to a source, each with the reader of its answer; see `wire`."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from reconciler.core.errors import Garbled
from reconciler.core.model import Commit, Json, ProjectName
from reconciler.core.wire import Exchange, Reply, Request

SIDE_TIMEOUT_S = 660.0  # the agent itself gives git 600


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """A worktree on the source, and the seal by which its files are recognised."""

    path: str
    seal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    """How many worktrees are left, and how many were removed."""

    worktrees: int
    removed: int


def worktree(project: ProjectName, commit: Commit, links: Sequence[str], git_dir: str | None) -> Exchange[LaidOut]:
    """The immutable worktree of a commit, made once. git_dir: where it lies on the source; None: where code comes to.

    Refused: CommitMissing, WorktreeDiffers, UnfitCommit, LinkMissing, WorktreeFailed.
    """
    body: dict[str, Json] = {"project": project, "commit": commit, "links": list(links), "git_dir": git_dir}
    return Exchange(request=Request(op="worktree", body=body, timeout_s=SIDE_TIMEOUT_S), parse=_laid_out)


def have(project: ProjectName) -> Exchange[tuple[Commit, ...]]:
    """The newest commits that have come to the source."""
    return Exchange(request=Request(op="have", body={"project": project}), parse=_tips)


def piece(project: ProjectName, sha256: str, *, size: int, offset: int, data: bytes) -> Exchange[int]:
    """Some bytes of a bundle; answers how much of it is there, whatever was sent. Refused: BundleTooLarge, NoRoom."""
    text = base64.b64encode(data).decode("ascii")
    body: dict[str, Json] = {"project": project, "sha256": sha256, "size": size, "offset": offset, "data": text}
    return Exchange(request=Request(op="piece", body=body), parse=_size)


def unbundle(project: ProjectName, commit: Commit, sha256: str) -> Exchange[None]:
    """The bundle has come whole. Busy: it is to be sent again."""
    body: dict[str, Json] = {"project": project, "commit": commit, "sha256": sha256}
    return Exchange(request=Request(op="unbundle", body=body, timeout_s=SIDE_TIMEOUT_S), parse=_nothing)


def fetch(project: ProjectName, commit: Commit, url: str, protocol: str) -> Exchange[None]:
    """The source itself brings the commit from this address."""
    body: dict[str, Json] = {"project": project, "commit": commit, "url": url, "protocol": protocol}
    return Exchange(request=Request(op="fetch", body=body, timeout_s=SIDE_TIMEOUT_S), parse=_nothing)


def tidy(needed: Collection[str], unused_s: float) -> Exchange[Tidied]:
    """Remove code that was not needed for so long. needed: "<project>/<pin>"."""
    body: dict[str, Json] = {"needed": sorted(needed), "unused_s": unused_s}
    return Exchange(request=Request(op="tidy", body=body, timeout_s=SIDE_TIMEOUT_S), parse=_tidied)


def _laid_out(reply: Reply) -> LaidOut:
    path, seal = reply.body.get("path"), reply.body.get("seal", "")
    if not isinstance(path, str) or not isinstance(seal, str):
        raise Garbled("Garbled", f"not a worktree: {reply.body!r:.256}")
    return LaidOut(path=path, seal=seal)


def _tips(reply: Reply) -> tuple[Commit, ...]:
    tips = reply.body.get("tips")
    if not isinstance(tips, Sequence) or not all(isinstance(tip, str) for tip in tips):
        raise Garbled("Garbled", f"not commits: {reply.body!r:.256}")
    return tuple(Commit(str(tip)) for tip in tips)


def _size(reply: Reply) -> int:
    return _whole(reply, "size")


def _tidied(reply: Reply) -> Tidied:
    return Tidied(worktrees=_whole(reply, "worktrees"), removed=_whole(reply, "removed"))


def _whole(reply: Reply, name: str) -> int:
    value = reply.body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Garbled("Garbled", f"not a count: {reply.body!r:.256}")
    return value


def _nothing(reply: Reply) -> None:
    del reply
