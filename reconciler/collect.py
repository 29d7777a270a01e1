"""Ended attempts → results tree: what was written elsewhere comes here over the session of its source.

What is still to come stands in the store since the end was recorded, and is struck out only when every file lies here,
verified by its size and SHA-256, under its final name, and safe from a power loss. Whoever is killed in between does it
again, without harm; pieces that have come are used.

It must keep nobody waiting: a few pieces at a time that take a twentieth of a second each, a pause after each page, and
no disk of ours is waited for in the loop. What fails is tried again later, and later still, and hinders nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

from reconciler.clock import Clock
from reconciler.core.errors import Damaged, Fenced, LinkError, ReconcilerError, ResultsError
from reconciler.core.model import Attempt, AttemptKey, Eid, Json
from reconciler.core.status import Problem
from reconciler.core.wire import Output
from reconciler.crashpoints import crashpoint
from reconciler.results import Kept, ResultsTree
from reconciler.source import Source, outputs, read
from reconciler.store import Event, Store, Uncollected

log = logging.getLogger("reconciler.collect")

PAGE = 50
IDLE_S = 0.5
PAUSE_MAX_S, PAUSE_SHARE = 1.0, 0.25  # a page is followed by a pause of this share of the time that it took
PIECE_MIN, PIECE_MAX = 1 << 14, 1 << 18
PIECE_S = 0.05  # without the way there and back
WINDOW = 2  # pieces that are asked for at once
CHANGES = 3  # so often a file that changes meanwhile is begun anew at once
AGAIN_S, AGAIN_MAX_S = 5.0, 3600.0
FULL_S, FULL_MAX_S = 5.0, 300.0  # when nothing can be written here

T = TypeVar("T")


class Aside(Protocol):
    """Does what may wait for a disk, and lets the loop go on meanwhile."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What this daemon has collected from a source so far. problem: of the newest failure, until all is well."""

    attempts: int = 0
    bytes: int = 0
    failures: int = 0
    problem: Problem | None = None


class _Failure(Exception):
    """One attempt cannot be collected now: why."""


class _Short(NamedTuple):
    """A file that has come with its description."""

    name: str
    file: Output


@dataclass(slots=True)
class _Later:
    """When an attempt that failed is tried again, in seconds of the clock, and how often it was."""

    at: float
    tries: int


