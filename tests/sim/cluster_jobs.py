"""The nouns of a simulated array scheduler: its manner, its nodes, the elements of its arrays, and their starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Down(Exception):
    """Whoever was asked does not answer."""


class Rejected(Exception):
    """A submission was certainly not taken. `later`: it may be, another time."""

    def __init__(self, message: str, *, later: bool) -> None:
        super().__init__(message)
        self.later = later


class State(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETING = "COMPLETING"
    ENDED = "ENDED"


@dataclass(frozen=True, kw_only=True)
class Manner:
    """What kind of scheduler it is.

    reruns       an element whose node is lost is started again by the scheduler itself (PBS: arrays always are); else
                 it ends, as `--no-requeue` asks (Slurm)
    noticed_s    until a lost node is noticed (PBS: node_fail_requeue, 310 s)
    accounting   what has ended can be asked for by name
    shown_s      how long what has ended stays listed, as ended (MinJobAge; PBS without history: not at all)
    forgets      a crash loses what was accepted since the last save, and gives its ids again (Slurm, 5 s)
    nodes_keep_time  nodes enforce the walltime by themselves (PBS); else only as long as they are reached (Slurm)
    most_jobs    elements of one user in the queue; most_elements: of one array
    """

    name: str
    reruns: bool
    noticed_s: float
    accounting: bool
    shown_s: float
    forgets: bool
    nodes_keep_time: bool
    save_every_s: float = 5.0
    most_jobs: int = 1000
    most_elements: int = 1000


SLURM = Manner(
    name="slurm", reruns=False, noticed_s=90.0, accounting=True, shown_s=300.0, forgets=True, nodes_keep_time=False
)
PBS = Manner(
    name="pbs", reruns=True, noticed_s=310.0, accounting=False, shown_s=0.0, forgets=False, nodes_keep_time=True
)


class Run(Protocol):
    """What a start runs on its node. It calls back when it is over, however it came to that."""

    def kill(self, *, gently: bool) -> None:
        """All of it ends: at once, or after it was told, and had a moment."""

    def vanish(self) -> None:
        """Its node has lost power: nothing of it is left, and nothing is called back."""


@dataclass(eq=False)
class Node:
    """A compute node.

    cut    the controller does not reach it, while what runs there goes on
    unfit  a job of ours ends there before it can claim anything: there is no Python, say
    """

    name: str
    slots: int
    up: bool = True
    cut: bool = False
    unfit: bool = False
    boots: int = 1
    running: list[Start] = field(default_factory=list)  # what really runs there, whatever the controller believes
    untold: list[Callable[[], None]] = field(default_factory=list)  # what it has to say once it is reached again

    @property
    def reached(self) -> bool:
        return self.up and not self.cut

    @property
    def free(self) -> int:
        return self.slots - len(self.running) if self.reached else 0


@dataclass(eq=False)
class Element:
    """One element of an array, as the controller knows it. forgotten: it does so no more, since a crash."""

    array: int
    index: int
    name: str
    user: str
    walltime_s: float | None
    script: Script
    submitted_at: float
    shown_at: float
    state: State = State.PENDING
    restarts: int = 0
    held: bool = False
    start: Start | None = None
    verdict: str = ""
    ended_at: float = 0.0
    forgotten: bool = False


@dataclass(eq=False)
class Start:
    """One start of an element on a node."""

    element: Element
    node: Node
    restarts: int
    run: Run | None = None

    @property
    def current(self) -> bool:
        """Whether the controller takes it for the element's start."""
        return self.element.start is self and not self.element.forgotten


Script = Callable[[Start, Callable[[int], None]], Run]
"""Begins on the start's node; calls back with an exit code when it is over."""


@dataclass(frozen=True)
class Entry:
    """A line of the accounting: how a start has ended. boots: of its node, when it ended."""

    array: int
    index: int
    name: str
    restarts: int
    verdict: str
    ended_at: float
    node: Node | None
    boots: int
    shown_at: float
