"""An event loop on virtual time, shared by all simulated processes: it has no selector, no threads and no luck.

One step runs one handle: everything between two awaits. A handle belongs to the process in whose context it was made
(contexts are inherited by tasks and callbacks), so a whole process can be killed, paused and woken. Within a process
handles run first in, first out, as on a real loop; which process runs next, the dice decide. When nothing is ready,
time jumps to the next timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, ContextVar, copy_context
from typing import Any

STEP_S = 2e-5  # what one step takes: a loop without a pause still lets timers come due
_COMPACT = 512


class Killed(BaseException):
    """Unwinds a step of a process that has just died: as no handler catches it, nothing more is done."""


class Stuck(Exception):
    """Nothing is ready and no timer runs: the simulated world has ended by itself."""


class Process:
    """What is killed and paused as a whole. `resources` are given back when it dies, as a kernel would."""

    def __init__(self, loop: SimLoop, name: str) -> None:
        self.loop = loop
        self.name = name
        self.alive = True
        self.paused = False
        self.running = False  # a step of it is on the stack now
        self.steps = 0
        self.ready: deque[Handle] = deque()
        self.context: Context = copy_context()
        self.context.run(PROCESS.set, self)
        self.resources: list[Callable[[], None]] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._compact = _COMPACT

    def call_soon(self, callback: Callable[..., object], *args: object) -> Handle:
        """A step of this process, whoever asks for it."""
        return self.loop.call_soon(callback, *args, context=self.context)

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> Timer:
        return self.loop.call_at(self.loop.now + delay, callback, *args, context=self.context)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of this process."""
        return self.context.run(self.loop.create_task, coroutine)

    def own(self, task: asyncio.Task[Any]) -> None:
        self._tasks.append(task)
        if len(self._tasks) > self._compact:
            self._tasks = [each for each in self._tasks if not each.done()]
            self._compact = max(_COMPACT, 2 * len(self._tasks))

    def kill(self) -> None:
        """Nothing of it ever runs again; what it held is given back."""
        if not self.alive:
            return
        self.alive = False
        self.ready.clear()
        while self.resources:
            self.resources.pop()()
        self.loop.died(self)
        if not self.running:
            self.bury()

    def bury(self) -> None:
        """Close what its tasks had begun. Their `finally` blocks find a loop, a disk and links that refuse them."""
        tasks, self._tasks = self._tasks, []
        before, self.loop.current = self.loop.current, self
        for task in tasks:
            if not task.done():
                task._log_destroy_pending = False
                self.context.run(_close, task.get_coro())
        self.loop.current = before

    def pause(self) -> None:
        """SIGSTOP: what becomes ready is kept aside."""
        self.paused = True

    def wake(self) -> None:
        """SIGCONT."""
        if self.paused:
            self.paused = False
            if self.ready:
                self.loop.runnable.append(self)


PROCESS: ContextVar[Process] = ContextVar("process")


def _close(coroutine: Any) -> None:
    for _ in range(9):
        try:
            coroutine.close()
        except RuntimeError:  # it awaits something on its way out
            continue
        except BaseException:  # noqa: BLE001 - whatever the dead say
            return
        return


class Handle:
    """One step that will be run. As asyncio.Handle, as far as tasks and futures use it."""

    __slots__ = ("args", "callback", "context", "dropped", "process")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context, process: Process
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.process = process
        self.dropped = False

    def cancel(self) -> None:
        self.dropped = True

    def cancelled(self) -> bool:
        return self.dropped


class Timer(Handle):
    """A handle with a time."""

    __slots__ = ("at",)

    def when(self) -> float:
        return self.at


