"""What this machine has besides its CPUs: graphics processors, and programs that others may need. In a side process."""

import os
from typing import List

from . import logins
from .shapes import Json, Object

PROGRAMS = ("git", "rsync", "sbatch", "squeue", "scancel", "sacct", "qsub", "qstat", "qdel")
GPUS_S = 15.0  # the first question after a boot loads a driver
GPUS_MAX = 64


def survey() -> Object:
    """Names of graphics processors, and of the programs that were found; and whether tasks outlive the login."""
    import shutil  # not in the agent itself

    gpus: List[Json] = []
    gpus.extend(_gpus())
    found: List[Json] = []
    found.extend(name for name in PROGRAMS if shutil.which(name, path=_path()))
    return {"gpus": gpus, "programs": found, "ends_leftovers": logins.ends_leftovers()}


def _gpus() -> List[str]:
    """As NVIDIA's own program tells them; none when it is not there, or does not answer in time."""
    import subprocess

    words = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            words,
            env=dict(os.environ, PATH=_path(), LC_ALL="C"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=GPUS_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else []
    return [" ".join(line.split())[:100] for line in lines if line.strip()][:GPUS_MAX]


def _path() -> str:
    return os.environ.get("PATH", os.defpath)
