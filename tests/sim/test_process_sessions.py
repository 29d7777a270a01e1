"""A line that falls silent without an end: no agent waits on it for ever, and tasks do not mind."""

from __future__ import annotations

from reconciler.agent.channel import SILENT_S
from tests.sim.machine import Proc
from tests.sim.process import ProcessSide
from tests.sim.test_process_protocol import Scene, scene

NEVER_S = 1e6
SOON_S = 30.0


def _cut_off(it: Scene, box: ProcessSide) -> Proc:
    """The line to the box is dead, of which nobody there is told; the agent there."""
    (wire,) = (wire for wire in box.wires if not wire.cut_here)
    wire.cut(there_after_s=NEVER_S)
    return wire.agent


def test_an_agent_to_which_nobody_speaks_any_more_ends() -> None:
    with scene("box") as it:
        (box,) = it.sides
        it.until(lambda: it.phases() == ["running"])
        box.weather.down = True
        agent = _cut_off(it, box)

        it.wait(SILENT_S - SOON_S)
        assert agent.alive
        it.wait(2 * SOON_S)
        assert not agent.alive
        box.weather.down = False
        it.converge()


def test_an_agent_whose_daemon_has_come_back_on_another_line_ends() -> None:
    with scene("box") as it:
        (box,) = it.sides
        it.until(lambda: it.phases() == ["running"])
        agent = _cut_off(it, box)
        it.until(lambda: any(wire.agent is not agent and wire.agent.alive for wire in box.wires))

        it.wait(SILENT_S * 2 / 3)  # a simulated agent with nothing to do is lazy

        assert not agent.alive
        it.converge()
