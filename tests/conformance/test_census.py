"""All that is left of attempts can be listed, by the daemon that rules the root and by a visitor that knows nothing."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from reconciler.core.errors import Refused
from reconciler.core.wire import PAGE, Census, ClaimKind, Request
from reconciler.core.wire_json import census_from_json


async def census(visit, after: str = "") -> Census:
    reply = await visit.session.ask(Request(op="census", body={"after": after}))
    return census_from_json(reply.body)


async def all_remains(visit):
    """By eid, page after page, and how many pages there were."""
    found, after, pages = {}, "", 0
    while after or not pages:
        page = await census(visit, after)
        found |= {each.found.eid: each for each in page.remains}
        assert page.unread == ()
        after, pages = page.after, pages + 1
    return found, pages


async def test_what_ended_what_runs_and_what_was_revoked_is_told(site):
    visit = await site.open()
    done = await visit.run("true", parameters={"x": [1, "two"]}, walltime_s=60, digest="d")
    runs, revoked = site.shell("sleep 60"), site.shell("true")
    await visit.start(runs)
    await visit.running(runs.eid)
    await visit.cancel(revoked.eid)

    found, _ = await all_remains(visit)

    assert {done.eid, runs.eid, revoked.eid} == set(found)
    spec = found[done.eid].spec
    assert ({"x": [1, "two"]}, 60, "d", 1) == (spec.parameters, spec.walltime_s, spec.digest, spec.attempt)
    assert (done.claim, done.exit) == (found[done.eid].found.claim, found[done.eid].found.exit)
    assert (runs.task, None) == (found[runs.eid].spec.task, found[runs.eid].found.exit)
    assert (None, ClaimKind.REVOKED) == (found[revoked.eid].spec, found[revoked.eid].found.claim.kind)
    await visit.cancel(runs.eid)


async def test_a_visitor_is_told_the_same_and_whose_root_it_is_and_takes_nothing_over(site):
    ruling = await site.open(instance="aaaa")
    done = await ruling.run("true")

    visitor = await site.open(instance="")
    seen, _ = await all_remains(visitor)

    assert ("aaaa", 0) == (visitor.session.hello.owner, visitor.session.hello.epoch)
    assert {done.eid} == set(seen)
    assert 0 == (await ruling.run("true")).exit.exit_code


async def test_a_visitor_may_only_look(site):
    await site.open(instance="aaaa")
    visitor = await site.open(instance="")

    with pytest.raises(Refused) as refusal:
        await visitor.start(site.spec())
    assert "BadRequest" == refusal.value.reason


async def test_a_visitor_makes_nothing(site):
    visitor = await site.open(instance="")

    assert ({}, 1) == await all_remains(visitor)
    assert "" == visitor.session.hello.owner
    assert not site.root.exists()


async def test_each_attempt_is_on_one_page(site):
    visit = await site.open(instance="")
    eids = {f"gaaaa{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}aaaaabb"[:15] for n in range(PAGE + 7)}
    for eid in eids:
        (site.root / "attempts" / eid[-2:] / eid).mkdir(parents=True)

    found, pages = await all_remains(visit)

    assert (eids, 2) == (set(found), pages)


async def test_large_specs_make_smaller_pages(site):
    visit = await site.open(slots=8)
    specs = [site.spec("true", environment={"A": "x" * 100_000}) for _ in range(60)]
    await visit.start(*specs)
    for spec in specs:
        await visit.ended(spec.eid)

    found, pages = await all_remains(visit)

    assert ({spec.eid for spec in specs}, True) == (set(found), pages > 1)


async def test_a_torn_claim_and_a_torn_spec_are_told_as_such(site):
    visit = await site.open()
    other = await visit.run("true")
    torn, dead = await visit.run("true"), await visit.run("true")
    for each in (torn, dead):
        claim = site.root / "attempts" / each.eid[-2:] / each.eid / "claim"
        claim.write_text('{"kind": "star')
    os.utime(claim, (1.0, 1.0))  # before this boot
    (site.root / "attempts" / other.eid[-2:] / other.eid / "spec.json").write_text("")

    found, _ = await all_remains(visit)

    assert [(True, False), (True, True)] == [
        (found[each.eid].found.torn, found[each.eid].dead) for each in (torn, dead)
    ]
    assert (False, None, other.claim) == (
        found[other.eid].found.torn,
        found[other.eid].spec,
        found[other.eid].found.claim,
    )


async def test_the_mark_that_came_with_the_last_start_is_told_to_whoever_comes(site):
    visit = await site.open()
    assert "" == visit.session.hello.mark
    start = site.dialect.submit([site.spec("true")]).request
    for mark in ("d1 7", "d1 9"):
        await visit.session.ask(replace(start, body={**start.body, "mark": mark}))

    assert ["d1 9", "d1 9"] == [(await site.open(instance=who)).session.hello.mark for who in ("", "aaaa")]
