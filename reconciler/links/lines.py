"""A session over any stream of bytes to an agent: numbered requests, their answers, and pushed evidence between them.

An `ask` that fails before its bytes were handed over is NotSent; after that, whatever happens is NoReply.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.core.errors import Garbled, LinkError, NoReply, NotSent, ReconcilerError
from reconciler.core.model import Eid, InstanceId, Json
from reconciler.core.wire import CODE_OPERATIONS, PAGE, Found, Hello, Reply, Request
from reconciler.core.wire_json import error_from_json, hello_from_json, page_from_json
from reconciler.links.base import Ruler

READ_BYTES = 1 << 18
MAX_LINE_BYTES = 1 << 26
MUTATIONS = (
    frozenset({"start", "submit", "revoke", "cancel", "withdraw", "restrict", "ack", "forget"}) | CODE_OPERATIONS
)


class Stream(Protocol):
    """Bytes to and from one agent."""

    async def read(self, size: int) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    async def last_words(self) -> str: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What the agent is told first; see `Link.open`."""

    instance: InstanceId
    root: str
    slots: int
    gpus: tuple[int, ...]
    ruler: Ruler

    def body(self) -> Mapping[str, Json]:
        """As it travels."""
        ruler = self.ruler
        body: dict[str, Json] = {"instance": self.instance, "root": self.root}
        body |= {"slots": self.slots, "gpus": list(self.gpus)}
        return body | {"daemon": ruler.daemon, "after": ruler.after, "earlier": list(ruler.earlier)}


async def converse(stream: Stream, text: bytes, greeting: Greeting, *, timeout_s: float) -> LineSession:
    """A session over the stream with the agent whose text this is. Raises as `Link.open`; the stream is closed then.

    timeout_s: for the text to go, and as long again for the answer.
    """
    session = LineSession(stream)
    try:
        await session.begin(text, greeting, timeout_s)
    except BaseException:
        await session.aclose()
        raise
    return session


class LineSession:
    """A conversation with one agent; see `Session`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._hello: Hello | None = None
        self._asked: dict[int, asyncio.Future[Json]] = {}
        self._count = 0
        self._writing = asyncio.Lock()
        self._news: dict[Eid, Found] = {}  # not yet read; the newest of each attempt, so it is bounded by their number
        self._rung = asyncio.Event()
        self._ended: LinkError | None = None
        self._reading: asyncio.Task[None] | None = None

    async def begin(self, text: bytes, greeting: Greeting, timeout_s: float) -> None:
        """Send the agent's text and say hello. Raises as `Link.open`; close the session then."""
        self._reading = asyncio.ensure_future(self._read())
        try:
            async with asyncio.timeout(timeout_s):
                await self._stream.write(text)
        except (OSError, TimeoutError):
            raise await self._not_started() from None
        try:
            reply = await self.ask(Request(op="hello", body=greeting.body(), timeout_s=timeout_s))
        except LinkError:  # nothing was asked of the source yet, so nothing can have happened
            raise await self._not_started() from None
        self._hello = hello_from_json(reply.body)

    @property
    def hello(self) -> Hello:
        """Who answered."""
        assert self._hello is not None
        return self._hello

    async def ask(self, request: Request) -> Reply:
        """See `Session.ask`."""
        self._count += 1
        number = self._count
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            async with asyncio.timeout(request.timeout_s):
                await self._send(number, request)
                return _reply(await answer)
        except TimeoutError:
            raise NoReply("Timeout", f"no answer to {request.op} within {request.timeout_s:g} s") from None
        finally:
            del self._asked[number]
            answer.cancel()

    async def pushes(self) -> AsyncIterator[Sequence[Found]]:
        """See `Session.pushes`."""
        while True:
            await self._rung.wait()
            while self._news:
                eids = list(itertools.islice(self._news, PAGE))
                yield tuple(self._news.pop(eid) for eid in eids)
            if self._ended is not None:
                return
            self._rung.clear()

    async def aclose(self) -> None:
        """End the conversation; those who wait for answers get NoReply. The tasks live on."""
        self._end(NoReply("SessionClosed", "the session was closed"))
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._stream.aclose()

    async def _send(self, number: int, request: Request) -> None:
        message: dict[str, Json] = {"id": number, "op": request.op, **request.body}
        if request.op in MUTATIONS:
            message["epoch"] = self.hello.epoch
        data = json.dumps(message).encode("ascii") + b"\n"
        try:
            async with self._writing:
                if self._ended is not None:
                    raise NotSent(self._ended.reason, self._ended.message, hint=self._ended.hint)
                await self._stream.write(data)
        except OSError as error:
            raise NoReply("SessionEnded", f"the agent went away: {error}") from None

    async def _read(self) -> None:
        """Until the agent ends, or says what cannot be understood."""
        rest = b""
        try:
            while data := await self._stream.read(READ_BYTES):
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > MAX_LINE_BYTES:
                    raise Garbled("Garbled", "the agent sent a line without end")
                for line in lines:
                    self._hear(line)
            words = await self._stream.last_words()
            self._end(NoReply("SessionEnded", f"the agent ended{': ' if words else ''}{words[-500:]}"))
        except (ReconcilerError, OSError) as error:
            self._end(NoReply("SessionEnded", f"the session broke: {error}"))

    def _hear(self, line: bytes) -> None:
        message = _parsed(line)
        number = message.get("id")
        if isinstance(number, int):
            waiting = self._asked.get(number)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        elif message.get("push") == "found":
            for eid, found in page_from_json(message.get("found")).items():
                self._news.pop(eid, None)  # to the end: the order is that of the newest news
                self._news[eid] = found
            self._rung.set()

    def _end(self, error: LinkError) -> None:
        if self._ended is not None:
            return
        self._ended = error
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(error)
        self._rung.set()

    async def _not_started(self) -> NotSent:
        words = await self._stream.last_words()
        return NotSent("AgentNotStarted", f"the agent did not start: {words[-500:] or 'no answer'}")


def _parsed(line: bytes) -> Mapping[str, Json]:
    try:
        message: Json = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, Mapping):
        raise Garbled("Garbled", f"the agent said {line[:256]!r}", hint="does a login script print on stdout?")
    return message


def _reply(message: Json) -> Reply:
    """The answer in a message. Raises the error that the agent named."""
    if isinstance(message, Mapping):
        answer = message.get("ok")
        if isinstance(answer, Mapping):
            return Reply(body=answer)
        raise error_from_json(message.get("error"))
    raise Garbled("Garbled", f"not an answer: {message!r:.256}")
