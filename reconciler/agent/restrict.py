"""How many jobs of a batch its scheduler may run at once, told anew while they wait.

A number that was given out again may be somebody else's by now: only what a fresh listing shows under the name of one
of our batches is told anything. Telling it twice does no harm.
"""

import functools
from typing import Callable, Dict, List, Pattern, Set, Tuple

from . import batch, shapes
from .command import Command, command_of, pattern_of, run
from .place import Place
from .shapes import Object


def work(place: Place, body: Object) -> Callable[[], Object]:
    """What a side process has to do. Raises Refusal."""
    limits = {
        shapes.eid_of(eid): shapes.whole({"limit": value}, "limit")
        for eid, value in shapes.object_of(body.get("limits"), "limits").items()
    }
    listing, command = command_of(body.get("listing")), command_of(body.get("command"))
    return functools.partial(restrict, place, limits, listing, pattern_of(shapes.text(body, "row")), command)


def restrict(place: Place, limits: Dict[str, int], listing: Command, row: Pattern[str], command: Command) -> Object:
    """limits: of the batches that these attempts are of. Those of which the scheduler has heard are told."""
    batches = {each.beid: (each.name, eid) for eid, (each, _) in batch.of(place, list(limits)).items()}
    if not batches:
        return {"told": []}
    listed = run(listing.filled(names=",".join(sorted(name for name, _ in batches.values()))))
    told: List[shapes.Json] = []
    for beid, job in sorted(_jobs(str(listed["out"]), row)):
        if beid in batches:
            eid = batches[beid][1]
            ran = run(command.filled(job=job, limit=str(limits[eid])))
            if ran["rc"] == 0:
                told.append(eid)
    return {"told": told}


def _jobs(listed: str, row: Pattern[str]) -> Set[Tuple[str, str]]:
    """Batches, and what the scheduler calls the whole of each."""
    found = set()
    for line in listed.splitlines():
        match = row.search(line)
        if match is not None:
            found.add((match.group("batch"), match.group("job")))
    return found
