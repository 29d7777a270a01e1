"""What a Slurm cluster bears and how it is set up: asked of it now and then, with commands that only look.

A limit that was not told is None, and nothing follows from it: accounting may be off, slow or forbidden, and older
versions have fewer words. Whoever runs into a limit all the same is told so by the submission, and tries again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from reconciler.core.jobs import Site
from reconciler.core.wire import Exchange
from reconciler.core.wire_commands import Command, Ran, inquire
from reconciler.dialects.slurm_command import asks

ASK_S = 10.0
PRESENT_S = 5.0

_USER = 'user="$(id -un)"'
_OF_USER = "format=Account,MaxSubmit,GrpSubmit,DefaultQOS"
_OF_QOS = "format=Name,MaxSubmitPU,GrpSubmit"
_LOOK = "sacctmgr --noheader --parsable2 --readonly show"
_SETTING = re.compile(r"^(\w+)\s*= ?(.*?)\s*$", re.MULTILINE)
_NUMBER = re.compile(r"(\d{1,12})(?: sec)?")


def survey(options: Mapping[str, str]) -> Exchange[Site | None]:
    """One question for all; None: no controller answers. options: of sbatch for all that is submitted there."""
    question = inquire(commands())
    return Exchange(request=question.request, parse=lambda reply: read(question.parse(reply), options))


def presence(timeout_s: float = PRESENT_S) -> Exchange[Site | None]:
    """Whether a controller answers at all: one that is away makes each question last."""
    question = inquire({"config": asks(("scontrol", "show", "config"), timeout_s)})
    return Exchange(request=question.request, parse=lambda reply: read(question.parse(reply), {}))


def commands() -> Mapping[str, Command]:
    """What is asked, by name. Each only looks."""
    questions: Mapping[str, Sequence[str]] = {
        "config": ("scontrol", "show", "config"),
        "partitions": ("sinfo", "--noheader", "--format=%P"),
        "associations": ("sh", "-c", f"exec {_LOOK} assoc {_USER} {_OF_USER}"),
        "qos": ("sh", "-c", f"exec {_LOOK} qos {_OF_QOS}"),
    }
    return {name: asks(argv, ASK_S) for name, argv in questions.items()}


def read(ran: Mapping[str, Ran], options: Mapping[str, str]) -> Site | None:
    """What the answers come to."""
    settings = dict(_SETTING.findall(_out(ran.get("config"))))
    version = settings.get("SLURM_VERSION", "")
    if not version:
        return None
    storage = settings.get("AccountingStorageType", "").rpartition("/")[2]
    return Site(
        version=f"Slurm {version}",
        batch_max=_number(settings, "MaxArraySize"),  # the first index that is too high; ours begin with 0
        queue_max=_number(settings, "MaxJobCount"),
        jobs_max=_jobs_max(_out(ran.get("associations")), _out(ran.get("qos")), options),
        forgets_s=_number(settings, "MinJobAge"),
        kill_wait_s=_number(settings, "KillWait"),
        patience_s=_number(settings, "MessageTimeout"),
        accounted=storage not in ("none", "(null)", "") if storage else None,
        partition=_default_partition(_out(ran.get("partitions"))),
    )


def _out(ran: Ran | None) -> str:
    return ran.out if ran is not None and ran.rc == 0 and not ran.timed_out else ""


def _number(settings: Mapping[str, str], name: str) -> int | None:
    match = _NUMBER.fullmatch(settings.get(name, ""))
    return None if match is None else int(match[1])


def _default_partition(told: str) -> str:
    return next((line.strip()[:-1] for line in told.splitlines() if line.strip().endswith("*")), "")


def _jobs_max(associations: str, qos: str, options: Mapping[str, str]) -> int | None:
    """The most jobs that the account may have there at once; None: nobody says.

    With several accounts the most generous one counts, unless the options name one: too much is refused for a while.
    """
    limits = {name: _least(rest) for name, *rest in _rows(qos)}
    found: list[int | None] = []
    for row in _rows(associations):
        account, submit, group, default = (*row, "", "", "", "")[:4]
        if options.get("account", account) == account:
            quality = limits.get(options.get("qos", default))
            found.append(_least([submit, group, "" if quality is None else str(quality)]))
    known = [each for each in found if each is not None]
    return max(known) if known and len(known) == len(found) else None


def _rows(told: str) -> list[list[str]]:
    return [line.split("|") for line in told.splitlines() if "|" in line]


def _least(values: Iterable[str]) -> int | None:
    """The tightest of limits, as they are printed: nothing is no limit, as is -1."""
    return min((int(value) for value in values if value.isdigit()), default=None)
