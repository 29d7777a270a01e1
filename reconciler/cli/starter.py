"""The first manifest of a newcomer: it works at once, and explains itself."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from reconciler.cli.git import git, in_work_tree
from reconciler.cli.shipped import shipped
from reconciler.core.errors import UsageError
from reconciler.core.jobs import Site

HELLO = """\
# yaml-language-server: $schema=../schemas/sweep.schema.json
#
# A first sweep: 3 greetings x 2 names = 6 tasks. Commit this file while `reconciler run` serves the repository, and
# they run. Then add a name and commit: only the new tasks run. Take one away: only its tasks are cancelled.

apiVersion: reconciler/v1alpha1
kind: Sweep
metadata:
  name: hello                     # the sweep's identity; the file may be renamed or moved
spec:
  # What a task runs: an argument list, never a shell. $(name) is replaced by the value of that parameter.
  command: [sh, -c, 'echo "$1, $2!" | tee "$RECONCILER_OUTPUT/greeting.txt"', hello, $(greeting), $(name)]

  parameters:                     # a list is an axis; the tasks are all combinations
    greeting: [hello, good day, welcome]
    name: [world, reconciler]

  resources: {cpus: 1, walltime: 1m}
  parallelism: 4                  # at most so many at once
  retry: {limit: 1}               # a task that fails is tried once more
"""


CLUSTER = """\
# yaml-language-server: $schema=schemas/config.schema.json
#
# {version} was found on this machine, so that tasks go to its queue; `reconciler check` asks it for its opinion.

sources:
  cluster:
    scheduler: slurm
    options: {{}}      # of sbatch for all that is submitted, as {{partition: {partition}, account: …}}{default}
    maxJobs: 100     # of ours in its queue at once, waiting ones included
"""
CONFIG = "reconciler.yaml"


def write_config(directory: Path, site: Site) -> Path | None:
    """Write a configuration for a cluster that was found; None when there is one already."""
    path = directory / CONFIG
    default = f"; {site.partition} is the default partition" if site.partition else ""
    try:
        with path.open("x") as file:
            file.write(CLUSTER.format(version=site.version, partition=site.partition or "…", default=default))
    except FileExistsError:
        return None
    schema = directory / "schemas" / "config.schema.json"
    if not schema.exists():
        schema.parent.mkdir(exist_ok=True)
        shutil.copyfile(shipped("schemas/config.schema.json"), schema)
    return path


def write(directory: Path, *, with_git: bool) -> Path:
    """Write `sweeps.d/hello.yaml`, and the schema for editors. Raises UsageError (NotARepository, FileExists)."""
    if with_git:
        directory.mkdir(parents=True, exist_ok=True)
    if not directory.is_dir():
        raise UsageError(
            "NotARepository", f"there is no folder {str(directory)!r}", hint="--git makes it, as a git repository"
        )
    if not in_work_tree(directory):
        if not with_git:
            hint = f"run `git init {shlex.quote(str(directory))}`, or give --git to have it done"
            raise UsageError("NotARepository", f"{str(directory)!r} is not in a git repository", hint=hint)
        git(directory, "init", "--quiet", "--initial-branch=main")
    path = directory / "sweeps.d" / "hello.yaml"
    path.parent.mkdir(exist_ok=True)
    try:
        with path.open("x") as file:
            file.write(HELLO)
    except FileExistsError:
        raise UsageError("FileExists", f"{path} is there already", hint="it is left as it is") from None
    schema = directory / "schemas" / "sweep.schema.json"
    if not schema.exists():
        schema.parent.mkdir(exist_ok=True)
        shutil.copyfile(shipped("schemas/sweep.schema.json"), schema)
    return path


def next_steps(directory: Path) -> str:
    """What to type after that."""
    enter = [] if directory == Path() else [f"cd {shlex.quote(str(directory))}"]
    return "\n".join(
        f"  {line}"
        for line in (
            *enter,
            "reconciler expand sweeps.d/hello.yaml      # what would run",
            "git add sweeps.d schemas && git commit -m 'A first sweep'",
            "reconciler run                             # serves this repository on this machine; Ctrl-C stops it",
            "reconciler watch                           # in another terminal",
        )
    )
