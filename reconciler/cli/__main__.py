"""`reconciler`: the group of commands, and the one border where errors become messages and exit codes.

0 done · 1 error · 2 differences, or not yet · 64 wrong usage · 75 another daemon runs · 130 and 141 interrupted
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
from click.shell_completion import shell_complete

from reconciler.cli.app import App
from reconciler.cli.failures import CLOSED_PIPE, INTERRUPTED, report, report_usage
from reconciler.cli.group import PROGRAM, VARIABLE, Commands
from reconciler.core.errors import ReconcilerError


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration; default: $RECONCILER_CONFIG, ./reconciler.yaml, ~/.config/reconciler/, /etc/reconciler/.",
)
@click.version_option(package_name="reconciler", message="%(package)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, config_file: Path | None) -> None:
    """GitOps for sweeps: commit a manifest, and tasks run until git and the world agree.

    New here? `reconciler demo` shows it all in less than a minute, on this machine.
    """
    ctx.obj = App(config_file)


def execute(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code. Every error that we foresee is one message on stderr."""
    try:
        with cli.make_context(PROGRAM, list(arguments)) as context:
            code = cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return report_usage(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return CLOSED_PIPE
    except (ReconcilerError, OSError) as error:
        return report(error)
    return code if isinstance(code, int) else 0


def _forget_stdout() -> None:
    """Nobody reads any more: what is still buffered must not raise again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> NoReturn:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):  # a locale without our characters is no reason to fail
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    asked_by_shell = os.environ.get(VARIABLE)
    if asked_by_shell:
        sys.exit(shell_complete(cli, {}, PROGRAM, VARIABLE, asked_by_shell))
    sys.exit(execute(sys.argv[1:]))


if __name__ == "__main__":
    main()
