"""`sources`: where tasks run, as the daemon last saw it; and `sources enable|disable`, which it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import click
from rich.text import Text

from reconciler.cli.actions import ask
from reconciler.cli.app import App, pass_app
from reconciler.cli.names import complete_source
from reconciler.cli.output import (
    Cells,
    duration,
    instant_json,
    output_option,
    plural,
    print_json,
    print_table,
    printable,
)
from reconciler.cli.status import freshness, source_gpus
from reconciler.cli.telling import read_status
from reconciler.core.errors import UsageError
from reconciler.core.model import Instant, Json
from reconciler.core.settings import SourceConfig
from reconciler.requests import Verb
from reconciler.store import SourceRow

COLUMNS = ("SOURCE", "UP", "HOST", "PYTHON", "LATENCY", "ACTIVE", "LOAD", "MEMORY", "DISK", "GPUS", "TO COLLECT")
SKEW_S = 1.0  # less is not worth telling
SHORT_MIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One source of the configuration. told: what the daemon wrote last, nothing if it never did; at: when."""

    config: SourceConfig
    told: Mapping[str, Json]
    at: Instant | None
    off: bool

    def part(self, name: str) -> Mapping[str, Json]:
        """A mapping inside of what was told; an empty one if there is none."""
        value = self.told.get(name)
        return value if isinstance(value, Mapping) else {}


@click.command()
@click.argument("action", required=False, type=click.Choice(["enable", "disable"]))
@click.argument("name", required=False, shell_complete=complete_source)
@output_option
@pass_app
def sources(app: App, action: str | None, name: str | None, output: str) -> int:
    """Show the sources: machine, load, room, code, results.

    `enable NAME` and `disable NAME` say whether new tasks may start there; what runs goes on.
    """
    if action is not None:
        if name is None:
            raise UsageError("SourceNeeded", f"which source is to be {action}d?", hint="reconciler sources lists them")
        return ask(app, Verb.ENABLE if action == "enable" else Verb.DISABLE, {"source": name})
    with app.reader() as reader:
        status, off = read_status(reader), reader.switched_off()
    rows = {row.name: row for row in status.sources}
    seen = [_seen(app, each, rows.get(each.name), off=each.name in off) for each in app.config.sources]
    if output == "json":
        print_json({"sources": [_json(each) for each in seen]})
        return 0
    print_table(COLUMNS, map(_row, seen))
    click.echo()
    for line in (*(note for each in seen for note in _notes(each)), *freshness(app, status)):
        click.echo(line)
    return 0


def _seen(app: App, config: SourceConfig, row: SourceRow | None, *, off: bool) -> Seen:
    told = row.state if row is not None and isinstance(row.state, Mapping) else {}
    return Seen(config=config, told=told, at=None if row is None else row.at, off=off)


def _json(seen: Seen) -> dict[str, Json]:
    """What the daemon told; of a source that it never saw, what the configuration tells."""
    config = seen.config
    known: dict[str, Json] = {
        "name": config.name,
        "up": False,
        "enabled": config.enabled,
        "scheduler": config.scheduler,
        "host": config.host,
        "slots": config.slots,
        "machine": None,
    }
    return known | dict(seen.told) | {"enabled": config.enabled and not seen.off, "at": instant_json(seen.at)}


def _row(seen: Seen) -> Cells:
    told, machine = seen.told, seen.part("machine")
    up = told.get("up") is True
    return (
        printable(seen.config.name),
        Text("yes" if up else "no", style="green" if up else "bold red"),
        printable(seen.config.host or "here"),
        _cell(machine, "python"),
        _milliseconds(machine.get("latencySeconds")),
        f"{told.get('active', 0)}/{told.get('slots', seen.config.slots)}",
        f"{machine['load']}/{machine['cpus']}" if "load" in machine and "cpus" in machine else "-",
        _gib(machine.get("memoryFreeMib")),
        _gib(machine.get("diskFreeMib")),
        source_gpus(told) if told.get("gpus") else str(len(_list(machine.get("gpus"))) or "-"),
        str(told.get("uncollected", 0) or "-"),
    )


def _notes(seen: Seen) -> Iterator[str]:
    """What somebody should know, each on one line."""
    name, told, machine = seen.config.name, seen.told, seen.part("machine")
    if not told:
        yield f"{name}: no daemon has asked it so far"
    elif told.get("up") is not True:
        yield printable(f"{name}: {told.get('message') or 'it is not connected'} [{told.get('reason')}]")
        if told.get("advice"):
            yield printable(f"  hint: {told['advice']}")
    if not seen.config.enabled:
        yield f"{name}: disabled by the configuration: nothing new starts there"
    elif seen.off:
        yield f"{name}: disabled: nothing new starts there until `reconciler sources enable {name}`"
    yield from (printable(f"{name}: {line}") for line in _scheduler(seen))
    skew = machine.get("clockSkewSeconds")
    if isinstance(skew, int | float) and abs(skew) >= SKEW_S:
        yield f"{name}: its clock is {duration(abs(skew))} {'ahead' if skew > 0 else 'behind'}"
    if machine.get("endsLeftovers") is True:
        yield f"{name}: its machine ends all that a login has started when it ends, tasks too (KillUserProcesses)"
        yield "  hint: its administrator can except the account: KillExcludeUsers in /etc/systemd/logind.conf"
    free = machine.get("diskFreeMib")
    if isinstance(free, int) and free < SHORT_MIB:
        yield f"{name}: only {free} MiB are free on the disk of its root"
    yield from (printable(f"{name}: {line}") for line in (*_collecting(told), *_out_of_sync(told)))


def _scheduler(seen: Seen) -> Iterator[str]:
    """What the operator has allowed, and the scheduler does not; and what may be missed there."""
    site, config = seen.part("site"), seen.config
    for limit, written, name in ((site.get("maxSubmitJobs"), config.slots, "of our jobs at once"),
                                 (site.get("arraySizeMax"), config.array_size, "tasks in one array")):  # fmt: skip
        if isinstance(limit, int) and limit < written:
            yield f"{site.get('version')} takes no more than {limit} {name}"
    for each in _list(seen.told.get("conditions")):
        if isinstance(each, Mapping) and each.get("type") == "MayMissEnds" and each.get("status") == "True":
            yield f"{each.get('message')} [{each.get('reason')}]"


def _collecting(told: Mapping[str, Json]) -> Iterator[str]:
    uncollected = told.get("uncollected")
    if isinstance(uncollected, int) and uncollected:
        yield f"the results of {plural(uncollected, 'attempt')} are still to come"
    for each in _list(told.get("conditions")):
        if isinstance(each, Mapping) and each.get("type") == "CollectFailed":
            yield f"{each.get('message')} [{each.get('reason')}]"


def _out_of_sync(told: Mapping[str, Json]) -> Iterator[str]:
    for each in _list(told.get("projects")):
        if isinstance(each, Mapping) and each.get("inSync") is False:
            yield f"project {each.get('project')}: {each.get('message')} [{each.get('reason')}]"


def _list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list) else []


def _cell(told: Mapping[str, Json], name: str) -> str:
    return printable(str(told.get(name, "-")))


def _milliseconds(seconds: Json) -> str:
    return f"{seconds * 1000:.1f} ms" if isinstance(seconds, int | float) else "-"


def _gib(mib: Json) -> str:
    return f"{mib / 1024:.1f} Gi free" if isinstance(mib, int | float) else "-"
