"""How far a state had come, told to a source with all that is started there: so a copy put back is recognised.

Such a state gives names again that it had given before. On one source that does no harm: who won the claim of a name
keeps it. But no other source knows of that claim. So before anything is placed each source is asked for its mark and,
where the state is older than that, for all names that lie there. These are written down, and placed where they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TypeVar

from reconciler.core.errors import Garbled
from reconciler.core.model import Eid
from reconciler.core.wire import Census, Exchange, Request
from reconciler.core.wire_json import census_from_json
from reconciler.source import Source
from reconciler.store import Store

CENSUS_TIMEOUT_S = 600.0  # for a page, of a root on a slow disk

T = TypeVar("T")


def marked(exchange: Exchange[T], source: Source, store: Store) -> Exchange[T]:
    """The same question, which leaves our mark on the source."""
    body = {**exchange.request.body, "mark": f"{source.daemon} {store.moment()}"}
    return replace(exchange, request=replace(exchange.request, body=body))


def is_older(store: Store, source: Source, mark: str) -> bool:
    """Whether something was started on the source that this state cannot know of: by a daemon of a later state.

    What such a state adds to its own story, while it has not asked this source, takes nothing away from that.
    """
    daemon, moment = read(mark)
    return bool(daemon) and daemon != source.daemon and moment > store.known_of(daemon)


def read(mark: str) -> tuple[str, int]:
    """Who left it, and how far that one's state had come; "", 0 when it is none."""
    daemon, _, moment = mark.rpartition(" ")
    return (daemon, int(moment)) if daemon and moment.isdecimal() else ("", 0)


async def write_down_names(source: Source, store: Store) -> int:
    """Attempts that lie on the source, and of which the state does not know that: how many.

    Those that it does not know at all will be placed there; those that it intends for another source are there already.
    Raises what asking raises.
    """
    hello = source.state.hello
    assert hello is not None, "it is connected"
    count = 0
    async for page in census(source):
        eids: list[Eid] = [*(remains.found.eid for remains in page.remains), *page.unread]
        known = store.attempts_by_eid(eids)
        unknown = set(eids) - known.keys()
        store.keep_names(unknown, source.config.name)
        there = [each.eid for each in known.values() if each.source != source.config.name]
        count += len(unknown) + store.move(there, source.config.name, hello.identity)
    return count


async def census(source: Source) -> AsyncIterator[Census]:
    """All that is left of attempts on a source, page by page. Raises what asking a source raises."""
    after = ""
    while True:
        page = await source.ask(_page(after))
        yield page
        if not page.after:
            return
        if page.after == after:
            raise Garbled("Garbled", f"the census of {source.config.name} does not move on")
        after = page.after


def _page(after: str) -> Exchange[Census]:
    request = Request(op="census", body={"after": after}, timeout_s=CENSUS_TIMEOUT_S)
    return Exchange(request=request, parse=lambda reply: census_from_json(reply.body))