class _Numbered:
    """Sets of futures are walked in an order that is the same in every run."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class SimFuture(_Numbered, asyncio.Future):
    """A future with a number."""


class SimTask(_Numbered, asyncio.Task):
    """A task with a number."""


class SimLoop(asyncio.AbstractEventLoop):
    """The one loop of a simulated world."""

    def __init__(self, dice: random.Random) -> None:
        self.now = 0.0
        self.steps = 0
        self.dice = dice
        self.runnable: list[Process] = []
        self.kernel = Process(self, "kernel")  # what belongs to no process: time, the world's fate
        self.current: Process = self.kernel
        self.mourners: list[Callable[[Process], None]] = []
        self.after_step: Callable[[Process], None] | None = None
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0

    # -- what asyncio asks of a loop

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Handle:
        if context is None:
            context = copy_context()
        process = context.get(PROCESS) or self.kernel
        handle = Handle(callback, args, context, process)
        self._enqueue(process, handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Timer:
        if context is None:
            context = copy_context()
        process = context.get(PROCESS) or self.kernel
        timer = Timer(callback, args, context, process)
        timer.at = when
        if process.alive:
            self._count += 1
            heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Timer:
        return self.call_at(self.now + delay, callback, *args, context=context)

    call_soon_threadsafe = call_soon

    def create_future(self) -> asyncio.Future[Any]:
        future = SimFuture(loop=self)
        future.number = self.number()
        return future

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        _Numbered.number = self.number()  # the base class hashes it while it is made
        task = SimTask(coro, loop=self, name=name or "task", context=context)
        task.number = _Numbered.number
        process = (context or copy_context()).get(PROCESS) or self.kernel
        process.own(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Exceptions that nobody retrieved: who awaits a task sees them, and daemons await all of theirs."""

    # -- running

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """asyncio knows this loop as the running one."""
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            yield
        finally:
            events._set_running_loop(before)

    def step(self) -> None:
        """Run one handle, after letting time pass as far as need be. Raises Stuck."""
        while True:
            self._come_due()
            process = self._choose()
            if process is not None:
                handle = self._take(process)
                if handle is not None:
                    self._run(process, handle)
                    return
            elif not self._timers:
                raise Stuck
            else:
                self.now = max(self.now, self._timers[0][0])

    def interleave(self, steps: int) -> None:
        """Let others run in the middle of a step of the present process: what it does is not one piece."""
        outer = self.current
        for _ in range(steps):
            free = [each for each in self.runnable if not each.running]
            if not free:
                break
            process = free[int(self.dice.random() * len(free))] if len(free) > 1 else free[0]
            handle = self._take(process)
            if handle is not None:
                self._run(process, handle)
        self.current = outer
        if not outer.alive:
            raise Killed

    def died(self, process: Process) -> None:
        """Tell who wants to know."""
        for mourner in self.mourners:
            mourner(process)

    def number(self) -> int:
        """One that was not given before."""
        self._count += 1
        return self._count

    def _enqueue(self, process: Process, handle: Handle) -> None:
        if not process.alive:
            return
        ready = process.ready
        ready.append(handle)
        if len(ready) == 1 and not process.paused:
            self.runnable.append(process)

    def _come_due(self) -> None:
        timers = self._timers
        while timers and (timers[0][0] <= self.now or timers[0][2].dropped):
            timer = heapq.heappop(timers)[2]
            if not timer.dropped:
                self._enqueue(timer.process, timer)

    def _choose(self) -> Process | None:
        runnable = self.runnable
        while runnable:
            index = int(self.dice.random() * len(runnable)) if len(runnable) > 1 else 0
            process = runnable[index]
            if process.ready and not process.paused:
                return process
            runnable[index] = runnable[-1]
            runnable.pop()
        return None

    def _take(self, process: Process) -> Handle | None:
        """The process's next handle; None when that was cancelled, or it had none."""
        if not process.ready or process.paused:
            with contextlib.suppress(ValueError):
                self.runnable.remove(process)
            return None
        handle = process.ready.popleft()
        if not process.ready:
            self.runnable.remove(process)
        return None if handle.dropped else handle

    def _run(self, process: Process, handle: Handle) -> None:
        outer, self.current = self.current, process
        process.running = True
        try:
            handle.context.run(handle.callback, *handle.args)
        except Killed:
            pass
        finally:
            process.running = False
            self.current = outer
        self.steps += 1
        process.steps += 1
        self.now += STEP_S
        if not process.alive:
            process.bury()
        elif self.after_step is not None:
            self.after_step(process)
