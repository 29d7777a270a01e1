"""What happens in the demo: commit, run, edit in the middle of it, only the difference happens, results."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click
from rich.console import Console

from reconciler.cli.demo.manifest import FILE, FIRST, SWEEP, edited, manifest
from reconciler.cli.demo.scene import Scene, Watcher
from reconciler.cli.demo.view import COLUMNS, View, rows
from reconciler.cli.demo.world import World
from reconciler.cli.failures import report
from reconciler.cli.output import print_table, printable
from reconciler.clock import Clock, SystemClock
from reconciler.core.diff import Verb
from reconciler.core.errors import ReconcilerError, StoreError
from reconciler.core.model import Phase
from reconciler.store import GenerationRow, Reader

STEP_S = 0.2
PATIENCE_S = 120.0  # for each step; a busy machine is slow
EDIT_AFTER = 5  # succeeded tasks
LOG_COLUMNS = 300
TOLD = {
    Verb.ADD: "{} tasks are new and start",
    Verb.WITHDRAW: "{} waited and are withdrawn",
    Verb.CANCEL: "{} ran and are cancelled",
    Verb.FORGET: "{} had ended: their results stay",
    Verb.KEEP: "{} go on as if nothing had happened",
}


async def tell(console: Console, directory: Path | None) -> int:
    """Run the demo; returns the exit code. Whatever fails, the end of the daemon's log is shown."""
    world = World(directory or Path(tempfile.mkdtemp(prefix="reconciler-demo-")))
    try:
        await _Story(console, world, SystemClock()).run()
    except (ReconcilerError, OSError) as error:
        code = report(error)
        for line in world.log_tail():
            click.echo(f"  {printable(line[:LOG_COLUMNS])}", err=True)
        return code
    return 0


class _Story:
    def __init__(self, console: Console, world: World, clock: Clock) -> None:
        self._console = console
        self._world = world
        self._clock = clock

    async def run(self) -> None:
        world = self._world
        world.build()
        self._say(f"A git repository with one manifest, {world.repository}/{FILE}:", bold=True)
        self._say("")
        first = manifest(FIRST, sys.executable)
        for line in first.splitlines():
            self._say(f"  {line}")
        world.commit(first, "Sweep the Ising model through its phase transition")
        with world.daemon(), closing(await self._reader()) as reader:
            scene, metrics = await self._through(Watcher(reader), reader)
        self._end(scene, metrics)

    async def _through(self, watcher: Watcher, reader: Reader) -> tuple[Scene, str]:
        self._say("\nCommitted. The daemon reads the commit, and its tasks run:", bold=True)
        scene = await self._until(
            watcher, lambda now: now.phases[Phase.SUCCEEDED] >= EDIT_AFTER and bool(now.running())
        )
        self._say("\nWhile they run, the manifest is edited and committed again:", bold=True)
        commit = self._world.commit(manifest(edited(scene.running()), sys.executable), "Look closer at the transition")
        for line in self._world.difference():
            self._say(f"  {line}")
        await self._until(watcher, lambda now: now.accepted == commit)
        self._say("\nOnly the difference happens:", bold=True)
        for line in _told(reader.generations(SWEEP, limit=1)[0]):
            self._say(f"  {line}")
        self._say("")
        scene = await self._until(watcher, lambda now: now.over and not now.leaving)
        return scene, self._world.metrics_url()

    def _end(self, scene: Scene, metrics: str) -> None:
        self._say("\nDone. A magnet loses its order at the temperature 2.269:\n", bold=True)
        print_table(COLUMNS, rows(scene))
        failed = scene.phases[Phase.FAILED] + scene.phases[Phase.LOST]
        if failed:
            raise ReconcilerError("TasksFailed", f"{failed} tasks of the demo failed")
        config = shlex.quote(str(self._world.config))
        self._say(f"\nMetrics for Prometheus were at {metrics}, while the daemon ran.")
        self._say(f"Everything is in {self._world.directory}; remove it when you have seen enough. Until then:\n")
        for command in (f"tasks {SWEEP}", "run", "status", "watch"):
            self._say(f"  reconciler --config {config} {command}")
        self._say("\nIn a repository of your own:  reconciler init . && reconciler run")

    async def _reader(self) -> Reader:
        """The store, as soon as the daemon has made it."""
        deadline = self._clock.elapsed() + PATIENCE_S
        while True:
            self._world.check_daemon()
            try:
                return Reader.open(self._world.state)
            except StoreError:
                if self._clock.elapsed() > deadline:
                    raise
            await self._clock.sleep(STEP_S)

    async def _until(self, watcher: Watcher, reached: Callable[[Scene], bool]) -> Scene:
        """Show scenes until one is as awaited. Raises ReconcilerError when that takes too long, or the daemon ended."""
        deadline = self._clock.elapsed() + PATIENCE_S
        with View(self._console) as view:
            while True:
                self._world.check_daemon()
                scene = watcher.scene()
                view.show(scene)
                if reached(scene):
                    return scene
                if self._clock.elapsed() > deadline:
                    raise ReconcilerError("TooSlow", f"nothing more happened within {PATIENCE_S:.0f} s")
                await self._clock.sleep(STEP_S)

    def _say(self, line: str, *, bold: bool = False) -> None:
        self._console.print(line, style="bold" if bold else None)


def _told(generation: GenerationRow) -> list[str]:
    return [text.format(generation.counts[verb]) for verb, text in TOLD.items() if generation.counts.get(verb)]
