"""Whether Slurm would take a submission, asked before it is made: `sbatch --test-only`, which submits nothing.

The words are those of the submission itself, down to the environment; only what the jobs would run is left out. Slurm
often says no more than "Requested node configuration is not available": what is at fault is then found by asking again
for less, one thing at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.core.jobs import Demand
from reconciler.core.model import Eid, Resources, SweepName
from reconciler.core.wire_commands import Command, Ran
from reconciler.dialects import slurm_submission as submission
from reconciler.dialects.base import Opinion, Tried
from reconciler.dialects.slurm_command import submits

TRIAL_S = 30.0

_TRIED = re.compile(r"^(?:sbatch: error: )?allocation failure: ", re.MULTILINE)
_FAILED = "sbatch: error: Batch job submission failed: "
_SUBMITTED = re.compile(r"^(?:Submitted batch job )?(\d{1,18})(?:;\S+)?$", re.MULTILINE)
_BUSY = (  # not for always: nodes are drained or down, and come back
    "Requested nodes are busy",
    "Required node not available",
    "Requested partition configuration not available now",
    "Required partition not available",
)

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
    (r"job dependency", ""),
)
_NAMED = re.compile(r"Invalid --([a-z-]+) specification|unrecognized option '--([a-z-]+)")
_LESS: Mapping[str, Callable[[Resources], Resources]] = {  # the least that can be asked for, by the manifest's word
    "memory": lambda resources: replace(resources, memory_mib=None),
    "gpus": lambda resources: replace(resources, gpus=0, gpu_type=None),
    "cpus": lambda resources: replace(resources, cpus=1),
    "nodes": lambda resources: replace(resources, nodes=1),
    "tasksPerNode": lambda resources: replace(resources, tasks_per_node=1),
    "walltime": lambda resources: replace(resources, walltime_s=None),
}
_LESS_OPTIONS = ("constraint", "gres", "nodelist", "mincpus", "tmp", "partition", "qos", "account", "reservation")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmTrials:
    """Asks a cluster. options: of sbatch for everything that is submitted there; those of a manifest win."""

    options: Mapping[str, str]

    def command(self, sweep: SweepName, demand: Demand, count: int, root: str) -> Command:
        """Would so many attempts of this sweep be taken? root: of the source. Raises Refused as a submission does."""
        name = f"{sweep}.b{'a' * 14}"
        words = submission.words(
            name, submission.comment_of(sweep, [Eid("")] * count), demand, count, self.options, test=True
        )
        argv = [word.replace("{root}", root) for word in words]
        return submits(argv, submission.SCRIPT.replace("{exec}", "true"), TRIAL_S)

    def read(self, ran: Ran, demand: Demand) -> Tried:
        """What the cluster thinks of it."""
        told = submission.said(ran)
        if ran.timed_out:
            return Tried(opinion=Opinion.UNKNOWN, message=f"sbatch took longer than {TRIAL_S:.0f} s; {told}")
        if ran.rc is None:
            return Tried(opinion=Opinion.UNKNOWN, message=f"sbatch cannot be started: {told}")
        submitted = _SUBMITTED.search(ran.out)
        if submitted is not None:
            message = f"its sbatch heeds no --test-only, and has submitted the job {submitted[1]}, which does nothing"
            return Tried(opinion=Opinion.UNKNOWN, message=message, hint=f"run `scancel {submitted[1]}` there")
        if ran.rc == 0:
            return Tried(opinion=Opinion.TAKEN, message=told)
        return self._refused(replace(ran, err=_TRIED.sub(_FAILED, ran.err)), demand)

    def _refused(self, ran: Ran, demand: Demand) -> Tried:
        error, told = submission.refusal(ran), submission.said(ran)
        if any(words in told for words in _BUSY):
            return Tried(opinion=Opinion.LATER, message=told, hint="see `sinfo -R` for nodes that are away")
        if error.reason != "SubmissionRefused":
            known = submission.rejected(ran)
            return Tried(opinion=Opinion.LATER if known else Opinion.UNKNOWN, message=told, hint=error.hint)
        return Tried(opinion=Opinion.REFUSED, message=told, hint=error.hint, at=self._at(told, demand))

    def relaxed(self, demand: Demand) -> Iterator[tuple[tuple[str, ...], Demand]]:
        """What is asked for, less one thing each, which is then at fault if so much is taken."""
        for name, less in _LESS.items():
            resources = less(demand.resources)
            if resources != demand.resources:
                yield self._place(name, demand), replace(demand, resources=resources)
        written = dict(demand.options)
        for name in _LESS_OPTIONS:
            if name in written:
                rest = tuple(option for option in demand.options if option[0] != name)
                yield self._place(name, demand), replace(demand, options=rest)

    def _at(self, told: str, demand: Demand) -> tuple[str, ...]:
        named = _NAMED.search(told)
        option = next(filter(None, named.groups()), "") if named is not None else ""
        if option in dict(demand.options) or option in self.options:
            return self._place(option, demand)
        name = next((name for pattern, name in _ABOUT if re.search(pattern, told)), "")
        return self._place(name, demand) if name else ()

    def _place(self, name: str, demand: Demand) -> tuple[str, ...]:
        """Where this is written: in the manifest, or in the source's options; or where the manifest would say it."""
        if name == "gpus" and not demand.resources.gpus:
            name = "gres"
        if name in _LESS:
            return ("spec", "resources", name)
        if name in self.options and name not in dict(demand.options):
            return ("options", name)
        return ("spec", "schedulerOptions", "slurm", name)
