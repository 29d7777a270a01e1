"""A program that is run to its end, within its time, and what it said. In side processes alone: it waits.

What a scheduler's client says is never judged here; only that it said too much, or took too long.
"""

import os
import re
import selectors
import signal
import time
from typing import IO, Callable, Dict, List, NamedTuple, Optional, Pattern

from . import shapes
from .crash import AT, TOKEN
from .shapes import Json, Object, Refusal

OUTPUT_BYTES = 1 << 23  # of each of its two outputs; what it says beyond is not kept
STDIN_BYTES = 1 << 20
LINGER_S = 1.0  # what it has started may hold its outputs open: nobody waits for that longer
POLL_S = 0.05  # how soon the end of a program is noticed whose outputs somebody keeps open
SOON_S = 0.002  # and of one that has said all
PIECE = 1 << 16
TIMEOUT_MAX_S = 600.0


class Command(NamedTuple):
    """What to run. env comes over the agent's own environment, less names that begin like one of `drop`."""

    argv: List[str]
    env: Dict[str, str]
    drop: List[str]
    stdin: str
    timeout_s: float

    def filled(self, **words: str) -> "Command":
        """With `{name}` replaced by the word of that name, wherever it stands."""
        return self._replace(
            argv=[fill(word, words) for word in self.argv],
            env={name: fill(value, words) for name, value in self.env.items()},
            stdin=fill(self.stdin, words),
        )


def fill(text: str, words: Dict[str, str]) -> str:
    for name, word in words.items():
        text = text.replace("{%s}" % name, word)
    return text


def command_of(value: Json) -> Command:
    """Raises Refusal."""
    body = shapes.object_of(value, "a command")
    argv = shapes.texts(body, "argv")
    env = shapes.object_of(body.get("env"), "env")
    drop = shapes.texts(body, "drop")
    stdin = shapes.text(body, "stdin") if "stdin" in body else ""
    texts = [*argv, *env, *[shapes.string(word) for word in env.values()]]
    if not argv or not argv[0] or any("\0" in text for text in texts):
        raise Refusal("BadRequest", "not a command line: %.200r" % (argv,))
    if len(stdin) > STDIN_BYTES:
        raise Refusal("BadRequest", "a script of %d characters" % len(stdin))
    for pattern in drop:
        pattern_of(pattern)
    timeout_s = min(shapes.number(body, "timeout_s"), TIMEOUT_MAX_S)
    return Command(argv, {name: str(word) for name, word in env.items()}, drop, stdin, timeout_s)


def pattern_of(text: str) -> Pattern[str]:
    """Raises Refusal."""
    try:
        return re.compile(text)
    except re.error as error:
        raise Refusal("BadRequest", "not a pattern: %.200r: %s" % (text, error)) from None


def run(command: Command) -> Object:
    """How it ended and what it said; rc is None when it was not even started."""
    import subprocess

    pipe = subprocess.PIPE
    environment = _environment(command)
    try:
        process = subprocess.Popen(
            command.argv, env=environment, cwd=os.sep, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except OSError as error:
        return _ran(None, b"", ("%s: %s" % (command.argv[0], error.strerror)).encode("utf-8", "replace"), False)
    with process:
        talk = _Talk(process.poll, time.monotonic() + command.timeout_s)
        talk.say(process.stdin, command.stdin.encode("utf-8", "surrogateescape"))
        out, err = talk.hear(process.stdout), talk.hear(process.stderr)
        talk.go_on()
        timed_out = process.poll() is None
        if timed_out:
            _kill(process.pid)
    return _ran(process.returncode, bytes(out), bytes(err), timed_out)


class _Talk:
    """What a program reads is written while what it says is read, so that neither side waits for the other."""

    def __init__(self, ended: Callable[[], Optional[int]], until: float) -> None:
        self._ended = ended
        self._until = until
        self._sink: Optional[IO[bytes]] = None
        self._unsaid = b""
        self._heard: Dict[int, bytearray] = {}
        self._selector = selectors.DefaultSelector()

    def say(self, sink: Optional[IO[bytes]], data: bytes) -> None:
        """What it will read, and then the end."""
        assert sink is not None
        self._sink, self._unsaid = sink, data
        os.set_blocking(sink.fileno(), False)
        self._selector.register(sink, selectors.EVENT_WRITE)

    def hear(self, source: Optional[IO[bytes]]) -> bytearray:
        """What it says will be there."""
        assert source is not None
        self._selector.register(source, selectors.EVENT_READ)
        return self._heard.setdefault(source.fileno(), bytearray())

    def go_on(self) -> None:
        """Until it has ended and said everything, or its time is up."""
        while time.monotonic() < self._until:
            speaks = any(fd in self._heard for fd in self._selector.get_map())
            if self._ended() is not None:
                self._until = min(self._until, time.monotonic() + LINGER_S)
                if not speaks:
                    break
            for key, _ in self._selector.select(POLL_S if speaks else SOON_S):
                if key.fd in self._heard:
                    self._hear(key.fd)
                else:
                    self._say()
        self._selector.close()

    def _hear(self, fd: int) -> None:
        piece = os.read(fd, PIECE)
        if not piece:
            self._selector.unregister(fd)
        elif len(self._heard[fd]) <= OUTPUT_BYTES:
            self._heard[fd] += piece

    def _say(self) -> None:
        sink = self._sink
        assert sink is not None
        try:
            self._unsaid = self._unsaid[os.write(sink.fileno(), self._unsaid) :]
        except BlockingIOError:
            return
        except OSError:  # it does not read any more
            self._unsaid = b""
        if not self._unsaid:
            self._selector.unregister(sink)
            sink.close()


def _kill(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except OSError:
        pass


def _environment(command: Command) -> Dict[str, str]:
    dropped = [re.compile(pattern) for pattern in command.drop]
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in (AT, TOKEN) and not any(pattern.match(name) for pattern in dropped)
    }
    kept.update(command.env)
    return kept


def _ran(code: Optional[int], out: bytes, err: bytes, timed_out: bool) -> Object:
    return {
        "rc": code,
        "out": out[:OUTPUT_BYTES].decode("utf-8", "replace"),
        "err": err[:OUTPUT_BYTES].decode("utf-8", "replace"),
        "timed_out": timed_out,
        "cut": max(len(out), len(err)) > OUTPUT_BYTES,
    }
