"""The agent's loop: one thread, requests on stdin, answers and news on stdout.

When stdin ends the agent ends; what it has started goes on. It never waits but for its own disk: what is slow runs in
processes of its own (`side`), what is long is done in slices.
"""

import gc
import os
import selectors
import signal
import sys
import time
import traceback
from typing import Callable, Dict, List, Optional, Tuple

from . import batch, code, files, folders, hosts, pipes, scheduled, shapes, side, system
from .census import census
from .channel import Channel
from .crash import arm, crashpoint
from .desk import Desk
from .errands import Errands
from .place import Place, Root
from .shapes import Json, Object, Refusal

NEWS_DELAY_S = 0.02  # a page holds more than one piece of news, and a short task is told once
TICK_S = 1.0
OUTBOX_TICKS = 5
DAY_TICKS = 86400
FORK_PAUSE_S = 1.0
FIRST_S = 1.0  # of looking at what lies here before the answer to the hello
SLICE_S = 0.05
CODE, MAX_WORKTREES = "code ", 8  # in the making at once
READER, MAX_READERS = "reader ", 4  # side processes that only look
SCHEDULED, MAX_SCHEDULED = "scheduled ", 8  # side processes that speak with a scheduler
TRASH = "trash"
READING = dict.fromkeys(folders.OPERATIONS, folders.work)  # for visitors, too
READING.update(dict.fromkeys(("outputs", "read", "survey"), files.work), inquire=scheduled.inquiry)
MUTATIONS = code.OPERATIONS.union(scheduled.MUTATIONS, ("start", "revoke", "cancel", "ack", "forget"))


