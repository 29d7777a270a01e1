"""A world of the end-to-end tests whose one source is a real Slurm cluster of its own."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.conftest import World
from tests.fakes.slurm_lab import SlurmLab

COUNTED = ("sbatch", "squeue", "scancel", "sacct", "scontrol")
WRAPPER = """\
#!/bin/sh
echo "{name} $*" | cut -c1-400 >> {folder}/commands
[ {name} = sbatch ] && [ -e {folder}/mute ] || exec {real} "$@"
{real} "$@" >/dev/null
rm {folder}/mute
kill -9 $PPID
"""


class ClusterWorld(World):
    """Its commands of Slurm are written down.

    mute  while that file is there, the next submission is taken, but who asked for it dies before it hears that
    """

    def __init__(self, folder: Path, *, source: Mapping[str, Any] | None = None, **settings: str) -> None:
        """source: what its entry in the configuration says besides; settings: further lines of slurm.conf."""
        (folder / "w").mkdir()
        super().__init__(folder / "w")
        self.commands, self.mute = folder / "commands", folder / "mute"
        self.cluster = self.state / "cluster"
        self.slurm = SlurmLab(folder, **settings)
        self.slurm.start()
        cluster = {
            "scheduler": "slurm",
            "python": str(self._python(folder)),
            "root": str(self.cluster),
            "maxJobs": 60,
            "pollInterval": "10s",
            "options": {"nice": 5},
        }
        document = {
            "repository": {"url": str(self.repository), "interval": "1s"},
            "sources": {"cluster": cluster | dict(source or {})},
            "state": {"dir": str(self.state)},
            "results": {"dir": str(self.root / "results")},
            "prune": {"maxTasks": 1_000_000},
            "http": {"listen": "127.0.0.1:0"},
        }
        self.config.write_text(json.dumps(document))

    def _python(self, folder: Path) -> Path:
        """As the lab's own, with commands that write down that they were asked."""
        programs = folder / "bin"
        programs.mkdir()
        for name in COUNTED:
            real = shutil.which(name)
            if real is not None:
                (programs / name).write_text(WRAPPER.format(name=name, folder=folder, real=real))
                (programs / name).chmod(0o755)
        python = folder / "counted-python"
        python.write_text(f'#!/bin/sh\nPATH={programs}:$PATH exec {self.slurm.python} "$@"\n')
        python.chmod(0o755)
        return python

    def asked(self) -> Counter[str]:
        """How often each command of Slurm was asked so far, by the agent and what it has started."""
        lines = self.commands.read_text().splitlines() if self.commands.exists() else []
        return Counter(line.partition(" ")[0] for line in lines)

    def conditions(self) -> dict[str, str]:
        """The reasons of what holds of the sweep `s` and of the cluster."""
        told = [*self.status()["sweeps"], *self.status()["sources"]]
        return {each["type"]: each["reason"] for one in told for each in one["conditions"] if each["status"] == "True"}

    def close(self) -> None:
        super().close()
        self.slurm.close()


@contextmanager
def a_cluster_world(
    source: Mapping[str, Any] | None = None, *, place: Path | None = None, **settings: str
) -> Iterator[ClusterWorld]:
    """Nothing of it is left afterwards. place: where its folder is made."""
    folder = Path(tempfile.mkdtemp(prefix="s-e2e-", dir=place))
    world = ClusterWorld(folder, source=source, **settings)
    try:
        yield world
    finally:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
