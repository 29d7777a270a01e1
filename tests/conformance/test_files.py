"""What attempts have written can be read over the session, verified, whatever lies there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from reconciler.core.errors import ReconcilerError
from reconciler.source import outputs, probe, read, survey

MIB = 1 << 20


async def test_the_files_of_an_attempt_are_told_with_their_hash_and_bytes(site) -> None:
    visit = await site.open()
    spec = site.shell("echo out; echo err >&2; echo '{}' > $RECONCILER_OUTPUT/metrics.json; exit 3")
    await visit.start(spec)
    found = await visit.ended(spec.eid)

    told = (await visit.ask(outputs([spec.eid], MIB)))[spec.eid]

    assert ["exit.json", "params.json", "stdout.log", "stderr.log", "metrics.json"] == list(told)
    assert (b"out\n", b"err\n", b"{}\n") == tuple(
        told[name].data for name in ("stdout.log", "stderr.log", "metrics.json")
    )
    assert hashlib.sha256(b"out\n").hexdigest() == told["stdout.log"].sha256
    assert found.exit.nonce.encode() in told["exit.json"].data


async def test_a_long_file_is_told_without_bytes_and_read_in_pieces(site) -> None:
    visit = await site.open()
    spec = site.shell("head -c 1000000 /dev/zero | tr '\\0' x")
    await visit.start(spec)
    await visit.ended(spec.eid)
    told = (await visit.ask(outputs([spec.eid], MIB)))[spec.eid]["stdout.log"]

    pieces = []
    while sum(map(len, pieces)) < told.size:
        piece = await visit.ask(read(spec.eid, "stdout.log", sum(map(len, pieces)), MIB))
        assert told.stamp == piece.stamp
        pieces.append(piece.data)

    assert (None, 1_000_000, 0, 1_000_000) == (told.data, told.head, told.tail, told.size)
    assert [262_144] * 3 + [213_568] == [len(piece) for piece in pieces]
    assert hashlib.sha256(b"".join(pieces)).hexdigest() == told.sha256


async def test_of_a_file_beyond_the_limit_its_beginning_and_its_end_are_hashed(site) -> None:
    visit = await site.open()
    spec = site.shell("printf aaaa; head -c 100000 /dev/zero; printf bbb")
    await visit.start(spec)
    await visit.ended(spec.eid)

    told = (await visit.ask(outputs([spec.eid], 7)))[spec.eid]["stdout.log"]

    assert (100_007, 4, 3, b"aaaabbb") == (told.size, told.head, told.tail, told.data)
    assert hashlib.sha256(b"aaaabbb").hexdigest() == told.sha256


async def test_only_regular_files_are_read(site) -> None:
    visit = await site.open()
    spec = site.shell("cd $RECONCILER_OUTPUT; ln -s /etc/passwd metrics.json; mkfifo progress.jsonl")
    await visit.start(spec)
    await visit.ended(spec.eid)

    told = (await visit.ask(outputs([spec.eid], MIB)))[spec.eid]

    assert all(told[name].error for name in ("metrics.json", "progress.jsonl"))
    assert not told["stdout.log"].error


async def test_a_file_that_is_written_to_has_another_stamp(site) -> None:
    visit = await site.open()
    spec = site.shell("echo one")
    await visit.start(spec)
    found = await visit.ended(spec.eid)
    told = (await visit.ask(outputs([spec.eid], MIB)))[spec.eid]["stdout.log"]
    Path(f"{found.directory}/stdout.log").write_text("one\ntwo")

    piece = await visit.ask(read(spec.eid, "stdout.log", 0, MIB))

    assert (b"one\ntwo", 7) == (piece.data, piece.size)
    assert told.stamp != piece.stamp


async def test_what_is_not_there_is_told_as_nothing(site) -> None:
    visit = await site.open()
    eid = site.spec().eid

    assert {eid: {}} == await visit.ask(outputs([eid], MIB))
    assert (b"", 0, "") == (lambda piece: (piece.data, piece.size, piece.stamp))(
        await visit.ask(read(eid, "stdout.log", 0, MIB))
    )


async def test_a_name_that_is_no_file_of_an_attempt_is_refused(site) -> None:
    visit = await site.open()

    with pytest.raises(ReconcilerError) as caught:
        await visit.ask(read(site.spec().eid, "../../OWNER", 0, MIB))

    assert "BadRequest" == caught.value.reason


async def test_many_attempts_are_told_as_many_as_fit_and_the_first_always(site) -> None:
    visit = await site.open(slots=4)
    specs = [site.shell("head -c 30000 /dev/urandom") for _ in range(12)]
    await visit.start(*specs)
    for spec in specs:
        await visit.ended(spec.eid)
    eids = [spec.eid for spec in specs]

    told = await visit.ask(outputs(eids, MIB))

    assert 0 < len(told) < 12
    assert eids[: len(told)] == list(told)


async def test_a_visitor_reads_what_runs_and_makes_nothing(site) -> None:
    visit = await site.open()
    spec = site.shell("echo one; sleep 60")
    await visit.start(spec)
    await visit.running(spec.eid)
    epochs = os.listdir(site.root / "epoch")
    visitor = await site.open(instance="", slots=0)

    piece = await visitor.ask(read(spec.eid, "stdout.log", 0, MIB))
    while not piece.data:
        piece = await visitor.ask(read(spec.eid, "stdout.log", 0, MIB))

    assert b"one\n" == piece.data
    assert epochs == os.listdir(site.root / "epoch")
    await visit.cancel(spec.eid)


async def test_a_visitor_asks_how_a_machine_is_though_there_is_no_root_so_far(site) -> None:
    visitor = await site.open(instance="", slots=0)

    seen, has = await visitor.ask(probe()), await visitor.ask(survey())

    assert seen.cpus > 0
    assert seen.disk_free_mib > 0
    assert "git" in has.programs
    assert not site.root.exists()
