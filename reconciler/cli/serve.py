"""`run`: the daemon."""

from __future__ import annotations

import click

from reconciler.cli.app import App, pass_app


@click.command()
@click.option("--once", is_flag=True, help="Bring everything to where git wants it, as far as it goes, and stop.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", help="Log lines for people, or for programs."
)
@pass_app
def run(app: App, once: bool, log_format: str) -> int:
    """Serve the repository: make what runs what git says.

    Without a configuration file, in a git repository with sweeps.d/, that repository is served on this machine.
    It runs in the foreground; TERM or Ctrl-C stops it, and tasks go on without it.
    """
    import asyncio

    from reconciler.daemon import serve
    from reconciler.telemetry.logs import LogFormat

    return asyncio.run(serve(app.config, once=once, log_format=LogFormat(log_format)))
