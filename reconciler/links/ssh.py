"""The link over SSH: one connection, one session on it, in which the agent speaks on stdin and stdout.

Nothing is installed over there, and no port is opened. The login shell is given one constant command line (`remote`);
what its rc files print before the agent's first word is skipped, up to a limit. When the connection goes, however it
goes, sshd ends the agent's stdin; the agent goes, and the tasks live on.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from dataclasses import dataclass

import asyncssh

from reconciler.core.errors import NotSent, Refused
from reconciler.core.model import InstanceId
from reconciler.links.base import NEWCOMER, Ruler
from reconciler.links.lines import Greeting, LineSession, converse
from reconciler.links.remote import (
    NOISE_BYTES,
    PYTHON,
    NoiseWithoutEnd,
    Threshold,
    command_line,
    is_too_old,
    program,
)
from reconciler.links.ssh_connect import Connection, Way, connect

OPEN_TIMEOUT_S = 60.0
LOGIN_S = 30.0
CLOSE_S = 2.0
STDERR_BYTES = 4096
MARKER_BYTES = 20
NOT_FOUND = (126, 127)  # what shells exit with when there is no such program, or it may not be run

_NOT_FOUND = re.compile(r"not found|no such file|permission denied|unknown command", re.IGNORECASE)
_NO_OPTION = re.compile(r"unknown option", re.IGNORECASE)  # of a Python that is older than -I, or -X
_CHOOSE = "name another one with the source's `python: /path/of/python3`"


@dataclass(frozen=True, slots=True, kw_only=True)
class SshLink:
    """Starts the agent with `python` on the machine at the end of `way`."""

    way: Way
    python: str = PYTHON
    login_s: float = LOGIN_S  # what rc files may take
    open_timeout_s: float = OPEN_TIMEOUT_S

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> LineSession:
        """See `Link.open`. NotSent and Refused say what a person can do."""
        connection = await connect(self.way)
        try:
            stream = await self._log_in(connection)
        except BaseException:
            await connection.aclose()
            raise
        greeting = Greeting(instance=instance, root=root, slots=slots, gpus=gpus, ruler=ruler)
        return await converse(stream, program(), greeting, timeout_s=self.open_timeout_s)

    async def _log_in(self, connection: Connection) -> Remote:
        """As far as the Python over there, which waits for its program."""
        marker = secrets.token_hex(MARKER_BYTES)
        threshold = Threshold(marker)
        stream: Remote | None = None
        try:
            async with asyncio.timeout(self.login_s):
                stream = Remote(connection, await connection.run(command_line(self.python, marker)))
                version = await threshold.version(stream.read)
        except TimeoutError:
            words = [threshold.noise]
            if stream is not None:
                stream.kill()  # or each try would leave such a shell there
                words.append(await stream.last_words())
            raise self._login_failed("LoginHung", f"did not come to Python within {self.login_s:g} s", *words) from None
        except NoiseWithoutEnd:
            what = f"printed more than {NOISE_BYTES >> 20} MiB before Python began"
            raise self._login_failed("LoginTooNoisy", what) from None
        except OSError as error:
            raise self._login_failed("LoginEnded", f"was cut off: {error}", threshold.noise) from None
        if version is None:
            raise await self._no_python(stream, threshold.noise)
        if is_too_old(version):
            raise self._too_old(f"Python {version}")
        stream.put_back(threshold.rest)
        return stream

    async def _no_python(self, stream: Remote, noise: str) -> NotSent | Refused:
        """Why the login ended before Python began."""
        status, last_words = await stream.exit_status(), await stream.last_words()
        words = f"{noise} {last_words}"
        if _NO_OPTION.search(words):
            return self._too_old("an older one")
        if status in NOT_FOUND or (status and _NOT_FOUND.search(words)):
            why = words.strip() or f"exit status {status}"
            message = f"{self.way.address} has no Python at {self.python}: {why}"
            return Refused("PythonMissing", message, hint=f"install Python 3.6 or later there, or {_CHOOSE}")
        how = "without a word of how" if status is None else f"with exit status {status}"
        return self._login_failed("LoginEnded", f"ended {how}, before Python began", noise, last_words)

    def _too_old(self, found: str) -> Refused:
        message = f"{self.python} on {self.way.address} is {found}, and the agent needs 3.6 or later"
        return Refused("PythonTooOld", message, hint=_CHOOSE)

    def _login_failed(self, reason: str, what: str, *words: str) -> NotSent:
        said = " ".join(filter(None, words))
        message = f"the login shell on {self.way.address} {what}{'; its last words: ' if said else ''}{said}"
        hint = (
            "look at its rc files (.bashrc, .zshenv, .cshrc, config.fish): without a terminal they must come to an end"
        )
        return NotSent(reason, message, hint=hint)


class Remote:
    """The bytes to and from a program over there."""

    def __init__(self, connection: Connection, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._connection = connection
        self._process = process
        self._unread = b""
        self._last_words = b""
        self._listening = asyncio.ensure_future(self._listen())

    def put_back(self, data: bytes) -> None:
        """To be read again, first of all."""
        self._unread = data + self._unread

    async def read(self, size: int) -> bytes:
        """Some bytes; none at the end. Raises OSError when the connection is lost."""
        if self._unread:
            data, self._unread = self._unread[:size], self._unread[size:]
            return data
        try:
            return await self._process.stdout.read(size)
        except asyncssh.Error as error:
            raise ConnectionError(str(error)) from None

    async def write(self, data: bytes) -> None:
        """Hand the bytes over; returns when there is room for more. Raises OSError when the other side has gone."""
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except asyncssh.Error as error:
            raise ConnectionError(str(error)) from None

    async def last_words(self) -> str:
        """The end of what was written on stderr."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._listening)
        return self._last_words.decode("utf-8", "replace").strip()

    def kill(self) -> None:
        """Ask sshd to end what it began for us; older ones than OpenSSH 7.9 do not."""
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.kill()

    async def exit_status(self) -> int | None:
        """With what it has ended; None when nobody says."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._process.wait_closed()
        status = self._process.exit_status
        return None if status is None or status < 0 else status

    async def aclose(self) -> None:
        """The end of its stdin tells the agent to go; the connection goes in any case."""
        with contextlib.suppress(OSError, asyncssh.Error):  # TimeoutError, too
            self._process.stdin.write_eof()
            async with asyncio.timeout(CLOSE_S):
                await self._process.wait_closed()
        await self._connection.aclose()
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self) -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            while data := await self._process.stderr.read(STDERR_BYTES):
                self._last_words = (self._last_words + data)[-STDERR_BYTES:]
