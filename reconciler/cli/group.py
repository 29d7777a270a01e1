"""The group of all commands. A module is imported only when its command is asked for, so that everything starts fast.

Each command's summary stands here and not only in its module, so that `--help` imports none; a test compares the two.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import NamedTuple

import click

PROGRAM = "reconciler"
VARIABLE = "_RECONCILER_COMPLETE"  # set by the shell that asks for completions


class Entry(NamedTuple):
    """Where a command is, and what it does."""

    module: str
    summary: str


SECTIONS: Mapping[str, Mapping[str, Entry]] = {
    "Begin": {
        "demo": Entry("demo", "See a sweep from commit to results, in less than a minute."),
        "init": Entry("authoring", "Write a first manifest into a git repository."),
        "validate": Entry("authoring", "Check manifests, files or folders; 1 if any is wrong."),
        "expand": Entry("authoring", "Show what a manifest would run."),
        "check": Entry("check", "Check the machine, the repository and the sources."),
    },
    "Serve": {
        "run": Entry("serve", "Serve the repository: make what runs what git says."),
    },
    "Look": {
        "plan": Entry("planning", "Show what the newest commit would change; 2 if anything."),
        "status": Entry("status", "Show how sweeps and sources stand, daemon or not."),
        "tasks": Entry("tasks", "List the tasks of a sweep in declared order."),
        "task": Entry("tasks", "Show one task, its attempts and what happened to it."),
        "why": Entry("why", "Explain why a task does not run, or how it failed."),
        "logs": Entry("logs", "Print what a task wrote."),
        "efficiency": Entry("efficiency", "Show what tasks used of what they asked for: processors, memory, time."),
        "sources": Entry("sources", "Show the sources: machine, load, room, code, results."),
        "watch": Entry("watch", "Watch the sweeps live, until Ctrl-C."),
    },
    "Act": {
        "reconcile": Entry("actions", "Look at the repository now, and at one sweep or all."),
        "project": Entry("project", "Compare code on a source with the code here, and bring edits across."),
        "retry": Entry("actions", "Run failed, lost and cancelled tasks of a sweep again."),
        "approve": Entry("actions", "Let removals happen that were held back for being many."),
        "rebuild": Entry("rebuild", "Make a lost or damaged state anew, from git and the sources."),
    },
    "Shell": {
        "completion": Entry("completion", "Print the completion script for a shell."),
    },
}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Commands(click.Group):
    """Commands by name, told in sections."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"reconciler.cli.{COMMANDS[cmd_name].module}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and name not in COMMANDS:
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            suggestion = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"there is no command {name!r}{suggestion}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, entries in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, entry.summary) for name, entry in entries.items()], col_max=12)
