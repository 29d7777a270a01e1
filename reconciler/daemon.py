"""The daemon: wires everything on one event loop, and stops gracefully.

TERM and INT end the loops; tasks live on, and the store is always up to date, so that stopping is never more than that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path

from reconciler import __version__, triggers
from reconciler.catalog import Catalog
from reconciler.clock import Clock, SystemClock
from reconciler.controller.controller import Controller
from reconciler.controller.keys import REPOSITORY, REQUESTS, Key
from reconciler.core.errors import StoreError
from reconciler.core.model import InstanceId
from reconciler.core.settings import Config, SourceConfig
from reconciler.dialects.process import ProcessDialect
from reconciler.http.server import Heartbeat, HttpServer
from reconciler.links.local import LocalLink
from reconciler.locks import StateLock
from reconciler.project import Projects
from reconciler.repository import Repository
from reconciler.source import Source
from reconciler.sourceloop import SourceLoop
from reconciler.store import Store
from reconciler.telemetry import LogFormat, Telemetry, configure_logging
from reconciler.workqueue import WorkQueue

log = logging.getLogger("reconciler.daemon")

WORKERS = 3  # so that a slow fetch or a large acceptance never keeps a dispatch waiting
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
HEARTBEAT_S = 1.0


async def serve(config: Config, *, once: bool, log_format: LogFormat) -> int:
    """Run until told to stop, or with `once` until git and the world agree or nothing more can be done.

    Returns the exit code: 0, or with `once` 2 when something is left. Raises AlreadyRunning, StoreError, UsageError.
    """
    configure_logging(format=log_format)
    _forget_git_environment()
    state_dir = Path(config.state_dir)
    lock = StateLock(state_dir)
    lock.acquire()
    try:
        async with _Daemon.open(config, SystemClock()) as daemon:
            return await daemon.run(once=once)
    finally:
        lock.release()


class _Daemon:
    """Everything that lives as long as the daemon does."""

    def __init__(self, config: Config, store: Store, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._store = store
        self._dice = random.Random()  # noqa: S311 - jitter, not secrets
        self._telemetry = Telemetry(version=__version__)
        self._queue: WorkQueue[Key] = WorkQueue(clock, random=self._dice.random, waited=self._telemetry.waited)
        self._repository = Repository(config.repository, Path(config.state_dir) / "repository.git", clock=clock)
        self._catalog = Catalog(store)
        self._controller = Controller(
            config=config,
            store=store,
            catalog=self._catalog,
            repository=self._repository,
            queue=self._queue,
            telemetry=self._telemetry,
            clock=clock,
        )
        self._loops = {source.name: self._loop(source) for source in config.sources}
        self._controller.attach(self._loops)
        self._heartbeat = Heartbeat(clock)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, config: Config, clock: Clock) -> AsyncIterator[_Daemon]:
        """The daemon with its store open and whole."""
        instance = InstanceId("".join(secrets.choice(ALPHABET) for _ in range(4)))
        store = Store.create(Path(config.state_dir), instance=instance, at=clock.now())
        try:
            for _ in store.recover(clock.now()):
                pass
            daemon = cls(config, store, clock)
            try:
                yield daemon
            finally:
                daemon.close()
        finally:
            store.close()

    def _loop(self, config: SourceConfig) -> SourceLoop:
        source = Source(
            config=config,
            instance=self._store.instance(),
            dialect=ProcessDialect(),
            link=LocalLink(),
            clock=self._clock,
        )
        return SourceLoop(
            source,
            store=self._store,
            catalog=self._catalog,
            projects=Projects(source, self._repository.git_dir, self._clock),
            clock=self._clock,
            notify=self._controller.source_changed,
        )

    def close(self) -> None:
        """Let go of what is not a task of the loop."""
        self._repository.close()

    async def run(self, *, once: bool) -> int:
        stop = asyncio.Event()
        undo = triggers.handle_signals(asyncio.get_running_loop(), stop, self._poll_now)
        server = self._serve_http() if not once else None
        workers = [asyncio.create_task(work) for work in self._works(once=once)]
        self._poll_now()
        try:
            return await self._until(stop, workers, once=once)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            if server is not None:
                server.stop()
            _http_file(self._config).unlink(missing_ok=True)
            undo()
            log.info("stopped; tasks live on")

    def _works(self, *, once: bool) -> list[Coroutine[None, None, None]]:
        config, state_dir = self._config, Path(self._config.state_dir)
        works: list[Coroutine[None, None, None]] = [self._controller.work() for _ in range(WORKERS)]
        works += [loop.run() for loop in self._loops.values()]
        works += [
            self._beat(),
            triggers.watch_requests(state_dir, lambda: self._queue.add(REQUESTS), clock=self._clock),
            triggers.poll(config.repository.interval_s, self._poll_now, clock=self._clock, random=self._dice.random),
        ]
        local = self._repository.local
        if local is not None and not once:  # its commits are looked at once, and the interval finds later ones
            works.append(triggers.watch_repository(local, self._poll_now, clock=self._clock))
        return works

    async def _until(self, stop: asyncio.Event, workers: list[asyncio.Task[None]], *, once: bool) -> int:
        """Wait for the end: a signal, the steady state with `once`, or the death of something that must live."""
        ends: list[asyncio.Task[object]] = [asyncio.create_task(stop.wait())]
        if once:
            ends.append(asyncio.create_task(self._steady()))
        try:
            done, _ = await asyncio.wait([*workers, *ends], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if once and ends[-1] in done:
                return await self._controller.conclude()
            return 0
        finally:
            for end in ends:
                end.cancel()

    async def _steady(self) -> None:
        """Until nothing is active and nothing will start by itself."""
        while not self._controller.idle():
            await self._clock.sleep(0.1)

    async def _beat(self) -> None:
        while True:
            self._heartbeat.beat()
            await self._clock.sleep(HEARTBEAT_S)

    def _poll_now(self) -> None:
        self._queue.add(REPOSITORY)
        self._queue.add(REQUESTS)

    def _serve_http(self) -> HttpServer:
        server = HttpServer(
            host=self._config.listen_host,
            port=self._config.listen_port,
            registry=self._telemetry.registry,
            live=lambda: {"loop": self._heartbeat.alive()},
            ready=self._ready,
        )
        port = server.start()
        url = f"http://{self._config.listen_host}:{port}"
        try:
            _http_file(self._config).write_text(url + "\n")
        except OSError as error:
            server.stop()
            raise StoreError("StateNotWritable", f"{_http_file(self._config)}: {error.strerror}") from error
        log.info("serving", extra={"metrics": url + "/metrics", "repository": self._config.repository.url})
        return server

    def _ready(self) -> Mapping[str, bool]:
        return {"loop": self._heartbeat.alive(), "repository": self._controller.looked}


def _forget_git_environment() -> None:
    """Started from a git hook, say, we inherit variables that would lead git and its readers to another repository."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]


def _http_file(config: Config) -> Path:
    """Where the daemon says under which address it listens."""
    return Path(config.state_dir) / "http"
