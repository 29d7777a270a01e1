"""Never lost: whatever is killed, and whenever, the end is known or the attempt goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from reconciler.core.errors import NotSent
from reconciler.core.wire import CancelOutcome, Ended, Lock, StartOutcome

STUBBORN = "trap '' TERM; echo $$ >> $log; while :; do sleep 0.05; done"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def gone(*pids: int) -> None:
    async with asyncio.timeout(10):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.01)


async def test_a_task_whose_time_is_up_is_told_to_end(site):
    visit = await site.open()
    spec = site.shell("trap 'echo told >> $log; exit 3' TERM; while :; do sleep 0.05; done", walltime_s=1)
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    assert (found.exit.ended_by, found.exit.exit_code, site.logged()) == (Ended.WALLTIME, 3, ["told"])


async def test_a_task_that_does_not_hear_is_killed_when_its_grace_is_over(site):
    visit = await site.open()
    spec = site.shell(STUBBORN, walltime_s=1, grace_s=0.3)
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    assert (found.exit.ended_by, found.exit.signal) == (Ended.WALLTIME, signal.SIGKILL)
    assert 1.3 <= found.exit.ended_at - found.exit.started_at < 5


async def test_a_stopped_task_hears_that_its_time_is_up(site):
    visit = await site.open()
    spec = site.shell("trap 'exit 4' TERM; kill -STOP $$; sleep 5", walltime_s=1, grace_s=10)
    await visit.start(spec)

    assert (await visit.ended(spec.eid)).exit.exit_code == 4


async def test_every_process_of_its_group_hears_that_the_time_is_up(site):
    visit = await site.open()
    child = f"trap 'echo heard >> {site.log}; exit' TERM; echo ready >> {site.log}; while :; do sleep 0.05; done"
    spec = site.python(
        "import signal, subprocess, sys\n"
        "child = subprocess.Popen(['bash', '-c', sys.argv[1]])\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "child.wait()\n",
        child,
        walltime_s=1,
        grace_s=3,
    )
    await visit.start(spec)

    await visit.ended(spec.eid)

    assert ["ready", "heard"] == site.logged()


@pytest.mark.parametrize("prefix", ["", "setsid "], ids=["in its group", "in a session of its own"])
async def test_no_descendant_outlives_its_task(site, prefix):
    visit = await site.open()
    spec = site.shell(f"{prefix}bash -c 'echo $$ >> {site.log}; trap \"\" TERM HUP; sleep 60' & sleep 0.3")
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    (descendant,) = site.logged()
    assert (found.exit.exit_code, alive(int(descendant))) == (0, False)


async def test_a_running_task_is_cancelled(site):
    visit = await site.open()
    spec = site.shell("echo $$ >> $log; exec sleep 60")
    await visit.start(spec)
    (pid,) = await site.until_logged(1)

    assert await visit.cancel(spec.eid) == {spec.eid: CancelOutcome.SIGNALLED}

    found = await visit.ended(spec.eid)
    assert (found.exit.ended_by, found.exit.signal, alive(int(pid))) == (Ended.CANCEL, signal.SIGTERM, False)


async def test_cancelling_what_has_ended_says_so(site):
    visit = await site.open()
    found = await visit.run("true")

    assert await visit.cancel(found.eid) == {found.eid: CancelOutcome.ENDED}


async def test_a_cancel_reaches_only_the_attempt_that_it_names(site):
    visit = await site.open(slots=1)
    specs = [site.shell(f"echo {number} >> $log; sleep 0.05") for number in range(10)]
    await visit.start(*specs)
    for spec in specs[:5]:
        await visit.ended(spec.eid)
        await visit.cancel(spec.eid)  # its shim is busy with the next one by now

    for spec in specs:
        found = await visit.ended(spec.eid)
        assert (found.exit.ended_by, found.exit.exit_code) == (Ended.ITSELF, 0)


async def test_a_task_outlives_its_agent_and_is_adopted_by_the_next(site):
    first = await site.open(slots=1)
    go = site.folder / "go"
    running = site.shell(f"echo one >> $log; until [ -e {go} ]; do sleep 0.05; done; echo end >> $log")
    waiting = site.shell("echo two >> $log")
    await first.start(running, waiting)
    await site.until_logged(1)

    await first.kill_agent()
    with pytest.raises(NotSent):
        await first.inspect(running.eid)
    second = await site.open(slots=1)

    found = await second.inspect(running.eid, waiting.eid)
    assert found[running.eid].lock is Lock.HELD
    assert (found[waiting.eid].claim, found[waiting.eid].waiting) == (None, False)
    assert await second.start(running, waiting) == {
        running.eid: StartOutcome.CLAIMED,
        waiting.eid: StartOutcome.ACCEPTED,
    }
    go.touch()
    assert (await second.ended(running.eid)).exit.exit_code == 0
    assert (await second.ended(waiting.eid)).exit.exit_code == 0
    assert site.logged() == ["one", "end", "two"]


async def test_a_signal_to_all_of_the_agent_s_session_leaves_the_tasks_alone(site):
    first = await site.open()
    spec = site.shell("echo one >> $log; sleep 1; echo end >> $log")
    await first.start(spec)
    await site.until_logged(1)

    first.signal_session(signal.SIGKILL)
    second = await site.open()

    found = (await second.inspect(spec.eid))[spec.eid]
    while found.lock is Lock.HELD:
        found = (await second.inspect(spec.eid))[spec.eid]
    assert found.exit is not None


async def test_whoever_looks_while_a_task_ends_sees_it_alive_or_its_record(site):
    visit = await site.open()
    spec = site.shell("sleep 0.2")
    await visit.start(spec)
    await visit.running(spec.eid)

    found = (await visit.inspect(spec.eid))[spec.eid]
    while found.lock is Lock.HELD:
        found = (await visit.inspect(spec.eid))[spec.eid]

    assert (found.lock, found.exit is not None) == (Lock.FREE, True)


async def test_no_end_is_missed_by_an_agent_that_stood_still(site):
    visit = await site.open(slots=120)
    go = site.folder / "go"
    specs = [site.shell(f"echo begin >> $log; until [ -e {go} ]; do sleep 0.1; done") for _ in range(120)]
    await visit.start(*specs)
    await site.until_logged(120)

    visit.signal_agent(signal.SIGSTOP)
    go.touch()
    await asyncio.sleep(2)  # the shims have more to say by now than a pipe holds
    visit.signal_agent(signal.SIGCONT)

    for spec in specs:
        assert (await visit.ended(spec.eid)).exit.exit_code == 0
    await visit.run("true")  # and every slot is free again


async def test_an_end_while_no_agent_was_there_is_told_by_the_next(site):
    first = await site.open()
    spec = site.shell("echo one >> $log; sleep 0.3; echo end >> $log")
    await first.start(spec)
    await site.until_logged(1)
    await first.kill_agent()
    await site.until_logged(2)

    second = await site.open()

    assert (await second.ended(spec.eid)).exit.exit_code == 0


async def test_an_adopted_task_is_cancelled_like_any_other(site):
    first = await site.open()
    spec = site.shell("echo one >> $log; exec sleep 60")
    await first.start(spec)
    await site.until_logged(1)
    await first.kill_agent()
    second = await site.open()

    assert await second.cancel(spec.eid) == {spec.eid: CancelOutcome.SIGNALLED}

    assert (await second.ended(spec.eid)).exit.ended_by is Ended.CANCEL


async def test_a_killed_task_is_recorded_with_its_signal(site):
    visit = await site.open()
    spec = site.shell("echo $$ >> $log; exec sleep 60")
    await visit.start(spec)
    (pid,) = await site.until_logged(1)

    os.kill(int(pid), signal.SIGKILL)

    assert (await visit.ended(spec.eid)).exit.signal == signal.SIGKILL


async def orphan(site, visit, script="echo $$ >> $log; exec sleep 60", **options):
    """An attempt whose shim has been killed; returns (spec, pid of the task)."""
    spec = site.shell(script, **options)
    await visit.start(spec)
    found = await visit.running(spec.eid)
    (pid,) = await site.until_logged(1)
    visit.pushed.clear()
    os.kill(found.claim.pid, signal.SIGKILL)
    return spec, int(pid)


async def test_the_lock_tells_that_a_task_lives_although_its_shim_was_killed(site):
    visit = await site.open()
    spec, pid = await orphan(site, visit)

    found = await visit.told(spec.eid, lambda found: found.claim)
    assert (found.lock, found.exit, alive(pid)) == (Lock.HELD, None, True)

    os.kill(pid, signal.SIGKILL)
    found = await visit.told(spec.eid, lambda found: found.lock is Lock.FREE)
    assert (found.exit, alive(pid)) == (None, False)


async def test_a_task_without_a_shim_keeps_its_slot(site):
    visit = await site.open(slots=1)
    spec, pid = await orphan(site, visit)
    other = site.spec("true")
    await visit.start(other)
    await visit.told(spec.eid, lambda found: found.lock is Lock.HELD)

    assert (await visit.inspect(other.eid))[other.eid].waiting

    os.kill(pid, signal.SIGKILL)
    assert (await visit.ended(other.eid)).exit.exit_code == 0


async def test_a_task_without_a_shim_is_cancelled_and_killed_if_it_does_not_hear(site):
    visit = await site.open()
    spec, pid = await orphan(site, visit, STUBBORN)
    await visit.told(spec.eid, lambda found: found.lock is Lock.HELD)

    exchange = type(site.dialect)(grace_s=0.2).cancel([spec.eid])
    assert await visit.ask(exchange) == {spec.eid: CancelOutcome.SIGNALLED}

    found = await visit.told(spec.eid, lambda found: found.lock is Lock.FREE)
    assert (found.exit, alive(pid)) == (None, False)


async def test_asking_again_does_not_lengthen_the_grace_of_a_task_without_a_shim(site):
    visit = await site.open()
    spec, pid = await orphan(site, visit, STUBBORN)
    await visit.told(spec.eid, lambda found: found.lock is Lock.HELD)

    async with asyncio.timeout(10):
        while alive(pid):
            await visit.ask(type(site.dialect)(grace_s=1).cancel([spec.eid]))
            await asyncio.sleep(0.2)


async def test_a_walltime_of_centuries_is_none(site):
    visit = await site.open()

    found = await visit.run("true", walltime_s=86_400 * 365 * 1000)

    assert 0 == found.exit.exit_code


async def test_the_walltime_of_a_task_without_a_shim_is_kept(site):
    visit = await site.open()
    spec, pid = await orphan(site, visit, walltime_s=1)

    await visit.told(spec.eid, lambda found: found.lock is Lock.FREE)

    assert not alive(pid)


async def test_the_walltime_of_a_task_without_a_shim_begins_with_the_task_not_with_its_shim(site):
    visit = await site.open(slots=1)
    await visit.run("sleep", "2")
    began = asyncio.get_running_loop().time()
    spec, _ = await orphan(site, visit, walltime_s=2)

    await visit.told(spec.eid, lambda found: found.lock is Lock.FREE)

    assert asyncio.get_running_loop().time() - began >= 2


async def test_looking_at_locks_is_never_taken_for_holding_them(site):
    one = await site.open()
    spec, pid = await orphan(site, one)
    await one.told(spec.eid, lambda found: found.lock is Lock.HELD)
    lock = next((site.root / "attempts").glob(f"*/{spec.eid}/lock.*"))

    with lock.open() as bystander:  # this very test process has the file open, as an observer would
        await one.cancel(spec.eid)
        await gone(pid)
        assert bystander.readable()


async def test_ends_are_told_again_to_every_new_session_until_acknowledged(site):
    first = await site.open()
    found = await first.run("true")
    await first.aclose()
    assert [found.eid] == os.listdir(site.root / "outbox/new")

    second = await site.open()
    assert (await second.ended(found.eid)).exit == found.exit
    await second.acknowledge(found.eid)
    await second.aclose()

    third = await site.open()
    await third.run("true")
    await asyncio.sleep(0.1)
    assert found.eid not in {found.eid for found in third.pushed}
    assert (await third.inspect(found.eid))[found.eid].exit == found.exit


async def test_an_end_is_told_once_in_a_session(site):
    visit = await site.open()
    found = await visit.run("true")

    await asyncio.sleep(6)  # longer than the agent waits between looks at its outbox

    assert sum(1 for pushed in visit.pushed if pushed.eid == found.eid and pushed.exit) == 1


async def test_the_end_of_the_session_leaves_the_tasks_alone(site):
    first = await site.open()
    spec = site.shell("echo one >> $log; sleep 0.5; echo end >> $log")
    await first.start(spec)
    await site.until_logged(1)

    await first.aclose()

    assert await site.until_logged(2) == ["one", "end"]


async def test_a_forgotten_attempt_leaves_nothing(site):
    visit = await site.open()
    found = await visit.run("touch", "a-file")
    await visit.acknowledge(found.eid)

    await visit.forget(found.eid)

    assert list((site.root / "attempts").glob("*/*")) == []
    async with asyncio.timeout(10):
        while list((site.root / "trash").iterdir()):  # noqa: ASYNC110 - another process empties it
            await asyncio.sleep(0.01)


async def test_a_running_attempt_is_not_forgotten(site):
    visit = await site.open()
    spec = site.shell("echo one >> $log; sleep 0.5")
    await visit.start(spec)
    await site.until_logged(1)

    await visit.forget(spec.eid)

    assert len(list((site.root / "attempts").glob(f"*/{spec.eid}"))) == 1
    assert (await visit.ended(spec.eid)).exit.exit_code == 0
