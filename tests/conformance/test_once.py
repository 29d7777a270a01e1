"""Never twice: whoever asks, however often, from wherever."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from reconciler.core.errors import Fenced, Refused
from reconciler.core.wire import CancelOutcome, ClaimKind, Lock, StartOutcome
from reconciler.links.base import Ruler


async def test_two_hundred_tasks_run_exactly_once_each(site):
    visit = await site.open(slots=4)
    specs = [site.shell(f"echo {number} >> $log") for number in range(200)]

    await visit.start(*specs)

    for spec in specs:
        assert (await visit.ended(spec.eid)).exit.exit_code == 0
    assert Counter(site.logged()) == Counter(str(number) for number in range(200))
    ends = Counter(found.eid for found in visit.pushed if found.exit)
    assert set(ends.values()) == {1}


async def test_starting_again_what_waits_runs_or_has_ended_starts_nothing(site):
    visit = await site.open(slots=1)
    first, second = site.shell("echo first >> $log; sleep 0.3"), site.shell("echo second >> $log")
    await visit.start(first, second)
    await visit.running(first.eid)

    assert await visit.start(first, second) == {
        first.eid: StartOutcome.ACCEPTED,
        second.eid: StartOutcome.ACCEPTED,
    }
    await visit.ended(first.eid)
    await visit.ended(second.eid)
    assert await visit.start(first, second) == {first.eid: StartOutcome.CLAIMED, second.eid: StartOutcome.CLAIMED}

    await visit.run("true")
    assert site.logged() == ["first", "second"]


async def test_two_agents_that_start_the_same_attempts_at_once_start_each_once(site):
    one = await site.open(slots=8)
    other = await site.open(slots=8)
    for epoch in (site.root / "epoch").iterdir():
        epoch.unlink()  # so that the fence, which would stop the older one, is not what this test sees
    specs = [site.shell(f"echo {number} >> $log") for number in range(32)]

    await asyncio.gather(*(visit.start(*specs) for _ in range(16) for visit in (one, other)))

    for spec in specs:
        await asyncio.wait_for(_either(one.ended(spec.eid), other.ended(spec.eid)), 20)
    await asyncio.gather(one.run("true"), other.run("true"))
    assert Counter(site.logged()) == Counter(str(number) for number in range(32))


async def _either(*waits):
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_attempt_that_was_revoked_never_starts(site):
    visit = await site.open()
    spec = site.shell("echo ran >> $log")

    assert await visit.cancel(spec.eid) == {spec.eid: CancelOutcome.REVOKED}

    assert await visit.start(spec) == {spec.eid: StartOutcome.REVOKED}
    await visit.run("true")
    found = (await visit.inspect(spec.eid))[spec.eid]
    assert (found.claim.kind, found.waiting, site.logged()) == (ClaimKind.REVOKED, False, [])


async def test_an_attempt_that_waits_for_a_slot_is_revoked_by_a_cancel(site):
    visit = await site.open(slots=1)
    first, second = site.spec("sleep", "0.3"), site.shell("echo ran >> $log")
    await visit.start(first, second)
    assert (await visit.inspect(second.eid))[second.eid].waiting

    assert await visit.cancel(second.eid) == {second.eid: CancelOutcome.REVOKED}

    await visit.ended(first.eid)
    await visit.run("true")
    assert site.logged() == []


async def test_a_tombstone_outlives_being_forgotten(site):
    visit = await site.open()
    spec = site.shell("echo ran >> $log")
    await visit.cancel(spec.eid)

    await visit.forget(spec.eid)

    assert await visit.start(spec) == {spec.eid: StartOutcome.REVOKED}


async def test_revoking_and_starting_at_once_has_one_winner(site):
    one, specs = await site.open(slots=8), [site.shell(f"echo {number} >> $log") for number in range(40)]
    eids = [spec.eid for spec in specs]

    _, outcomes = await asyncio.gather(one.start(*specs), one.cancel(*eids))
    more = await one.cancel(*eids)

    revoked = {eid for eid in eids if more[eid] is CancelOutcome.REVOKED}
    assert {eid for eid in eids if outcomes[eid] is CancelOutcome.REVOKED} <= revoked
    for spec in specs:
        if spec.eid not in revoked:
            await one.ended(spec.eid)
    ran = {specs[int(number)].eid for number in site.logged()}
    assert not ran & revoked


async def test_a_root_of_another_instance_is_refused(site):
    await site.open(instance="aaaa")

    with pytest.raises(Refused) as caught:
        await site.open(instance="bbbb")

    assert caught.value.reason == "ForeignRoot"
    assert "another root" in caught.value.hint


async def test_an_agent_of_an_older_epoch_may_change_nothing_any_more(site):
    old = await site.open()
    new = await site.open()
    spec = site.spec("true")
    assert new.session.hello.epoch == old.session.hello.epoch + 1

    for mutation in (old.start(spec), old.cancel(spec.eid), old.acknowledge(spec.eid), old.forget(spec.eid)):
        with pytest.raises(Fenced):
            await mutation

    assert (await old.inspect(spec.eid))[spec.eid].claim is None
    assert await new.start(spec) == {spec.eid: StartOutcome.ACCEPTED}


async def test_a_daemon_that_was_cut_off_takes_nothing_back_from_a_newer_one(site):
    old = await site.open(ruler=Ruler(daemon="old"))
    epoch = old.session.hello.epoch
    await old.aclose()
    new = await site.open(ruler=Ruler(daemon="new"))

    with pytest.raises(Fenced):
        await site.open(ruler=Ruler(daemon="old", after=epoch))

    spec = site.spec("true")
    assert await new.start(spec) == {spec.eid: StartOutcome.ACCEPTED}


async def test_a_daemon_takes_back_what_a_late_hello_of_an_earlier_one_of_its_state_has_won(site):
    now = await site.open(ruler=Ruler(daemon="now"))
    epoch = now.session.hello.epoch
    await now.aclose()
    await (await site.open(ruler=Ruler(daemon="gone"))).aclose()

    again = await site.open(ruler=Ruler(daemon="now", after=epoch, earlier=("gone",)))
    assert again.session.hello.epoch == epoch + 2


@pytest.mark.parametrize(
    "ruler", [Ruler(daemon="old", after=1), Ruler(daemon="other"), Ruler()], ids=["it ruled last", "just started", "-"]
)
async def test_a_daemon_rules_if_nobody_else_has_ruled_since_or_it_has_just_started(site, ruler):
    for _ in range(2):  # the second answer may never have reached it
        await (await site.open(ruler=Ruler(daemon="old", after=0))).aclose()

    assert (await site.open(ruler=ruler)).session.hello.epoch == 3


async def test_an_attempt_that_cannot_be_read_keeps_no_other_from_starting(site):
    visit = await site.open()
    bad, good = site.spec("true"), site.spec("true")
    (site.root / "attempts" / bad.eid[-2:] / bad.eid / "claim").mkdir(parents=True)

    assert await visit.start(bad, good) == {good.eid: StartOutcome.ACCEPTED}


async def test_what_waits_in_the_queue_of_a_fenced_agent_never_starts(site):
    old = await site.open(slots=1)
    go = site.folder / "go"
    first = site.shell(f"echo first >> $log; while [ ! -e {go} ]; do sleep 0.05; done")
    second = site.shell("echo second >> $log")
    await old.start(first, second)
    await site.until_logged(1)

    new = await site.open(slots=1)
    go.touch()
    await new.ended(first.eid)
    await new.run("true")
    await asyncio.sleep(0.1)

    assert site.logged() == ["first"]
    assert await new.start(second) == {second.eid: StartOutcome.ACCEPTED}
    await new.ended(second.eid)
    assert site.logged() == ["first", "second"]


async def test_epochs_only_rise_and_old_ones_do_not_pile_up(site):
    epochs = []
    for _ in range(4):
        visit = await site.open()
        epochs.append(visit.session.hello.epoch)
        await visit.aclose()

    assert epochs == [1, 2, 3, 4]
    assert [path.name for path in (site.root / "epoch").iterdir()] == ["4"]


async def test_a_torn_claim_is_no_claim_to_read_and_still_lets_nobody_start(site):
    visit = await site.open()
    spec = site.shell("echo ran >> $log")
    await visit.cancel(spec.eid)
    claim = next((site.root / "attempts").glob(f"*/{spec.eid}/claim"))
    claim.write_bytes(b"")

    assert (await visit.inspect(spec.eid))[spec.eid].claim is None
    assert (await visit.inspect(spec.eid))[spec.eid].torn
    assert await visit.start(spec) == {}
    assert await visit.cancel(spec.eid) == {spec.eid: CancelOutcome.UNKNOWN}
    await visit.run("true")
    assert site.logged() == []


async def test_looking_makes_nothing(site):
    visit = await site.open()
    spec = site.spec("true")

    found = (await visit.inspect(spec.eid))[spec.eid]

    assert (found.staged, found.claim, found.exit, found.lock) == (False, None, None, Lock.UNKNOWN)
    assert list((site.root / "attempts").iterdir()) == []


async def test_a_lock_file_that_is_not_the_claimed_inode_says_nothing(site):
    visit = await site.open()
    found = await visit.run("true")
    claim = json.loads(next((site.root / "attempts").glob(f"*/{found.eid}/claim")).read_text())
    lock = site.folder / "other"
    lock.write_text("")
    lock.rename(claim["lock"]["path"])

    assert (await visit.inspect(found.eid))[found.eid].lock is Lock.UNKNOWN
