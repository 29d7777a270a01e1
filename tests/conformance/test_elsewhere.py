"""What was written elsewhere, or by another start, proves nothing here."""

from __future__ import annotations

import json

import pytest

from reconciler.core.wire import CancelOutcome, Lock


def lies(site, eid, name):
    """Where a file of the attempt lies."""
    return next((site.root / "attempts").glob(f"*/{eid}")) / name


@pytest.mark.parametrize("field", ["machine", "host"])
async def test_the_lock_of_another_machine_says_nothing(site, field):
    visit = await site.open()
    found = await visit.run("true")
    claim = lies(site, found.eid, "claim")
    claim.write_text(json.dumps(json.loads(claim.read_text()) | {field: "another"}))

    assert (await visit.inspect(found.eid))[found.eid].lock is Lock.UNKNOWN


async def test_the_record_of_another_start_ends_nothing(site):
    visit = await site.open()
    ended = await visit.run("true")
    spec = site.shell("echo $$ >> $log; exec sleep 60")
    await visit.start(spec)
    await visit.running(spec.eid)
    lies(site, spec.eid, "exit.json").write_bytes(lies(site, ended.eid, "exit.json").read_bytes())

    assert await visit.cancel(spec.eid) == {spec.eid: CancelOutcome.SIGNALLED}
