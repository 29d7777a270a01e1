"""`completion`: the script that teaches a shell our commands, options, sweeps and tasks."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from reconciler.cli.group import PROGRAM, VARIABLE


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the completion script for a shell.

    \b
    bash:  echo 'eval "$(reconciler completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(reconciler completion zsh)"' >> ~/.zshrc
    fish:  reconciler completion fish > ~/.config/fish/completions/reconciler.fish
    """
    chosen = get_completion_class(shell)
    assert chosen is not None
    click.echo(chosen(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())
    return 0
