"""`demo`: a sweep from commit to results on this machine, in a folder of its own.

manifest.py  what the demo commits, and the edit
world.py     the folder: a git repository, a configuration, and a daemon on it
scene.py     what the store says about the sweep at one instant
view.py      the scene on the screen, live or line by line
story.py     what happens, one step after the other
"""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.output import console


@click.command()
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to work in, which must be empty or new; default: a temporary one, which stays.",
)
def demo(directory: Path | None) -> int:
    """See a sweep from commit to results, in less than a minute.

    It is committed, runs, is edited while it runs, and ends; all in a folder of its own, on this machine.
    """
    import asyncio

    from reconciler.cli.demo.story import tell

    return asyncio.run(tell(console(), directory.absolute() if directory else None))
