"""The group of all commands: each module is imported only when its command is asked for, so that readers start fast."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping

import click

# section → command → module
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Begin": {"demo": "demo", "init": "authoring", "validate": "authoring", "expand": "authoring", "check": "check"},
    "Serve": {"run": "serve"},
    "Look": {
        "plan": "planning",
        "status": "status",
        "tasks": "tasks",
        "task": "tasks",
        "why": "why",
        "logs": "logs",
        "watch": "watch",
    },
    "Act": {"reconcile": "actions", "retry": "actions", "approve": "actions"},
    "Shell": {"completion": "completion"},
}
MODULES = {command: module for section in SECTIONS.values() for command, module in section.items()}


class Commands(click.Group):
    """Commands by name, told in sections."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = MODULES.get(cmd_name)
        if module is None:
            return None
        command = getattr(importlib.import_module(f"reconciler.cli.{module}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and name not in MODULES:
            near = difflib.get_close_matches(name, MODULES, n=1)
            raise click.UsageError(
                f"there is no command {name!r}" + (f"; did you mean {near[0]}?" if near else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, self._summary(ctx, name)) for name in commands], col_max=12)

    def _summary(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=90) if command else ""