class Agent:
    """One session. program: the text of all this, for those who must lay it down for others."""

    def __init__(self, program: bytes = b"") -> None:
        self._program = program
        self._shims = pipes.LineReader(pipes.open_ring())
        self._bell: Optional[pipes.LineReader] = None
        self._selector = selectors.DefaultSelector()
        self._channel = Channel(0, 1)
        self._armed = 0
        self._desk: Optional[Desk] = None
        self._visited: Optional[Place] = None
        self._codes: Optional[code.Codes] = None
        self._errands = Errands(self._selector, self._channel)
        self._littered = False
        self._news_at: Optional[float] = None
        self._tick_at = time.monotonic() + TICK_S
        self._ticks = 0
        self._fork_at = 0.0
        self._on(self._shims.fd, self._listen)
        self._on(pipes.open_wake(signal.SIGCHLD), self._reap)
        self._operations: Dict[str, Callable[[Desk, Object], Optional[Object]]] = {
            "start": self._start,
            "inspect": self._inspect,
            "revoke": self._revoke,
            "cancel": self._cancel,
            "ack": self._acknowledge,
            "forget": self._forget,
        }
        self._operations.update(dict.fromkeys(code.OPERATIONS, self._code))
        self._operations.update(dict.fromkeys(scheduled.OPERATIONS, self._schedule))

    def run(self) -> None:
        """Until stdin ends, or who spoke on it has gone without an end."""
        while not self._channel.over:
            self._arm()
            for key, _ in self._selector.select(self._timeout_s()):
                key.data(key.fd)
            if self._desk is not None:
                self._work(self._desk)

    # ------------------------------------------------------------------------------------------ the loop

    def _on(self, fd: int, call: Callable[[int], None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, call)

    def _arm(self) -> None:
        """Listen on stdin unless the other side does not read; wait for room on stdout while something is unsent."""
        channel = self._channel
        wanted = (0 if channel.clogged else 1) | (2 if channel.unsent else 0)
        if wanted == self._armed:
            return
        for bit, fd, event, call in (
            (1, channel.source, selectors.EVENT_READ, self._requests),
            (2, channel.sink, selectors.EVENT_WRITE, self._send),
        ):
            if wanted & bit and not self._armed & bit:
                self._selector.register(fd, event, call)
            elif self._armed & bit and not wanted & bit:
                self._selector.unregister(fd)
        self._armed = wanted

    def _timeout_s(self) -> float:
        if self._desk is None:
            return TICK_S
        if self._desk.to_look or self._desk.takeover is not None:
            return 0.0
        due = self._tick_at
        if self._news_at is not None and not self._channel.clogged:
            due = min(due, self._news_at)
        return max(0.0, due - time.monotonic())

    def _work(self, desk: Desk) -> None:
        """All that is due after the events."""
        now = time.monotonic()
        desk.go_on(SLICE_S)
        if now >= self._fork_at and not desk.pump():
            self._fork_at = now + FORK_PAUSE_S
        desk.look_around()
        if now >= self._tick_at:
            self._tick_at = now + TICK_S
            self._tick(desk)
        if desk.news and self._news_at is None:
            self._news_at = now + NEWS_DELAY_S
        if self._news_at is not None and (now >= self._news_at or len(desk.news) >= shapes.PAGE):
            self._push(desk)

    def _tick(self, desk: Desk) -> None:
        self._ticks += 1
        desk.dismiss()
        desk.to_look.extend(desk.watch.eids())
        if self._ticks % DAY_TICKS == 0:
            desk.take_over(time.time())
        elif self._ticks % OUTBOX_TICKS == 0:
            desk.list_outbox()
            self._channel.closed |= desk.root.superseded(time.monotonic())

    def _push(self, desk: Desk) -> None:
        while not self._channel.clogged:
            page = desk.news.page()
            if page is None:
                self._news_at = None
                return
            crashpoint("agent.telling")
            self._channel.write_text(page)

    # ------------------------------------------------------------------------------------------ events

    def _send(self, _fd: int) -> None:
        self._channel.flush()

    def _listen(self, _fd: int) -> None:
        for line in self._shims.lines():
            if self._desk is not None:
                self._desk.heard(line)

    def _hint(self, _fd: int) -> None:
        for line in self._bell.lines() if self._bell is not None else ():
            if self._desk is not None:
                self._desk.hinted(line)

    def _reap(self, fd: int) -> None:
        """First who has ended, then what they had said before, then what their end means."""
        pipes.drain(fd)
        ended: List[Tuple[int, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            ended.append((pid, status))
        self._listen(self._shims.fd)
        for pid, status in ended:
            if self._desk is not None:
                self._desk.reaped(pid, status)

    def _requests(self, _fd: int) -> None:
        for message in self._channel.read():
            body = message if isinstance(message, dict) else {}
            number = body.get("id")
            try:
                answer = self._answer(body)
            except Refusal as refusal:
                self._refuse(number, refusal.reason, refusal.message, refusal.hint)
            except Exception as error:  # noqa: BLE001 - a request must not end the session
                traceback.print_exc()
                sys.stderr.flush()
                self._refuse(number, "Failed", "%s: %s" % (type(error).__name__, error), "")
            else:
                if answer is not None:
                    crashpoint("agent.answering")
                    self._channel.write({"id": number, "ok": answer})

    def _refuse(self, number: Json, reason: str, message: str, hint: str) -> None:
        error: Object = {"reason": reason, "message": message, "hint": hint}
        self._channel.write({"id": number, "error": error})

    # ------------------------------------------------------------------------------------------ requests

    def _answer(self, body: Object) -> Optional[Object]:
        """The answer to one request; None when it comes later. Raises Refusal."""
        op = body.get("op")
        if op == "hello":
            return self._hello(body)
        if op == "census":
            return self._census(body)
        if op == "probe":
            return system.probe(self._place().path)
        if isinstance(op, str) and op in READING:
            return self._read(body, READING[op])
        desk = self._desk
        if desk is None:
            raise Refusal("BadRequest", "the first request must be hello")
        if op in MUTATIONS and (body.get("epoch") != desk.root.epoch or desk.root.fenced()):
            raise desk.root.fencing()
        operation = self._operations.get(str(op))
        if operation is None:
            raise Refusal("BadRequest", "no such operation: %.40r" % (op,))
        return operation(desk, body)

    def _hello(self, body: Object) -> Object:
        if self._desk is not None or self._visited is not None:
            raise Refusal("BadRequest", "hello was said already")
        path = os.path.expanduser(shapes.text(body, "root"))
        if not os.path.isabs(path):
            raise Refusal("BadRequest", "the root is not an absolute path: %r" % path)
        path = os.path.normpath(path)
        try:
            if not shapes.text(body, "instance"):
                self._visited = Place(path)
                return _introduction(self._visited, 0, self._visited.owner())
            root = Root(path, shapes.text(body, "instance"))
            earlier = shapes.texts(body, "earlier") if "earlier" in body else []
            root.win_epoch(shapes.text(body, "daemon"), shapes.whole(body, "after"), earlier)
            hosts.sign(root)
            desk = Desk(root, shapes.whole(body, "slots"), shapes.wholes(body, "gpus"))
            desk.take_over(time.time())
            desk.go_on(FIRST_S)
        except OSError as error:
            message = "cannot use the root %s: %s" % (path, error)
            raise Refusal("RootUnusable", message, "is there room, and may we write?") from None
        self._desk = desk
        self._codes = code.Codes(root)
        self._open_bell(root)
        if os.listdir(root.trash):
            self._empty_trash(root)
        getattr(gc, "freeze", gc.collect)()  # the shims share these pages; a collection would copy them
        return _introduction(root, root.epoch, root.instance)

    def _census(self, body: Object) -> Object:
        """For visitors, too: who does not know yet whose root it is."""
        place = self._place()
        try:
            return census(place, shapes.text(body, "after"))
        except OSError as error:
            raise Refusal("RootUnusable", "cannot list what lies in %s: %s" % (place.path, error)) from None

    def _place(self) -> Place:
        """What anybody may look at who has said hello."""
        place = self._visited if self._desk is None else self._desk.root
        if place is None:
            raise Refusal("BadRequest", "the first request must be hello")
        return place

    def _open_bell(self, root: Root) -> None:
        fd = pipes.open_bell(root.bell)
        if fd is not None:
            self._bell = pipes.LineReader(fd)
            self._on(fd, self._hint)

    def _start(self, desk: Desk, body: Object) -> Object:
        specs = [shapes.spec_of(value) for value in shapes.list_of(body.get("attempts"), "attempts")]
        desk.root.remember(shapes.mark_of(body))
        return {"outcomes": desk.start(specs)}

    def _inspect(self, desk: Desk, body: Object) -> Object:
        return {"found": desk.inspect(shapes.eids_of(body))}

    def _revoke(self, desk: Desk, body: Object) -> Object:
        return {"outcomes": desk.revoke(shapes.eids_of(body))}

    def _cancel(self, desk: Desk, body: Object) -> Object:
        return {"outcomes": desk.cancel(shapes.eids_of(body), shapes.number(body, "grace_s"))}

    def _acknowledge(self, desk: Desk, body: Object) -> Object:
        desk.acknowledge(shapes.eids_of(body))
        return {}

    def _forget(self, desk: Desk, body: Object) -> Object:
        if desk.forget(shapes.eids_of(body)):
            self._empty_trash(desk.root)
        return {}

    # ------------------------------------------------------------------------------------------ side work

    def _code(self, _desk: Desk, body: Object) -> Optional[Object]:
        codes, number = self._codes, body.get("id")
        assert codes is not None, "it comes with the desk"
        answer = codes.answer(body)
        if answer is not None:
            return answer
        work = codes.work(body)
        name = CODE + work.name
        if not self._errands.join(name, number):
            self._room(CODE, MAX_WORKTREES, "worktrees are being made")
            self._errands.begin(name, [number], work.do, done=lambda answer: codes.done(work, answer))
        return None

    def _read(self, body: Object, works: Callable[[Place, Object], Callable[[], Object]]) -> Optional[Object]:
        """For visitors, too."""
        work, number = works(self._place(), body), body.get("id")
        self._room(READER, MAX_READERS, "questions like this are being answered")
        self._errands.begin("%s%s" % (READER, number), [number], work)
        return None

    def _schedule(self, desk: Desk, body: Object) -> Optional[Object]:
        number = body.get("id")
        work = scheduled.work(desk.root, self._program, body)
        self._room(SCHEDULED, MAX_SCHEDULED, "commands of the scheduler are under way")
        if "mark" in body:
            desk.root.remember(shapes.mark_of(body))
        name = "%s%s %s" % (SCHEDULED, body.get("op"), number)
        self._errands.begin(name, [number], work, died=scheduled.UNKNOWN)
        return None

    def _room(self, kind: str, most: int, what: str) -> None:
        if self._errands.count(kind) >= most:
            raise Refusal("Busy", "%d %s" % (most, what))

    def _empty_trash(self, root: Root) -> None:
        """One at a time: who does it may not have seen what comes meanwhile, so that another follows."""
        self._littered = self._errands.count(TRASH) > 0
        if not self._littered:
            self._errands.begin(TRASH, [], lambda: _throw_away(root), done=lambda _: self._trash_emptied(root))

    def _trash_emptied(self, root: Root) -> None:
        if self._littered:
            try:
                self._empty_trash(root)
            except OSError:  # no process is to be had: it goes with the next
                pass


def _throw_away(root: Root) -> Object:
    try:
        batch.tidy(root, root.trash)
    finally:
        side.empty_trash(root.trash)
    return {}


def _introduction(place: Place, epoch: int, owner: str) -> Object:
    return {
        "protocol": shapes.PROTOCOL,
        "host": place.here.host,
        "machine": place.here.machine,
        "boot": place.here.boot,
        "epoch": epoch,
        "python": sys.version.split()[0],
        "root": place.path,
        "clock": time.time(),
        "owner": owner,
        "mark": place.mark(),
        "neighbours": hosts.signed(place),
    }


def main(program: bytes = b"") -> int:
    """Returns the exit status. program: the text of all this, if it came as one."""
    for number in (signal.SIGINT, signal.SIGHUP):  # ends of a terminal or a connection are seen on stdin
        signal.signal(number, signal.SIG_IGN)
    arm(os.environ)
    pipes.close_all_but((0, 1, 2))  # whatever who started us has left open
    Agent(program).run()
    return 0
