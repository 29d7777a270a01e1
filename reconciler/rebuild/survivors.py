"""What has survived on the sources: whose roots they are, and all that is left of attempts there.

First everybody is only visited, so that nothing has changed when one of them says no. Then each root is ruled, by
winning its next epoch: nobody else can start anything there any more, and what was about to start gets a moment for it.

Where a scheduler keeps the queue it is asked, too, for what may be there: of a submission whose answer nobody has read
the files alone do not tell whether it was taken. One that does not answer says nothing, and the next daemon asks again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from reconciler import marks
from reconciler.clock import Clock
from reconciler.core.errors import ReconcilerError, Refused
from reconciler.core.model import Eid, InstanceId, SourceName
from reconciler.core.settings import SourceConfig
from reconciler.core.wire import Census, ClaimKind, Found, Remains
from reconciler.dialects.base import Dialect
from reconciler.links.base import Link
from reconciler.marks import census
from reconciler.rebuild.past import Left, Past
from reconciler.source import Source

SETTLE_S = 1.0  # what was forked before the fence has made its claim by then, or another source might run it, too

NOBODY = InstanceId("")  # who owns a root that was never used, and who only visits one


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How sources are reached, and by whom. `daemon`: a name that no daemon has."""

    dialect: Callable[[SourceConfig], Dialect]
    link: Callable[[SourceConfig], Link]
    clock: Clock
    daemon: str


async def owners(sources: Sequence[SourceConfig], reach: Reach) -> dict[SourceName, InstanceId]:
    """Whose root each source has, or NOBODY. Raises Refused (SourceUnread, OwnerUnknown) when one does not tell."""
    found = {}
    for config in sources:
        async with _session(config, NOBODY, reach) as source:
            assert source.state.hello is not None, "it is connected"
            found[config.name] = source.state.hello.owner
            if found[config.name] == NOBODY:
                await _refuse_used(source)
    return found


async def _refuse_used(source: Source) -> None:
    """A root without an owner, on which something ran: passed over, that would run again."""
    async for page in _pages(source):
        if page.remains or page.unread:
            raise Refused(
                "OwnerUnknown",
                f"attempts lie in the root of {source.config.name} ({source.config.root}), and nothing tells whose",
                hint="write the instance into its file OWNER: the four characters after the g in the attempts' names",
            )


def one_owner(found: Mapping[SourceName, InstanceId]) -> InstanceId:
    """The instance whose state is to be rebuilt. Raises Refused when there is none, or more than one."""
    instances = sorted(set(found.values()) - {NOBODY})
    if len(instances) == 1:
        return instances[0]
    if not instances:
        raise Refused(
            "NothingToRebuild",
            "no source of the configuration was ever used: nothing has run from it",
            hint="start the daemon; or, if something did run, check the `root` of each source",
        )
    told = ", ".join(f"{name}: {instance}" for name, instance in sorted(found.items()) if instance != NOBODY)
    raise Refused(
        "OwnersDiffer",
        f"the roots of the sources belong to different instances ({told})",
        hint="move the roots aside on which nothing ran that counts, or take their sources out of the configuration",
    )


async def survivors(
    sources: Sequence[SourceConfig],
    owner: InstanceId,
    reach: Reach,
    *,
    rule: bool,
    settle_s: float,
    tell: Callable[[int], None],
) -> Past:
    """All that is left of attempts on these sources, which are the owner's; `tell` hears how many so far.

    rule: fence everybody else off; else they are only visited. settle_s: a moment between the fence and the first look.
    Raises Refused (SourceUnread).
    """
    past, unread, count = Past(owner), dict[SourceName, list[Eid]](), 0
    async with AsyncExitStack() as stack:
        who = owner if rule else NOBODY
        sessions = [await stack.enter_async_context(_session(config, who, reach)) for config in sources]
        await reach.clock.sleep(settle_s)
        for source in sessions:
            assert source.state.hello is not None, "it is connected"
            daemon, moment = marks.read(source.state.hello.mark)
            past.moment = max(past.moment, moment)
            past.daemons.update({daemon} - {""})
            async for page in _pages(source):
                queue = await _queue(source, page) if rule else {}  # a visitor has only the files
                for left in _lefts(source, page, queue):
                    past.add(left)
                unread.setdefault(source.config.name, []).extend(page.unread)
                count += len(page.remains)
                tell(count)
    _refuse_unread(unread)
    return past


def _lefts(source: Source, page: Census, queue: Mapping[Eid, Found]) -> list[Left]:
    assert source.state.hello is not None, "it has just answered"
    name, scheduled, here = source.config.name, source.dialect.limits.scheduled, source.state.hello.identity
    remains = [replace(each, found=queue.get(each.found.eid, each.found)) for each in page.remains]
    return [Left(name, scheduled, here, each) for each in remains]


async def _queue(source: Source, page: Census) -> Mapping[Eid, Found]:
    """What lies there of those that may be in the queue of its scheduler, and what that says of them."""
    limits, found = source.dialect.limits, dict[Eid, Found]()
    eids = [each.found.eid for each in page.remains if _may_be_queued(each)] if limits.scheduled else []
    for first in range(0, len(eids), limits.inspect_max):
        try:
            told = await source.ask(source.dialect.inspect(eids[first : first + limits.inspect_max]))
        except ReconcilerError as error:
            raise _unread(source.config.name, error) from error
        found |= told
    return found


def _may_be_queued(remains: Remains) -> bool:
    found = remains.found
    revoked = found.claim is not None and found.claim.kind is ClaimKind.REVOKED
    return found.staged and found.exit is None and not revoked


async def _pages(source: Source) -> AsyncIterator[Census]:
    try:
        async for page in census(source):
            yield page
    except ReconcilerError as error:
        raise _unread(source.config.name, error) from error


@asynccontextmanager
async def _session(config: SourceConfig, who: InstanceId, reach: Reach) -> AsyncIterator[Source]:
    source = Source(
        config=config,
        instance=who,
        daemon=reach.daemon,
        dialect=reach.dialect(config),
        link=reach.link(config),
        clock=reach.clock,
    )
    try:
        await source.connect()
    except ReconcilerError as error:
        raise _unread(config.name, error) from error
    try:
        yield source
    finally:
        await source.aclose()


def _unread(name: SourceName, error: ReconcilerError) -> Refused:
    return Refused(
        "SourceUnread",
        f"the source {name} cannot be read: {error.message}",
        hint="what ran there would run again elsewhere: nothing is rebuilt without it, and nothing has changed",
    )


def _refuse_unread(unread: dict[SourceName, list[Eid]]) -> None:
    for name, eids in unread.items():
        if eids:
            raise Refused(
                "SourceUnread",
                f"the source {name} cannot read {len(eids)} of its attempts, such as {eids[0]}",
                hint="make them readable, or move their folders aside if what ran there may run again",
            )
