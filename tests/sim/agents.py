"""The production agent on a simulated machine: its own modules, loaded once more over the calls of `calls`.

Only what forks is written anew here (`Desk._fork`, the children of `side`): a Python frame cannot be in two processes.
Everything else, every look, claim, lock, signal and wait of agent and shim, is the code that is shipped.
"""

from __future__ import annotations

import builtins
import contextlib
import inspect
from collections.abc import Callable, Generator
from functools import lru_cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import reconciler.agent
from tests.sim import calls, proc_calls, system, waiting, waits
from tests.sim.files import Opened, failure
from tests.sim.machine import Machine, Proc

FOLDER = Path(reconciler.agent.__file__).parent


class Box:
    """The agent's modules, over the simulated calls."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}
        self.itself = self
        self._builtins = {**vars(builtins), "__import__": self._import, "open": calls.open_text}

    def __getattr__(self, name: str) -> ModuleType:
        if name not in self._modules:
            module = ModuleType(f"simulated.agent.{name}")
            module.__dict__.update(__builtins__=self._builtins, _awaited=waits.awaited, _preempted=waits.preempted)
            self._modules[name] = module
            try:
                exec(_code(name), module.__dict__)
            except AttributeError as error:  # else it would look as if there were no such module
                raise ImportError(f"agent/{name}.py: {error}") from error
            if name == "crash":
                module.crashpoint = proc_calls.crashpoint
        return self._modules[name]

    def _import(self, name: str, globals_: Any = None, locals_: Any = None, listed: Any = (), level: int = 0) -> Any:
        if level:
            importer = globals_["__name__"].rpartition(".")[2]
            borrowed = waiting.BORROWED.get((importer, name))
            return _Both(getattr(self, borrowed), getattr(self, name)) if borrowed else getattr(self, name or "itself")
        if name == "os" and globals_["__name__"] == "simulated.agent.shim":
            return system.SHIM_OS
        return system.MODULES.get(name) or builtins.__import__(name, globals_, locals_, listed, level)


class _Both:
    """What one of two modules has that waits, and all else of the other."""

    def __init__(self, stepwise: ModuleType, plain: ModuleType) -> None:
        self._modules = stepwise, plain

    def __getattr__(self, name: str) -> Any:
        stepwise, plain = self._modules
        return getattr(stepwise if inspect.isgeneratorfunction(getattr(stepwise, name)) else plain, name)


@lru_cache(maxsize=64)
def _code(name: str) -> CodeType:
    return waiting.compiled(name, (FOLDER / f"{waiting.STEPWISE.get(name, name)}.py").read_text())


@lru_cache(maxsize=1)
def box() -> Box:
    """The one set of modules: they keep no state of their own."""
    made = Box()
    made.desk.Desk._fork = _fork
    made.side.start = _start_side
    made.worktree.lay_out = _lay_out
    made.tidy.tidy = _tidy
    made.side.empty_trash = _empty_trash
    return made


def start_agent(machine: Machine, stdin: Opened, stdout: Opened) -> Proc:
    """An agent that speaks on these two."""
    proc = Proc(machine, "python3", None)
    proc.kind = "agent"
    proc.fds = {0: stdin, 1: stdout, 2: machine.null()}
    Script(proc, _until_exit(proc, box().main.main))
    machine.made(proc)
    return proc


def _until_exit(proc: Proc, main: Callable[[], Generator[Any, None, int]]) -> Generator[Any, None, None]:
    status = yield from main()
    proc.end(status << 8)


class Script:
    """Steps a generator as a process: it yields seconds to sleep, 0 for one step, None to wait until it is stirred."""

    def __init__(self, proc: Proc, steps: Generator[float | None, None, Any]) -> None:
        self._proc = proc
        self._steps = steps
        self._waiting = False
        self._timer: Any = None
        proc.stir = self.stir
        proc.resources.append(self._bury)
        proc.call_soon(self._next)

    def stir(self) -> None:
        """Something has come that it may wait for."""
        if self._waiting:
            self._waiting = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._proc.call_soon(self._next)

    def _next(self) -> None:
        self._waiting = False
        try:
            delay = next(self._steps)
        except (StopIteration, waits.Exited):
            return
        except Exception:  # noqa: BLE001 - a process ends by its traceback
            waits.Traceback.print_exc()
            self._proc.end(1 << 8)
            return
        if delay is None:
            self._waiting = True
        elif delay:
            self._waiting = True
            self._timer = self._proc.call_later(delay, self._next)
        else:
            self._proc.call_soon(self._next)

    def _bury(self) -> None:
        """What the dead had begun is closed; no call that they make on their way out does anything."""
        if self._steps.gi_running:
            return
        loop = self._proc.loop
        before, loop.current = loop.current, self._proc
        try:
            self._steps.close()
        except BaseException:  # noqa: BLE001 - whatever the dead say
            pass
        finally:
            loop.current = before


def _fork(desk: Any, order: Any) -> Any:
    """As Desk._fork: the child has what is open here, and lets go of it by itself."""
    proc = calls.caller()
    if proc.machine.cannot_fork():
        raise failure(11)
    read_end, write_end = proc_calls.pipe()
    child = waits.child_of(proc)
    child.kind = "shim"
    child.machine.made(child)
    Script(child, box().shim.run(desk.root, order, bool(desk.pool.gpus), read_end))
    proc_calls.crashpoint("shim.forked")
    calls.close(read_end)
    return box().desk.Worker(child.pid, write_end, order.spec.eid)


# ---------------------------------------------------------------------------------------------- side work


def _start_side(work: Callable[[], Any]) -> tuple[int, int]:
    """As side.start: the work is done by a child, later."""
    proc = calls.caller()
    read_end, write_end = proc_calls.pipe()
    child = waits.child_of(proc)
    child.kind = "side"
    for number in [number for number in child.fds if number != write_end]:
        child.fds.pop(number).close()
    Script(child, _side(child, write_end, work))
    calls.close(write_end)
    return child.pid, read_end


def _side(child: Proc, write_end: int, work: Callable[[], Any]) -> Generator[float, None, None]:
    yield child.machine.errand_s()
    side = box().side
    with contextlib.suppress(OSError):  # the agent is gone
        calls.write(write_end, side.dumps(side._answer(work)).encode("ascii"))
    child.end(0)


def _lay_out(plan: Any) -> Any:
    """Instead of worktree.lay_out: a folder, put in place whole."""
    machine = calls.caller().machine
    trouble = machine.worktree_trouble()
    if trouble:
        raise box().shapes.Refusal(*trouble)
    machine.files.make_folders(plan.path)
    return {"path": plan.path, "seal": ""}


def _tidy(place: Any, needed: Any, unused_s: float, now: float) -> Any:
    return {"worktrees": 0, "removed": 0}


def _empty_trash(trash: str) -> Any:
    machine = calls.caller().machine
    for name in list(machine.files.get(trash).entries):
        machine.files.remove_tree(f"{trash}/{name}")
    return {}
