"""The demo's sweep on the screen: one live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from reconciler.cli.demo.manifest import CRITICAL
from reconciler.cli.demo.scene import Scene, Temperature
from reconciler.cli.output import STYLES, Cells, table
from reconciler.core.model import Phase

BAR = 36
COLUMNS = ("TEMPERATURE", "TASKS", "MAGNETISATION", "")
MARKS = {
    Phase.WAITING: "·",
    Phase.QUEUED: "○",
    Phase.RUNNING: "◐",
    Phase.SUCCEEDED: "●",
    Phase.FAILED: "✗",
    Phase.CANCELLED: "-",
    Phase.LOST: "?",
}
ORDER = (Phase.SUCCEEDED, Phase.FAILED, Phase.LOST, Phase.CANCELLED, Phase.RUNNING, Phase.QUEUED, Phase.WAITING)


class View:
    """Shows scenes until the block ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._said = ""

    def __enter__(self) -> View:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, scene: Scene) -> None:
        """The scene, if it is news."""
        if self._live is not None:
            self._live.update(Group(table(COLUMNS, rows(scene)), Text(summary(scene), style="bold")), refresh=True)
        elif summary(scene) != self._said:
            self._said = summary(scene)
            self._console.print(f"  {self._said}")


def summary(scene: Scene) -> str:
    """The counts on one line."""
    phases = scene.phases
    told = [f"{phases[phase]} {phase}" for phase in ORDER if phases[phase]]
    if scene.leaving:
        told.append(f"{scene.leaving} being cancelled")
    return ", ".join(told) or "nothing yet"


def rows(scene: Scene) -> list[Cells]:
    """Magnetisation against temperature, with the tasks that measured it."""
    return [
        (f"{value:g}", _tasks(each), _bar(each), _number(each) + (" ← transition" if value == CRITICAL else ""))
        for value, each in scene.temperatures.items()
    ]


def _tasks(temperature: Temperature) -> Text:
    text = Text()
    for phase in ORDER:
        text.append(MARKS[phase] * temperature.phases[phase], style=STYLES[phase])
    return text


def _bar(temperature: Temperature) -> Text:
    if temperature.magnetisation is None:
        return Text(" " * BAR)
    filled = round(temperature.magnetisation * BAR)
    return Text("█" * filled, style="green") + Text("░" * (BAR - filled), style="dim")


def _number(temperature: Temperature) -> str:
    return "" if temperature.magnetisation is None else f"{temperature.magnetisation:.2f}"