class Collector:
    """Of one source. `run` belongs to a session; the rest is remembered from one to the next."""

    def __init__(
        self,
        source: Source,
        *,
        store: Store,
        tree: ResultsTree,
        clock: Clock,
        max_file_bytes: int,
        notify: Callable[[], None],
        aside: Aside = asyncio.to_thread,
    ) -> None:
        """notify: the tally has changed."""
        self._source = source
        self._store = store
        self._tree = tree
        self._clock = clock
        self._limit = max_file_bytes
        self._notify = notify
        self._aside = aside
        self._writing: asyncio.Future[Any] | None = None
        self._after = 0
        self._later: dict[Eid, _Later] = {}
        self._full = 0  # how often in a row nothing could be written
        self._piece = PIECE_MIN
        self.tally = Tally()

    def due(self) -> bool:
        """Whether something is to come that did not fail so far."""
        pending = self._store.uncollected_counts().get(self._source.config.name, 0)
        return pending > len(self._later) and not self._full

    async def run(self) -> None:
        """Until cancelled. Raises LinkError and Fenced when the session is lost, Damaged."""
        self._after = 0
        while True:
            page = self._page()
            if not page:
                await self._clock.sleep(IDLE_S)
                continue
            began = self._clock.elapsed()
            try:
                await self._collect(page)
            except (LinkError, Fenced, Damaged):
                raise
            except ResultsError as error:
                self._after = 0
                await self._wait_for_room(error)
            except ReconcilerError as error:
                for each in page:
                    self._put_off(each.attempt, error.message)
                self._after = 0
            except Exception:  # a defect here must not take the source away from its tasks
                log.exception("not collected by a defect: please report it", extra={"source": self._name})
                for each in page:
                    self._put_off(each.attempt, "a defect: see the daemon's log")
            await self._clock.sleep(min(PAUSE_MAX_S, PAUSE_SHARE * (self._clock.elapsed() - began)))

    @property
    def _name(self) -> str:
        return self._source.config.name

    # ------------------------------------------------------------------------------------------ which ones

    def _page(self) -> list[Uncollected]:
        """The next ones that may be tried now; those that come anew stand at the end."""
        now = self._clock.elapsed()
        if any(later.at <= now for later in self._later.values()):
            self._after = 0
        while found := self._store.uncollected(self._source.config.name, after=self._after, limit=PAGE):
            page = [each for each in found if each.attempt.eid not in self._later or self._is_due(each, now)]
            if page:
                return page
            self._after = found[-1].id
        return []

    def _is_due(self, each: Uncollected, now: float) -> bool:
        return self._later[each.attempt.eid].at <= now

    def _put_off(self, attempt: Attempt, message: str) -> None:
        later = self._later.get(attempt.eid)
        tries = 1 if later is None else later.tries + 1
        delay = min(AGAIN_MAX_S, AGAIN_S * 2.0 ** min(tries - 1, 16))
        self._later[attempt.eid] = _Later(self._clock.elapsed() + delay, tries)
        sweep, task, number = attempt.key
        log.warning(
            "not collected",
            extra={"source": self._name, "sweep": sweep, "task": task, "attempt": number, "why": message},
        )
        waiting = f"{sweep}/{task} attempt {number}: {message}"
        self._tell(failures=1, problem=Problem(reason="CollectFailed", message=waiting))

    async def _wait_for_room(self, error: ResultsError) -> None:
        self._full += 1
        log.warning("results cannot be written", extra={"source": self._name, "why": error.message})
        self._tell(failures=1, problem=Problem(reason=error.reason, message=f"{error.message}; {error.hint}"))
        await self._clock.sleep(min(FULL_MAX_S, FULL_S * 2.0 ** min(self._full - 1, 16)))

    def _tell(self, *, attempts: int = 0, size: int = 0, failures: int = 0, problem: Problem | None) -> None:
        tally = self.tally
        self.tally = Tally(
            attempts=tally.attempts + attempts,
            bytes=tally.bytes + size,
            failures=tally.failures + failures,
            problem=problem,
        )
        self._notify()

    # ------------------------------------------------------------------------------------------ a page

    async def _collect(self, page: list[Uncollected]) -> None:
        told = await self._source.ask(outputs([each.attempt.eid for each in page], self._limit))
        sizes: dict[int, int] = {}
        try:
            await self._attempts(page, told, sizes)
        except Exception:  # what lies here already need not come again
            await self._strike_out(sizes)
            raise
        await self._strike_out(sizes)

    async def _attempts(
        self, page: list[Uncollected], told: Mapping[Eid, Mapping[str, Output]], sizes: dict[int, int]
    ) -> None:
        """Notes in `sizes` what lies here now. Those with short files alone are written together, in one go."""
        short: list[tuple[Uncollected, list[_Short]]] = []
        for each in page:
            files = told.get(each.attempt.eid)
            if files is None:  # it did not fit into the answer, and stands at the head of the next page
                break
            self._after = each.id
            if all(map(_is_sound, files.values())):
                short.append((each, [_Short(name, file) for name, file in files.items()]))
                continue
            try:
                sizes[each.id] = await self._attempt(each.attempt, files)
            except _Failure as failure:
                self._put_off(each.attempt, str(failure))
            else:
                self._later.pop(each.attempt.eid, None)
        if not short:
            return
        parameters = {each.attempt.key: self._parameters(each.attempt) for each, _ in short}
        error = await self._disk(partial(self._write, short, parameters, sizes))
        for each, _ in short:
            self._later.pop(each.attempt.eid, None)
        if error is not None:
            raise error

    def _write(
        self,
        short: list[tuple[Uncollected, list[_Short]]],
        parameters: Mapping[AttemptKey, Mapping[str, Json]],
        sizes: dict[int, int],
    ) -> ResultsError | None:
        """Away from the loop. Stops at what cannot be written, and returns why."""
        for each, files in short:
            attempt = each.attempt
            try:
                for name, file in files:
                    self._tree.keep(attempt.key, name, file.data or b"")
                kept = [Kept(name=name, size=file.size, sha256=file.sha256) for name, file in files]
                self._tree.conclude(attempt, parameters[attempt.key], kept)
            except ResultsError as error:
                return error
            sizes[each.id] = sum(file.size for _, file in files)
            crashpoint("collect.concluded")
        return None

    async def _strike_out(self, sizes: Mapping[int, int]) -> None:
        if not sizes:
            return
        await self._disk(self._tree.sync)
        crashpoint("collect.synced")
        self._store.collected(sizes, self._clock.now())
        self._full = 0
        problem = self.tally.problem if self._later else None
        self._tell(attempts=len(sizes), size=sum(sizes.values()), problem=problem)

    async def _attempt(self, attempt: Attempt, files: Mapping[str, Output]) -> int:
        """All files of one attempt; returns how many bytes. Raises _Failure when some are still to come."""
        kept: list[Kept] = []
        wrong = ""
        for name, file in files.items():
            try:
                kept.append(await self._file(attempt, name, file))
            except _Failure as failure:
                wrong = str(failure)
        if wrong:
            raise _Failure(wrong)
        self._warn_of_cuts(attempt, kept)
        parameters = self._parameters(attempt)
        await self._disk(lambda: self._tree.conclude(attempt, parameters, kept))
        return sum(file.size for file in kept if not file.cut)

    def _parameters(self, attempt: Attempt) -> Mapping[str, Json]:
        task = self._store.task(attempt.key.task_key)
        return {} if task is None else task.parameters

    def _warn_of_cuts(self, attempt: Attempt, kept: list[Kept]) -> None:
        cut = [file for file in kept if file.cut]
        if not cut:
            return
        sweep, task, number = attempt.key
        names = ", ".join(f"{file.name} ({file.size >> 20} MiB)" for file in cut)
        message = f"only the beginning and the end of {names} were collected; all of it is in {attempt.directory}"
        event = Event(reason="ResultCut", message=message, sweep=sweep, task=task, attempt=number)
        self._store.add_events([event], self._clock.now())
        log.warning("result cut", extra={"sweep": sweep, "task": task, "attempt": number, "files": names})

    # ------------------------------------------------------------------------------------------ a file

    async def _file(self, attempt: Attempt, name: str, file: Output) -> Kept:
        """Raises _Failure."""
        for _ in range(CHANGES):
            if file.error:
                raise _Failure(file.error)
            kept = await self._fetch(attempt, name, file)
            if kept is not None:
                return kept
            again = await self._source.ask(outputs([attempt.eid], self._limit))
            file = again.get(attempt.eid, {}).get(name, Output(error=f"{name} has disappeared meanwhile"))
        raise _Failure(f"{name} changes while it is read")

    async def _fetch(self, attempt: Attempt, name: str, file: Output) -> Kept | None:
        """None when it has changed meanwhile, or has not the right hash."""
        if file.data is None or file.tail:
            return await self._large(attempt, name, file)
        if not _is_sound(file):
            return None
        await self._disk(partial(self._tree.keep, attempt.key, name, file.data))
        return Kept(name=name, size=file.size, sha256=file.sha256)

    async def _large(self, attempt: Attempt, name: str, file: Output) -> Kept | None:
        """In pieces, from where the last session had come to; nothing if it lies here."""
        if not file.tail and await self._disk(partial(self._tree.has, attempt.key, name, file.size, file.sha256)):
            return Kept(name=name, size=file.size, sha256=file.sha256)
        part = await self._disk(lambda: self._tree.begin(attempt.key, name, file.sha256))
        while part.size < file.head + file.tail:
            data, lost = await self._read(attempt, name, file, part.size)
            if data:
                await self._disk(partial(self._tree.append, part, data))
            if lost is not None:
                raise lost
            if not data:
                return None
        left_out = file.size - file.head - file.tail
        note = (
            f"\n[… {left_out} bytes were left out here when this was collected: the file has {file.size} bytes, and"
            f" results.maxFile is {self._limit}; all of it is on {attempt.source} in {attempt.directory} …]\n"
        )
        return await self._disk(lambda: self._tree.complete(part, size=file.size, head=file.head, note=note))

    async def _read(
        self, attempt: Attempt, name: str, file: Output, begin: int
    ) -> tuple[bytes, ReconcilerError | None]:
        """What follows there, in a few pieces side by side, as far as no error came in between.

        Nothing when the file is not what it was.
        """
        places = list(islice(_places(file, begin, self._piece), WINDOW))
        began = self._clock.elapsed()
        asked = [self._source.ask(read(attempt.eid, name, offset, length)) for offset, length in places]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        data = b""
        for (_, length), answer in zip(places, answers, strict=True):
            if isinstance(answer, ReconcilerError):
                return data, answer
            if isinstance(answer, BaseException):
                raise answer
            if answer.stamp != file.stamp or len(answer.data) != length:
                return b"", None
            data += answer.data
        took = max(self._clock.elapsed() - began - (self._source.state.latency_s or 0.0), 0.001)
        self._piece = int(min(max(len(data) / took * PIECE_S, PIECE_MIN), PIECE_MAX))
        return data, None

    async def _disk(self, work: Callable[[], T]) -> T:
        """Away from the loop, and never two at once: one that a lost session has left behind is waited for."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
            self._writing.cancelled() or self._writing.exception()  # nobody else asks what became of it
        self._writing = asyncio.ensure_future(self._aside(work))
        return await asyncio.shield(self._writing)


def _is_sound(file: Output) -> bool:
    """Whether all of the file has come with its description, as it was written."""
    data = file.data
    return data is not None and len(data) == file.size and sha256(data).hexdigest() == file.sha256


def _places(file: Output, begin: int, piece: int) -> Iterator[tuple[int, int]]:
    """Where the bytes after the first `begin` ones lie in the file, and how many: its beginning, then its end."""
    while begin < file.head + file.tail:
        in_head = begin < file.head
        length = min(piece, (file.head if in_head else file.head + file.tail) - begin)
        yield begin if in_head else file.size - file.tail + begin - file.head, length
        begin += length
