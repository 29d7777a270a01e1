"""Slots, GPUs, disks: what there is not enough of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.core.errors import Refused
from reconciler.core.wire import Ended, StartOutcome
from reconciler.source import probe


def most_at_once(lines: list[str]) -> int:
    now = most = 0
    for line in lines:
        now += 1 if line == "begin" else -1
        most = max(most, now)
    return most


async def test_no_more_run_at_once_than_there_are_slots(site):
    visit = await site.open(slots=2)
    specs = [site.shell("echo begin >> $log; sleep 0.1; echo end >> $log") for _ in range(8)]
    await visit.start(*specs)

    for spec in specs:
        await visit.ended(spec.eid)

    assert most_at_once(site.logged()) == 2


async def test_attempts_start_in_the_order_in_which_they_were_asked_for(site):
    visit = await site.open(slots=1)
    specs = [site.shell(f"echo {number} >> $log") for number in range(20)]
    await visit.start(*specs[:10])
    await visit.start(*specs[10:])

    await visit.ended(specs[-1].eid)

    assert site.logged() == [str(number) for number in range(20)]


async def test_no_gpu_is_given_to_two_at_once(site):
    visit = await site.open(slots=4, gpus=(0, 1, 5))
    script = 'for g in ${CUDA_VISIBLE_DEVICES//,/ }; do echo "begin $g" >> $log; done; sleep 0.1; '
    script += 'for g in ${CUDA_VISIBLE_DEVICES//,/ }; do echo "end $g" >> $log; done'
    specs = [site.shell(script, gpus=1 + number % 2) for number in range(8)]
    await visit.start(*specs)

    for spec in specs:
        found = await visit.ended(spec.eid)
        assert len(found.claim.gpus) == spec.gpus

    for gpu in ("0", "1", "5"):
        lines = [line.split()[0] for line in site.logged() if line.split()[1] == gpu]
        assert lines == ["begin", "end"] * (len(lines) // 2)


async def test_a_wait_for_gpus_does_not_hold_up_those_who_want_none(site):
    visit = await site.open(slots=2, gpus=(0,))
    long, waiting, plain = site.spec("sleep", "1", gpus=1), site.spec("true", gpus=1), site.spec("true")
    await visit.start(long, waiting, plain)

    await visit.ended(plain.eid)

    assert (await visit.inspect(waiting.eid))[waiting.eid].waiting


async def test_a_task_without_gpus_sees_none(site):
    visit = await site.open(gpus=(0, 1))

    found = await visit.run("sh", "-c", 'echo "${CUDA_VISIBLE_DEVICES-unset}"')

    assert (Path(found.directory) / "stdout.log").read_text() == "\n"


async def test_a_source_without_gpus_leaves_the_variable_alone(site):
    visit = await site.open()

    found = await visit.run("sh", "-c", 'echo "$CUDA_VISIBLE_DEVICES"', environment={"CUDA_VISIBLE_DEVICES": "7"})

    assert (Path(found.directory) / "stdout.log").read_text() == "7\n"


async def test_an_adopted_task_keeps_its_gpu(site):
    first = await site.open(slots=4, gpus=(0, 1))
    spec = site.shell("echo one >> $log; sleep 30", gpus=1)
    await first.start(spec)
    await site.until_logged(1)
    await first.kill_agent()

    second = await site.open(slots=4, gpus=(0, 1))
    found = await second.run("true", gpus=1)

    assert found.claim.gpus == (1,)


async def test_more_gpus_than_there_are_is_refused(site):
    visit = await site.open(gpus=(0,))
    spec = site.spec("true", gpus=2)
    await visit.start(spec)

    found = await visit.told(spec.eid, lambda found: found.refused)

    assert found.refused == "asks for 2 GPUs; this source has 1"


@pytest.fixture
def small_disk(site):
    """The site's root on a small disk of its own. Its tests are marked `mounts`."""
    site.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", site.root], check=True, capture_output=True)
    yield site.root
    subprocess.run(["umount", "-l", site.root], check=True)


def fill(folder: Path) -> None:
    with (folder / "filling").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


@pytest.mark.mounts
async def test_a_full_disk_refuses_attempts_in_the_words_of_the_system_and_runs_nothing(site, small_disk):
    visit = await site.open()
    fill(small_disk)
    spec = site.shell("echo ran >> $log")

    assert await visit.start(spec) == {spec.eid: StartOutcome.ACCEPTED}
    found = await visit.told(spec.eid, lambda found: found.refused)

    assert "No space left on device" in found.refused
    assert (found.claim, site.logged()) == (None, [])

    (small_disk / "filling").unlink()
    await visit.start(spec)
    assert (await visit.ended(spec.eid)).exit.exit_code == 0
    assert site.logged() == ["ran"]


@pytest.mark.mounts
async def test_a_disk_that_fills_up_during_a_task_does_not_lose_its_end(site, small_disk):
    visit = await site.open()
    spec = site.shell(f"cat /dev/zero > {small_disk}/filling 2>/dev/null; exit 5")
    await visit.start(spec)

    assert (await visit.ended(spec.eid)).exit.exit_code == 5
    assert (await visit.inspect(spec.eid))[spec.eid].exit.exit_code == 5


@pytest.mark.mounts
async def test_a_cancel_on_a_full_disk_still_ends_the_task(site, small_disk):
    visit = await site.open()
    spec = site.shell(f"echo $$ >> $log; cat /dev/zero > {small_disk}/filling 2>/dev/null; echo full >> $log; sleep 60")
    await visit.start(spec)
    await site.until_logged(2)

    await visit.cancel(spec.eid)

    assert (await visit.ended(spec.eid)).exit.ended_by is Ended.CANCEL


async def test_the_source_tells_its_own_load_and_room(site):
    visit = await site.open()
    found = await visit.ask(probe())

    assert found.cpus >= 1
    assert 0 < found.memory_free_mib <= found.memory_mib
    assert found.disk_free_mib > 0


async def test_a_root_that_cannot_be_made_is_refused(site):
    site.root.write_text("a file")

    with pytest.raises(Refused) as caught:
        await site.open()

    assert caught.value.reason == "RootUnusable"
