"""The daemon: the engine on the real world, and a graceful stop.

TERM and INT end the loops; tasks live on, and the store is always up to date, so that stopping is never more than that.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Coroutine, Mapping
from pathlib import Path

from reconciler import triggers
from reconciler.clock import Clock, SystemClock
from reconciler.core.errors import StoreError
from reconciler.core.model import ProjectName
from reconciler.core.settings import Config
from reconciler.crashpoints import arm_from_environment
from reconciler.dialects.choice import dialect_of
from reconciler.engine import Engine, World, open_store
from reconciler.http.server import Heartbeat, HttpServer
from reconciler.links.choice import link_to
from reconciler.locks import StateLock
from reconciler.rebuild import refuse_lost
from reconciler.repository import MIRRORS, Codebase, Repository, git_codebases
from reconciler.snapshots import tree_codebases
from reconciler.store import Store
from reconciler.store.whole import look_over
from reconciler.telemetry import LogFormat, configure_logging

log = logging.getLogger("reconciler.daemon")

HEARTBEAT_S = 1.0


async def serve(config: Config, *, once: bool, log_format: LogFormat) -> int:
    """Run until told to stop, or with `once` until git and the world agree or nothing more can be done.

    Returns the exit code: 0, or with `once` 2 when something is left. Raises AlreadyRunning, StoreError, UsageError.
    After an end that nobody had planned the state is read through first: a second for a quarter of a million tasks.
    """
    configure_logging(format=log_format)
    _forget_git_environment()
    arm_from_environment(os.environ)
    state_dir = Path(config.state_dir)
    lock = StateLock(state_dir)
    lock.acquire()
    clock = SystemClock()
    try:
        refuse_lost(config)
        if lock.left:
            look_over(state_dir)
        store = open_store(config, clock, random.Random())  # noqa: S311 - a name, not a secret
        try:
            daemon = _Daemon(config, store, clock)
            try:
                return await daemon.run(once=once)
            finally:
                daemon.close()
        finally:
            store.close()
    finally:
        lock.release()


class _Daemon:
    """The engine on this machine's world, with its signals, watches and sockets."""

    def __init__(self, config: Config, store: Store, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._repository = Repository(config.repository, Path(config.state_dir) / "repository.git", clock=clock)
        mirrors, snapshots = git_codebases(config, MIRRORS, clock), tree_codebases(config, MIRRORS, clock)
        self._codebases: dict[ProjectName, Codebase] = {**mirrors, **snapshots}
        world = World(
            clock=clock,
            dice=random.Random(),  # noqa: S311 - jitter and names, not secrets
            repository=self._repository,
            dialect=dialect_of,
            codebases=self._codebases,
            stocks={**mirrors, **{name: each.stock for name, each in snapshots.items()}},
            link=link_to,
        )
        self._engine = Engine(config, store, world)
        self._heartbeat = Heartbeat(clock)

    def close(self) -> None:
        """Let go of what is not a task of the loop."""
        self._repository.close()
        for codebase in self._codebases.values():
            codebase.close()

    async def run(self, *, once: bool) -> int:
        stop = asyncio.Event()
        undo = triggers.handle_signals(asyncio.get_running_loop(), stop, self._engine.poll_now)
        server = self._serve_http() if not once else None
        workers = [asyncio.create_task(work) for work in self._works(once=once)]
        self._engine.poll_now()
        try:
            return await self._until(stop, workers, once=once)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._engine.aclose()
            if server is not None:
                server.stop()
            _http_file(self._config).unlink(missing_ok=True)
            undo()
            log.info("stopped; tasks live on")

    def _works(self, *, once: bool) -> list[Coroutine[None, None, None]]:
        works = [
            *self._engine.works(),
            self._beat(),
            triggers.watch_requests(Path(self._config.state_dir), self._engine.requests_arrived, clock=self._clock),
        ]
        local = self._repository.local
        if local is not None and not once:  # its commits are looked at once, and the interval finds later ones
            works.append(triggers.watch_repository(local, self._engine.poll_now, clock=self._clock))
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
                return await self._engine.conclude()
            return 0
        finally:
            for end in ends:
                end.cancel()

    async def _steady(self) -> None:
        """Until nothing is active and nothing will start by itself."""
        while not self._engine.idle():
            await self._clock.sleep(0.1)

    async def _beat(self) -> None:
        while True:
            self._heartbeat.beat()
            await self._clock.sleep(HEARTBEAT_S)

    def _serve_http(self) -> HttpServer:
        server = HttpServer(
            host=self._config.listen_host,
            port=self._config.listen_port,
            registry=self._engine.telemetry.registry,
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
        return {"loop": self._heartbeat.alive(), "repository": self._engine.looked}


def _forget_git_environment() -> None:
    """Started from a git hook, say, we inherit variables that would lead git and its readers to another repository."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]


def _http_file(config: Config) -> Path:
    """Where the daemon says under which address it listens."""
    return Path(config.state_dir) / "http"
