"""A submission: the words of sbatch, the script that it is given, and what its answer means.

A job gets the few variables of the agent's own login that sbatch is left with, and those of Slurm. NONE (and NIL, which
many versions do not know) would have the node log the account in, for each job: a profile could hang, or take minutes.

All attempts are elements of arrays, one alone too, so that each job has one form of id: ARRAY_INDEX. The array's *name*
ends with the batch's id, which is how it is found again whatever became of the answer.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence

from reconciler.core.errors import Busy, Refused, SourceError
from reconciler.core.jobs import Demand
from reconciler.core.model import Eid, Resources
from reconciler.core.wire_commands import Ran
from reconciler.dialects.slurm_rows import NO_ROOT

SCRIPT = """\
#!/bin/sh
# Started by the reconciler: this element claims its attempt, runs it, and writes down how it ended.
PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}
export PATH
if ! [ -r {program} ]; then
    echo "${SLURMD_NODENAME:-This node} does not have" {program} >&2
    exit {no_root}
fi
for python in {pythons}; do
    if command -v "$python" > /dev/null 2>&1; then
        exec "$python" {shim} "$SLURM_ARRAY_TASK_ID" "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" \
            "${SLURM_RESTART_COUNT:-0}"
    fi
done
echo "There is no Python on ${SLURMD_NODENAME:-this node}. Tried:" {pythons} >&2
exit 127
"""
_LIKELY = "{python} python3"  # that of the agent, by its path, and what a node calls its own

EARLY_S = 60
MOST_WARN_S = 65535  # a longer one Slurm does not know

_GPU_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ACCEPTED = re.compile(r"(\d{1,18})(?:;\S+)?")
_FAILED = r"Batch job submission failed: "

# What certainly was not taken, and may be asked for again as it is: sbatch gave up before it had told anybody, or the
# controller has said no for the moment.
LATER = (
    r"Unable to contact slurm controller \(connect failure\)",
    r"Unable to process configuration file",
    _FAILED + r"Job violates accounting/QOS policy",
    _FAILED + r"Slurm temporarily unable to accept job",
    _FAILED + r"Resource temporarily unavailable",
    _FAILED + r"Required partition not available",
    _FAILED + r"Required node not available",
    _FAILED + r"Requested partition configuration not available now",
    _FAILED + r"Job can not be submitted, maximum number of jobs",
)

LIMITED = rf"{_FAILED}(?:Job violates accounting/QOS policy|Job can not be submitted, maximum number of jobs)"

# What certainly was not taken, and will not be before somebody changes it.
NEVER = (
    _FAILED + r"Invalid (?:account|array|feature|generic resource|gres|job array|job dependency|license|node name|"
    r"number of|partition|qos|time limit|time-min|wckey|job constraint|GPU|cpus?|mail|reservation)",
    _FAILED + r"Requested (?:node configuration is not available|time limit is invalid|reservation is invalid)",
    _FAILED + r"(?:User's group not permitted|Access/permission denied|Pathname of a file|Memory required by task)",
    _FAILED + r"(?:More processors requested than permitted|Node count specification invalid|Job dependency problem)",
    _FAILED
    + r"(?:Immediate execution impossible|Access denied to requested|Reservation .* not|Job size specification)",
    r"sbatch: error: Invalid (?:--[a-z-]+ specification|generic resource \(gres\) specification|argument)",
    r"sbatch: error: (?:invalid partition specified|Memory specification can not be satisfied)",
    r"sbatch: unrecognized option",
    r"sbatch: error: (?:This does not look like a batch script|Batch script |Unable to open file)",
)
REJECTS = LATER + NEVER

_HINTS: Mapping[str, str] = {
    "account": "see `sacctmgr show assoc user=$USER`; `schedulerOptions` or the source's `options` name one",
    "partition": "see `sinfo -s` for the partitions; `schedulerOptions` or the source's `options` name one",
    "qos": "see `sacctmgr show assoc user=$USER format=Account,QOS`",
    "array": "lower the source's `arraySize` to the cluster's MaxArraySize (`scontrol show config`)",
    "feature": "see `sinfo -o %f` for the features of nodes",
    "gres": "see `sinfo -o %G` for the kinds and numbers of GPUs of nodes",
    "memory": "see `sinfo -o %m` for the memory of nodes",
    "node configuration": "no node has what `resources` asks for: see `sinfo -N -l`",
    "time limit": "see `sinfo -o '%P %l'` for the longest walltime of each partition",
}


def script(python: str | None = None) -> str:
    """What each job runs; the agent fills in the rest. python: of the nodes; None: one that is there."""
    text = SCRIPT.replace("{pythons}", _LIKELY if python is None else _quoted(python))
    return text.replace("{no_root}", str(NO_ROOT))


def _quoted(path: str) -> str:
    """One word for a shell, in which a leading `~` is the home folder of the account."""
    home, rest = ('"$HOME"', path[1:]) if path.startswith("~/") else ("", path)
    return f"{home}{shlex.quote(rest)}"


def words(
    name: str,
    comment: str,
    demand: Demand,
    count: int,
    defaults: Mapping[str, str],
    *,
    test: bool = False,
    warn_s: int | None = None,
) -> list[str]:
    """The argv of sbatch for `count` attempts; test: only whether it would be taken. Options win over `defaults`.

    warn_s: so long before the end of their time the shims are to be told, in case that Slurm knows an earlier one.

    Raises Refused when the demand cannot be put into words that are safe.
    """
    options = {**defaults, **dict(demand.options)}
    last = count - 1
    return [
        "sbatch",
        *(("--test-only",) if test else ("--parsable",)),
        "--no-requeue",
        "--export=ALL",
        f"--job-name={name}",
        f"--comment={comment}",
        f"--array=0-{last}",
        "--chdir={root}",
        f"--output={'/dev/null' if test else '{folder}/%a.log'}",
        "--open-mode=append",
        *_warning(demand.resources, warn_s),
        *_resources(demand.resources, options),
        *(f"--{option}={value}" if value else f"--{option}" for option, value in sorted(options.items())),
    ]


def _warning(resources: Resources, warn_s: int | None) -> list[str]:
    """Also when somebody has shortened their time, and before they are preempted where the site does that.

    Slurm may be a minute early, which must not be the first thing that a task hears.
    """
    walltime_s = resources.walltime_s
    if warn_s is None or warn_s > MOST_WARN_S or walltime_s is None or walltime_s < 2 * (warn_s + EARLY_S):
        return []
    return [f"--signal=B:USR1@{warn_s}"]


def _resources(resources: Resources, options: dict[str, str]) -> list[str]:
    found = [
        f"--nodes={resources.nodes}",
        f"--ntasks-per-node={resources.tasks_per_node}",
        f"--cpus-per-task={resources.cpus}",
    ]
    if resources.memory_mib is not None and not options.keys() & {"mem-per-cpu", "mem-per-gpu"}:
        found.append(f"--mem={resources.memory_mib}M")
    if resources.walltime_s is not None:
        found.append(f"--time={math.ceil(resources.walltime_s / 60)}")
    if resources.gpus:
        kind = resources.gpu_type
        if kind is not None and not _GPU_TYPE.fullmatch(kind):
            raise Refused("SubmissionRefused", f"`{kind:.60}` is no type of GPUs that Slurm could have")
        wanted = ":".join(["gpu", *([kind] if kind else []), str(resources.gpus)])
        others = options.pop("gres", "")
        found.append(f"--gres={wanted}{',' if others else ''}{others}")
    return found


def accepted(ran: Ran) -> bool:
    """Whether it was certainly taken: site wrappers may print more lines around the id."""
    return ran.rc == 0 and not ran.timed_out and any(_ACCEPTED.fullmatch(line.strip()) for line in ran.out.splitlines())


def rejected(ran: Ran) -> bool:
    """Whether it was certainly not taken, by the rule that the agent follows on the spot."""
    told = f"{ran.out}\n{ran.err}"
    return ran.rc != 0 and not ran.timed_out and (ran.rc is None or any(re.search(each, told) for each in REJECTS))


def refusal(ran: Ran) -> SourceError:
    """Why a submission that was certainly not taken was not: Busy, or Refused when only a change helps."""
    text = "\n".join(_lines(ran))
    if ran.rc is None:
        return Busy("Busy", f"sbatch cannot be started: {text:.400}", hint="is Slurm on the PATH of the account?")
    message = said(ran)
    later = any(re.search(pattern, text) for pattern in LATER) and "PerJob" not in text
    if later or not any(re.search(pattern, text) for pattern in (*NEVER, _FAILED + "Job violates")):
        return Busy("LimitReached" if re.search(LIMITED, text) else "Busy", message)
    lowered = text.lower()
    hint = next((hint for word, hint in _HINTS.items() if word in lowered), "")
    return Refused("SubmissionRefused", message, hint=hint)


def said(ran: Ran) -> str:
    """What it said last, in its own words."""
    return "; ".join(_bare(line) for line in _lines(ran)[-3:])[:600] or f"sbatch ended with {ran.rc}"


def _lines(ran: Ran) -> list[str]:
    return [line.strip() for line in (ran.err + "\n" + ran.out).splitlines() if line.strip()]


def _bare(line: str) -> str:
    for noise in ("sbatch: ", "error: ", "Batch job submission failed: ", "allocation failure: "):
        line = line.removeprefix(noise)
    return line


def comment_of(sweep: str, eids: Sequence[Eid]) -> str:
    """For people who look at the queue."""
    return f"reconciler: {len(eids)} tasks of sweep {sweep}"
