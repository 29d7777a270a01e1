"""Which field is at fault when Slurm refuses something: what its words are about, and where that is written."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.core.jobs import Demand

# What Slurm's words are about: as an option of sbatch, or as a field of a manifest's resources.
_ABOUT = (
    (r"Invalid --mem ", "memory"),
    (r"Invalid --time ", "walltime"),
    (r"Invalid --cpus-per-task ", "cpus"),
    (r"account", "account"),
    (r"[Qq][Oo][Ss]", "qos"),
    (r"reservation", "reservation"),
    (r"[Nn]odes? not in (?:this )?partition|node name", "nodelist"),
    (r"partition", "partition"),
    (r"[Mm]emory", "memory"),
    (r"time limit|WallDuration", "walltime"),
    (r"feature|constraint", "constraint"),
    (r"[Gg]eneric resource|gres|GRES|GPU", "gpus"),
    (r"license", "licenses"),
    (r"wckey", "wckey"),
    (r"mcs.label", "mcs-label"),
    (r"[Nn]ode count", "nodes"),
    (r"[Pp]rocessors", "cpus"),
)
_NAMED = re.compile(r"Invalid (?:--)?([a-z-]+) specification|unrecognized option '--([a-z-]+)")
_RESOURCES = ("memory", "gpus", "cpus", "nodes", "tasksPerNode", "walltime")


def fault(told: str, demand: Demand, defaults: Mapping[str, str]) -> tuple[str, ...]:
    """A path, see `place_of`, or () when the words leave it open. defaults: options of the source."""
    named = _NAMED.search(told)
    option = next(filter(None, named.groups()), "") if named is not None else ""
    if option in dict(demand.options) or option in defaults:
        return place_of(option, demand, defaults)
    name = next((name for pattern, name in _ABOUT if re.search(pattern, told)), "")
    return place_of(name, demand, defaults) if name else ()


def place_of(name: str, demand: Demand, defaults: Mapping[str, str]) -> tuple[str, ...]:
    """Where it is written, or would be: a path from the manifest's root, or `options` and a name of the source's."""
    if name == "gpus" and not demand.resources.gpus:
        name = "gres"
    if name in _RESOURCES:
        return ("spec", "resources", name)
    if name in defaults and name not in dict(demand.options):
        return ("options", name)
    return ("spec", "schedulerOptions", "slurm", name)
