"""A claim or an exit record that is not what was written there, on the very boot that wrote it.

No sound disk does that, but a broken one does, and so may a task that writes files of these names. What is not whole is
not believed, what lies there at all lets nobody start, and one such attempt harms no other.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from source_life import INSTANCE, eid_of, spec_of
from torn_garbage import NONSENSE, PATIENCE_S, Ruins, left_by_an_agent, spoilt

from reconciler.core.errors import Fenced
from reconciler.core.model import Eid
from reconciler.dialects.process import ProcessDialect
from reconciler.links.base import Ruler, Session
from reconciler.links.local import LocalLink


@pytest.fixture
async def ruins(tmp_path: Path) -> Ruins:
    return await left_by_an_agent(tmp_path)


async def session_in(root: Path, ruler: Ruler | None = None) -> Session:
    return await LocalLink().open(instance=INSTANCE, root=str(root), slots=2, gpus=(), ruler=ruler or Ruler())


async def exit_code(session: Session, eid: Eid) -> int | None:
    """Of the end that is told of it."""
    async with asyncio.timeout(PATIENCE_S):
        async for page in session.pushes():
            for found in page:
                if found.eid == eid and found.exit is not None:
                    return found.exit.exit_code
    raise AssertionError("the session ended before")


def test_no_spoilt_record_is_a_success_and_none_stops_the_attempt_from_ending(
    ruins: Ruins, figures: Counter[str]
) -> None:
    record, claim = ruins.file("exit.json"), ruins.file("claim")
    whole, nonce = record.read_bytes(), json.loads(claim.read_bytes())["nonce"]
    assert {"succeeded"} == {ruins.conclusion(nonce=None), ruins.conclusion(nonce=nonce)}

    drawn = Counter[str]()
    for text in spoilt(whole, ruins.file("exit.json", "fails").read_bytes()):
        record.write_bytes(text)
        drawn.update([ruins.conclusion(nonce=None), ruins.conclusion(nonce=nonce)])

    figures["spoilt claims and records"] += drawn.total() // 2
    assert {"lost"} == set(drawn)  # its lock is free


@pytest.mark.parametrize("recorded", [True, False], ids=["its record is there", "no record"])
def test_no_spoilt_claim_ends_an_attempt_or_lets_it_start_again(
    ruins: Ruins, figures: Counter[str], recorded: bool
) -> None:
    claim = ruins.file("claim")
    whole = claim.read_bytes()
    nonce = json.loads(whole)["nonce"]
    if not recorded:
        ruins.file("exit.json").unlink()

    drawn = Counter[tuple[str, str]]()
    for text in spoilt(whole, ruins.file("claim", "fails").read_bytes()):
        claim.write_bytes(text)
        drawn.update([("fresh", ruins.conclusion(nonce=None)), ("known", ruins.conclusion(nonce=nonce))])

    figures["spoilt claims and records"] += drawn.total() // 2
    assert {("fresh", "ClaimTorn"), ("known", "succeeded" if recorded else "ClaimTorn")} == set(drawn)


async def test_whatever_lies_where_a_claim_should_be_lets_nobody_start_and_harms_no_other(ruins: Ruins) -> None:
    log = ruins.root.parent / "log"
    ran = log.read_text().split()
    claim = ruins.file("claim")
    for text in (b"", bytes(400), claim.read_bytes()[:200], *NONSENSE):
        claim.write_bytes(text)
        session = await session_in(ruins.root)
        try:
            submit = ProcessDialect().submit([spec_of("succeeds", log)])
            assert {} == submit.parse(await session.ask(submit.request))
            inspect = ProcessDialect().inspect([eid_of("succeeds"), eid_of("fails")])
            found = inspect.parse(await session.ask(inspect.request))
            assert [True, False] == [each.torn for each in found.values()]
        finally:
            await session.aclose()

    assert ran == log.read_text().split()


@pytest.mark.parametrize("name", ["exit.json", "claim"])
@pytest.mark.parametrize("text", ["{}", '{"nonce": 7}', "[" * 5000, ""], ids=["{}", "{nonce}", "[[[", "nothing"])
async def test_a_task_that_writes_a_file_of_our_name_harms_no_other(tmp_path: Path, name: str, text: str) -> None:
    log, go = tmp_path / "log", tmp_path / "go"
    os.mkfifo(go)
    script = f"printf %s '{text}' > {name}; echo rude >> {log}; read x < {go}; exit 5"
    rude = replace(spec_of("slow", log), argv=("/bin/sh", "-c", script))
    session = await session_in(tmp_path / "root")
    submit = ProcessDialect().submit([rude])
    submit.parse(await session.ask(submit.request))
    async with asyncio.timeout(PATIENCE_S):
        while not log.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
    await session.aclose()

    session = await session_in(tmp_path / "root")  # which finds it, and looks
    try:
        inspect = ProcessDialect().inspect([rude.eid])
        seen = inspect.parse(await session.ask(inspect.request))[rude.eid]
        assert (None, name == "claim") == (seen.exit, seen.torn)
        submit = ProcessDialect().submit([spec_of("fails", log)])
        submit.parse(await session.ask(submit.request))
        assert 3 == await exit_code(session, eid_of("fails"))
        go.write_text("\n")
        if name == "exit.json":
            assert 5 == await exit_code(session, rude.eid)
    finally:
        await session.aclose()


@pytest.mark.parametrize("script", ["rm -rf *", "rm -rf .exit.*", 'rm -rf "$PWD"'], ids=["all", "hidden", "folder"])
async def test_a_task_that_removes_what_lies_in_its_folder_still_has_an_end(tmp_path: Path, script: str) -> None:
    session = await session_in(tmp_path / "root")
    rude = replace(spec_of("slow", tmp_path / "log"), argv=("/bin/sh", "-c", f"{script}; exit 5"))
    try:
        submit = ProcessDialect().submit([rude])
        submit.parse(await session.ask(submit.request))
        assert 5 == await exit_code(session, rude.eid)
    finally:
        await session.aclose()


@pytest.mark.parametrize(
    "text", [b"", bytes(100), b'{"daemon"', b"[]", b"7"], ids=["empty", "zeros", "half", "list", "7"]
)
async def test_an_epoch_that_cannot_be_understood_is_anothers_to_who_ruled_before_it(
    tmp_path: Path, text: bytes
) -> None:
    session = await session_in(tmp_path / "root", Ruler(daemon="old"))
    await session.aclose()
    (tmp_path / "root/epoch/2").write_bytes(text)

    with pytest.raises(Fenced):
        await session_in(tmp_path / "root", Ruler(daemon="old", after=1))

    session = await session_in(tmp_path / "root", Ruler(daemon="new"))
    await session.aclose()
    assert 3 == session.hello.epoch
