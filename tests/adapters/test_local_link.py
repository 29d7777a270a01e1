"""The local link against agents that misbehave: every failure says whether something may have happened."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest

from reconciler.core.errors import Fenced, NoReply, NotSent, Refused
from reconciler.core.model import Eid, InstanceId
from reconciler.core.wire import Request
from reconciler.links.bundle import agent_text
from reconciler.links.local import LocalLink

HELLO = {
    "protocol": 1,
    "host": "h",
    "machine": "m",
    "boot": "b",
    "epoch": 1,
    "python": "3.6.0",
    "root": "/r",
    "clock": 1.0,
    "owner": "aaaa",
}
FOUND = {
    "staged": False,
    "waiting": False,
    "claim": None,
    "lock": "unknown",
    "exit": None,
    "refused": "",
    "directory": "/r/a",
}
EID = "gaaaabcdefghijk"


@pytest.fixture
def agent(tmp_path):
    """A stand-in for the agent: reads its text, says hello, then does what the given code says with each `message`."""

    def make(code: str, hello: str = "say({'id': message['id'], 'ok': HELLO})") -> LocalLink:
        script = tmp_path / "python"
        script.write_text(
            f"#!{sys.executable} -IS\n"
            "import json, os, sys, time\n"
            f"HELLO, FOUND = {HELLO!r}, {FOUND!r}\n"
            "def say(value): os.write(1, json.dumps(value).encode() + b'\\n')\n"
            f"sys.stdin.buffer.read({len(agent_text())})\n"
            "message = json.loads(sys.stdin.buffer.readline())\n"
            f"{hello}\n"
            "for line in sys.stdin.buffer:\n"
            "    message = json.loads(line)\n"
            f"    {code}\n"
        )
        script.chmod(0o755)
        return LocalLink(python=str(script), open_timeout_s=10)

    return make


async def opened(link: LocalLink):
    return await link.open(instance=InstanceId("aaaa"), root="/r", slots=1, gpus=())


def request(op: str = "probe", *, timeout_s: float = 10.0, **body) -> Request:
    return Request(op=op, body=body, timeout_s=timeout_s)


async def test_an_interpreter_that_is_not_there_means_that_nothing_was_sent():
    with pytest.raises(NotSent) as caught:
        await opened(LocalLink(python="/no/such/python"))

    assert "/no/such/python" in caught.value.message


async def test_an_agent_that_does_not_start_is_quoted(tmp_path):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'no memory left' >&2\nexit 1\n")
    script.chmod(0o755)

    with pytest.raises(NotSent) as caught:
        await opened(LocalLink(python=str(script)))

    assert caught.value.message == "the agent did not start: no memory left"


async def test_an_agent_that_never_says_hello_means_that_nothing_was_sent(agent):
    link = agent("pass", hello="time.sleep(60)")

    with pytest.raises(NotSent):
        await opened(LocalLink(python=link.python, open_timeout_s=0.3))


async def test_a_refused_hello_is_passed_on(agent):
    refusal = "say({'id': message['id'], 'error': {'reason': 'ForeignRoot', 'message': 'm', 'hint': 'h'}})"

    with pytest.raises(Refused) as caught:
        await opened(agent("pass", hello=refusal))

    assert caught.value.reason == "ForeignRoot"


async def test_answers_find_their_questions_in_any_order(agent):
    code = "late = globals().setdefault('late', []); late.append(message['id'])\n"
    code += "    if len(late) == 3:\n        for n in reversed(late): say({'id': n, 'ok': {'number': n}})"
    session = await opened(agent(code))

    replies = await asyncio.gather(*(session.ask(request()) for _ in range(3)))

    assert [reply.body["number"] for reply in replies] == [2, 3, 4]
    await session.aclose()


async def test_the_epoch_goes_with_every_mutation(agent):
    session = await opened(agent("say({'id': message['id'], 'ok': message})"))

    assert (await session.ask(request("cancel", eids=[]))).body["epoch"] == 1
    assert "epoch" not in (await session.ask(request("inspect", eids=[]))).body
    await session.aclose()


async def test_messages_of_megabytes_pass_both_ways(agent):
    session = await opened(agent("say({'id': message['id'], 'ok': {'echo': message['text']}})"))
    text = "x" * 5_000_000

    assert (await session.ask(request("inspect", text=text))).body == {"echo": text}
    await session.aclose()


async def test_no_answer_in_time_means_that_it_may_have_happened(agent):
    session = await opened(agent("pass"))

    with pytest.raises(NoReply) as caught:
        await session.ask(request(timeout_s=0.1))

    assert caught.value.reason == "Timeout"
    await session.aclose()


async def test_an_answer_that_comes_too_late_disturbs_nobody(agent):
    code = "time.sleep(0.3 if message['op'] == 'slow' else 0); say({'id': message['id'], 'ok': {'op': message['op']}})"
    session = await opened(agent(code))
    with pytest.raises(NoReply):
        await session.ask(request("slow", timeout_s=0.1))

    assert (await session.ask(request("quick"))).body == {"op": "quick"}
    await session.aclose()


async def test_an_agent_that_ends_leaves_open_questions_without_reply(agent):
    session = await opened(agent("sys.stderr.write('last words'); sys.exit(1)"))

    with pytest.raises(NoReply) as caught:
        await session.ask(request())

    assert caught.value.message == "the agent ended: last words"
    with pytest.raises(NotSent):
        await session.ask(request())
    await session.aclose()


async def test_noise_on_stdout_ends_the_session(agent):
    session = await opened(agent("print('Welcome to the cluster!', flush=True)"))

    with pytest.raises(NoReply) as caught:
        await session.ask(request())

    assert "Welcome to the cluster!" in caught.value.message
    await session.aclose()


async def test_an_error_of_the_agent_is_raised_as_the_one_that_it_is(agent):
    session = await opened(
        agent("say({'id': message['id'], 'error': {'reason': 'Fenced', 'message': 'm', 'hint': ''}})")
    )

    with pytest.raises(Fenced):
        await session.ask(request("cancel", eids=[]))
    await session.aclose()


async def test_what_was_pushed_before_the_end_is_still_read(agent):
    code = f"say({{'push': 'found', 'found': {{'{EID}': FOUND}}}}); sys.exit(0)"
    session = await opened(agent(code))
    with pytest.raises(NoReply):
        await session.ask(request())

    assert [[found.eid for found in page] async for page in session.pushes()] == [[Eid(EID)]]
    await session.aclose()


async def test_news_that_nobody_reads_holds_up_no_answer_and_is_not_kept_twice(agent):
    code = f"for n in range(5000): say({{'push': 'found', 'found': {{'{EID}': dict(FOUND, refused=str(n))}}}})\n"
    session = await opened(agent(code + "    say({'id': message['id'], 'ok': {}})"))

    await session.ask(request())

    assert [found.refused for found in await anext(session.pushes())] == ["4999"]
    await session.aclose()


async def test_closing_leaves_nobody_waiting_and_no_process_behind(agent):
    session = await opened(agent("if message['op'] == 'who': say({'id': message['id'], 'ok': {'pid': os.getpid()}})"))
    pid = (await session.ask(request("who"))).body["pid"]
    waiting = asyncio.ensure_future(session.ask(request("silence")))
    await session.ask(request("who"))

    await session.aclose()

    with pytest.raises(NoReply):
        await waiting
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_an_agent_that_does_not_go_is_killed(agent):
    session = await opened(agent("say({'id': message['id'], 'ok': {'pid': os.getpid()}}); time.sleep(60)"))
    pid = (await session.ask(request())).body["pid"]
    os.kill(pid, signal.SIGSTOP)

    async with asyncio.timeout(10):
        await session.aclose()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_agent_is_one_program_in_ascii():
    text = agent_text().decode("ascii")

    compile(text, "agent", "exec")
    assert json.dumps("reconciler_agent.main")[1:-1] in text
