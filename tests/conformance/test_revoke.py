"""Giving up an attempt: whoever wins its claim decides, and what has started is left alone."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.errors import Fenced
from reconciler.core.wire import CancelOutcome, ClaimKind, RevokeOutcome, StartOutcome

pytestmark = pytest.mark.schedulers
REVOKED, CLAIMED = RevokeOutcome.REVOKED, RevokeOutcome.CLAIMED


async def revoke(visit, *eids):
    return dict(await visit.ask(visit.site.dialect.revoke(eids)))


async def test_what_never_came_there_is_revoked_and_never_starts(site):
    visit = await site.open()
    spec = site.shell("echo ran >> $log")

    assert {spec.eid: REVOKED} == await revoke(visit, spec.eid)

    assert {spec.eid: StartOutcome.REVOKED} == await visit.start(spec)
    await visit.run("true")
    found = (await visit.inspect(spec.eid))[spec.eid]
    assert (ClaimKind.REVOKED, False, []) == (found.claim.kind, found.waiting, site.logged())


async def test_what_waits_for_a_slot_is_revoked_and_leaves_the_queue(site):
    visit = await site.open(slots=1)
    first, second = site.spec("sleep", "0.3"), site.shell("echo ran >> $log")
    await visit.start(first, second)

    assert {second.eid: REVOKED} == await revoke(visit, second.eid)

    await visit.ended(first.eid)
    await visit.run("true")
    assert [] == site.logged()


async def test_what_runs_is_left_running(site):
    visit = await site.open()
    spec = site.shell("sleep 1; echo ran >> $log")
    await visit.start(spec)
    await visit.running(spec.eid)

    assert {spec.eid: CLAIMED} == await revoke(visit, spec.eid)

    assert 0 == (await visit.ended(spec.eid)).exit.exit_code
    assert ["ran"] == site.logged()


async def test_what_has_ended_stays_ended(site):
    visit = await site.open()
    found = await visit.run("true")

    assert {found.eid: CLAIMED} == await revoke(visit, found.eid)

    assert ClaimKind.STARTED is (await visit.inspect(found.eid))[found.eid].claim.kind


async def test_revoking_twice_is_revoking_once(site):
    visit = await site.open()
    spec = site.spec("true")
    await revoke(visit, spec.eid)
    first = (await visit.inspect(spec.eid))[spec.eid].claim

    assert {spec.eid: REVOKED} == await revoke(visit, spec.eid)

    assert first == (await visit.inspect(spec.eid))[spec.eid].claim
    assert {spec.eid: CancelOutcome.REVOKED} == await visit.cancel(spec.eid)


async def test_revoking_and_starting_at_once_has_one_winner(site):
    visit, specs = await site.open(slots=8), [site.shell(f"echo {number} >> $log") for number in range(40)]
    eids = [spec.eid for spec in specs]

    _, outcomes = await asyncio.gather(visit.start(*specs), revoke(visit, *eids))
    more = await revoke(visit, *eids)

    assert {eid for eid in eids if outcomes[eid] is REVOKED} <= {eid for eid in eids if more[eid] is REVOKED}
    for eid in eids:
        if more[eid] is CLAIMED:
            await visit.ended(eid)
    await visit.run("true")
    ran = [specs[int(number)].eid for number in site.logged()]
    assert sorted(eid for eid in eids if more[eid] is CLAIMED) == sorted(ran)


async def test_an_agent_of_an_older_epoch_revokes_nothing(site):
    old = await site.open()
    new = await site.open()
    spec = site.spec("true")

    with pytest.raises(Fenced):
        await revoke(old, spec.eid)

    assert {spec.eid: StartOutcome.ACCEPTED} == await new.start(spec)


async def test_one_whose_claim_cannot_be_made_is_left_out_and_no_other(site):
    visit = await site.open()
    bad, good = site.spec("true"), site.spec("true")
    folder = site.root / "attempts" / bad.eid[-2:]
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("in the way")

    outcomes = await revoke(visit, bad.eid, good.eid)

    assert {good.eid: REVOKED} == outcomes
