"""Attempts of which a scheduler keeps the queue: submitted once, looked at beside its listing, and taken back.

No word of any scheduler is known here. Commands come with each request, and patterns for what little must be understood
of their answers on the spot: that a submission was certainly not taken, and which row is whose. All of this waits for
programs, so that side processes do it; one that has begun goes on when the agent is gone.

A submission is the one step that cannot be repeated. Before it, a claim is won that says so: who finds the claim there
submits nothing, and tells what is known. Only what was certainly not taken frees the claim again.
"""

import functools
import os
import re
import time
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Pattern, Set, Tuple

from . import batch, restrict, shapes
from .batch import Batch
from .command import Command, command_of, pattern_of, run
from .crash import crashpoint
from .look import Sight, look, read_claim
from .place import Place, Root, make_folder, unlink, win, write_all
from .program import publish
from .shapes import Claim, Json, Object, Refusal, Spec, dumps

OPERATIONS = frozenset(("submit", "listing", "withdraw", "restrict"))
MUTATIONS = frozenset(("submit", "withdraw", "restrict"))
UNKNOWN = "Interrupted"  # what a submission is that died: the daemon must look before it repeats anything

MAX_COMMANDS = 16
MOST_PLACES = 1 << 22  # in one batch: no scheduler has larger ones
JOBS_AT_ONCE = 200  # in one command that ends them, or asks about them
ANSWER_BYTES = 1 << 16  # of what a submission said, beside the batch
LAST_WORDS_OF = 20  # jobs, in one look

_SPAN = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})(?::([0-9]{1,9}))?)?\Z")


class Row(NamedTuple):
    """A row of a listing that one of our batches has there."""

    beid: str
    place: int
    job: str
    pattern: int  # which one has told


def work(root: Root, program: bytes, body: Object) -> Callable[[], Object]:
    """What a side process has to do for a request. Raises Refusal."""
    op = body.get("op")
    if op == "submit":
        return Submission(root, program, body).do
    if op == "restrict":
        return restrict.work(root, body)
    eids, listing = shapes.eids_of(body), command_of(body.get("listing"))
    if op == "listing":
        histories = [command_of(value) for value in shapes.list_of(body.get("histories"), "histories")]
        if len(histories) > MAX_COMMANDS:
            raise Refusal("BadRequest", "%d commands at once" % len(histories))
        unstarted = None if body.get("unstarted") is None else command_of(body.get("unstarted"))
        row = pattern_of(shapes.text(body, "row"))
        return functools.partial(look_at, root, eids, listing, row, histories, unstarted)
    ends = [_end_of(value) for value in shapes.list_of(body.get("ends"), "ends")]
    return functools.partial(withdraw, root, eids, listing, ends, body.get("running") is True)


def inquiry(place: Place, body: Object) -> Callable[[], Object]:
    """The same for commands that only look: they need no root of ours, so that visitors may ask. Raises Refusal."""
    del place
    commands = shapes.object_of(body.get("commands"), "commands")
    if len(commands) > MAX_COMMANDS:
        raise Refusal("BadRequest", "%d commands at once" % len(commands))
    return functools.partial(_run_all, {key: command_of(value) for key, value in commands.items()})


def _end_of(value: Json) -> "End":
    body = shapes.object_of(value, "a way to end jobs")
    return End(pattern_of(shapes.text(body, "row")), command_of(body.get("end")))


def _run_all(commands: Dict[str, Command]) -> Object:
    ran: Object = {key: run(command) for key, command in commands.items()}
    return {"ran": ran}


# ---------------------------------------------------------------------------------------------- submissions


class Submission:
    """A batch on its way to the scheduler."""

    def __init__(self, root: Root, program: bytes, body: Object) -> None:
        """Raises Refusal."""
        beid, name = batch.beid_of(body.get("batch")), shapes.text(body, "name")
        if not name.endswith(beid):
            raise Refusal("BadRequest", "the name %.200r does not tell the batch" % name)
        self._root = root
        self._program = program
        self._specs = [shapes.spec_of(value) for value in shapes.list_of(body.get("attempts"), "attempts")]
        self._batch = Batch(beid, name, root.instance, root.epoch, time.time(), [spec.eid for spec in self._specs])
        self._command = command_of(body.get("command"))
        self._rejects = [pattern_of(text) for text in shapes.texts(body, "rejects")]
        self._folder = batch.folder(root, beid)

    def do(self) -> Object:
        """Raises OSError and Refusal, and nothing else, when nothing was submitted, for certain."""
        claims = [(spec.eid, read_claim(self._root.attempt(spec.eid))) for spec in self._specs]
        outcomes: Object = {eid: _outcome(claim) for eid, claim in claims if claim is not None}
        answer: Object = {"outcomes": outcomes, "ran": None, "already": None, "rejected": False}
        if len(outcomes) == len(self._specs):
            return answer
        known = batch.known(self._root, self._batch.beid)
        if known is None:
            command = self._staged()
            place = self._reserve()
            try:
                won = self._win()
                if won:
                    answer["ran"], answer["rejected"] = self._submit(command, place)
                    return answer
            finally:
                place.close()
        answer["already"] = known or batch.known(self._root, self._batch.beid)
        return answer

    def _staged(self) -> Command:
        """Everything that the jobs will need lies there; returns what to run."""
        os.makedirs(self._root.path + "/batches", 0o700, exist_ok=True)
        path = publish(self._root, self._program)
        for spec in self._specs:
            self._stage(spec)
        crashpoint("batch.laid")
        batch.write(self._root, self._batch)
        words = ["-I", "-S", "-X", "utf8", path, "exec", self._root.path, self._batch.beid]
        words_of = {"python": _quoted(batch.python()), "shim": " ".join(map(_quoted, words)), "program": _quoted(path)}
        return self._command.filled(root=self._root.path, folder=self._folder, **words_of)

    def _stage(self, spec: Spec) -> None:
        directory = self._root.attempt(spec.eid)
        make_folder(directory)
        for name, value in (("spec.json", spec.raw), ("params.json", spec.parameters)):
            if not os.path.exists(directory + "/" + name):
                batch.put(directory + "/" + name, dumps(value), durable=False)  # lost with the power: it does not start

    def _reserve(self) -> "Reserved":
        return Reserved(self._folder + "/jobid")

    def _win(self) -> bool:
        if self._root.fenced():
            raise self._root.fencing()
        claim = dumps(dict(self._root.claim_base("submit"), pid=os.getpid()))
        return win(self._folder + "/submit", claim, "submit", durable=True)

    def _submit(self, command: Command, place: "Reserved") -> Tuple[Object, bool]:
        """The one step that cannot be repeated: what was said, and whether it was certainly not taken."""
        try:
            ran = run(command)
        except OSError as error:
            raise Refusal(UNKNOWN, "the submission was begun, and cannot be followed: %s" % error) from None
        crashpoint("batch.submitted")
        if _is_rejected(ran, self._rejects):
            unlink(self._folder + "/submit")
            crashpoint("batch.released")
            return ran, True
        kept = dict(ran, out=str(ran["out"])[:ANSWER_BYTES], err=str(ran["err"])[:ANSWER_BYTES])
        place.fill(dumps(kept))
        return ran, False


class Reserved:
    """A file that will be written when it is too late to find that there is no room for it."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self._path = path
        self._unique = "%s.%d.%s" % (path, os.getpid(), os.urandom(6).hex())
        self._fd = os.open(self._unique, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            write_all(self._fd, b" " * ANSWER_BYTES)
        except OSError:
            self.close()
            raise

    def fill(self, text: str) -> None:
        """Put it in place with this content. Best effort: it tells what the listing tells as well."""
        try:
            data = text.encode("ascii")
            os.pwrite(self._fd, data.ljust(ANSWER_BYTES), 0)
            os.fsync(self._fd)
            crashpoint("batch.answering")
            os.rename(self._unique, self._path)
        except OSError:
            pass
        crashpoint("batch.answered")

    def close(self) -> None:
        os.close(self._fd)
        unlink(self._unique)


def _is_rejected(ran: Object, patterns: List[Pattern[str]]) -> bool:
    if ran["rc"] is None:
        return True
    if ran["rc"] == 0 or ran["timed_out"]:
        return False
    said = "%s\n%s" % (ran["out"], ran["err"])
    return any(pattern.search(said) for pattern in patterns)


def _outcome(claim: Claim) -> str:
    return "claimed" if claim.kind == "started" else "revoked"


def _quoted(word: str) -> str:
    return "'%s'" % word.replace("'", "'\\''")


# ---------------------------------------------------------------------------------------------- looks


def look_at(
    place: Place,
    eids: List[str],
    listing: Command,
    row: Pattern[str],
    histories: List[Command],
    unstarted: Optional[Command],
) -> Object:
    """The listing first and the files after it, so that an end that came between is not overlooked.

    histories: asked, in this order, about those that have started, are not listed, and have left no record; unstarted:
    about those that are not listed, and have claimed nothing.
    """
    listed = run(listing)
    crashpoint("listing.asked")
    sights: Dict[str, Sight] = {}
    for eid in eids:
        try:
            sights[eid] = look(place, eid)
        except OSError:  # an error is not an answer
            continue
    places = batch.of(place, eids)
    told: Object = {each.beid: {"name": each.name, "eids": list(each.eids)} for each, _ in places.values()}
    told_of: Dict[str, Object] = {eid: sight.told() for eid, sight in sights.items()}
    asked: List[Json] = []
    ends: Json = None
    if listed["rc"] == 0:
        rows = {(each.beid, each.place) for each in _rows(listed, [row])}
        missing = {eid: sight for eid, sight in sights.items() if _is_missing(places.get(eid), rows)}
        silent = [eid for eid, sight in missing.items() if sight.claim is None and not sight.torn]
        for eid in silent[:LAST_WORDS_OF]:
            told_of[eid]["said"] = batch.last_words(place, *places[eid])
        if silent and unstarted is not None:
            ends = run(unstarted.filled(names=joined((places[eid][0].name for eid in silent), time.time())))
        if histories:
            asked = _pasts(histories, places, missing)
    found: Object = dict(told_of)
    return {"found": found, "listing": listed, "histories": asked, "unstarted": ends, "batches": told}


def _pasts(histories: List[Command], places: Dict[str, Tuple[Batch, int]], missing: Dict[str, Sight]) -> List[Json]:
    """What the histories tell of those that started, and have left no record."""
    gone = [
        (places[eid][0].name, str(sight.claim.raw.get("job") or ""))
        for eid, sight in missing.items()
        if sight.claim is not None and _may_live(sight)
    ]
    if not gone:
        return []
    now = time.time()
    words = {"names": joined((name for name, _ in gone), now), "jobs": joined((job for _, job in gone if job), now)}
    return [run(history.filled(**words)) for history in histories]


def _may_live(sight: Sight) -> bool:
    """Whether it started, and has left no record, so that only the accounting could tell more."""
    return sight.claim is not None and sight.claim.kind == "started" and not sight.ended


def _is_missing(place: Optional[Tuple[Batch, int]], rows: Set[Tuple[str, int]]) -> bool:
    return place is not None and (place[0].beid, place[1]) not in rows


def _rows(listed: Object, patterns: List[Pattern[str]]) -> List[Row]:
    """The rows that one of the patterns knows, by the first that does; others are a stranger's."""
    rows: List[Row] = []
    for line in str(listed["out"]).splitlines():
        for number, pattern in enumerate(patterns):
            match = pattern.search(line)
            if match is not None:
                words = match.groupdict()
                beid, job = str(words.get("batch")), words.get("job") or ""
                rows.extend(Row(beid, index, job, number) for index in _indices(words.get("index") or ""))
                break
    return rows


def _indices(text: str) -> Iterator[int]:
    """Of "3", or of a row for several: "0-9", "1,4-8:2"; none of what is neither."""
    for part in text.split(","):
        match = _SPAN.match(part)
        if match is not None:
            first, last, step = (int(number) if number else 0 for number in match.groups())
            yield from range(first, min(last or first, MOST_PLACES) + 1, step or 1)


def joined(words: Iterable[str], at: float) -> str:
    """As many as one command bears; of more, others come at another time, so that none is left out for ever."""
    ordered = sorted(set(words))
    first = int(at) % len(ordered) if len(ordered) > JOBS_AT_ONCE else 0
    return ",".join((ordered[first:] + ordered[:first])[:JOBS_AT_ONCE])


# ---------------------------------------------------------------------------------------------- taking back


class End(NamedTuple):
    """Which rows of the queue are jobs that this command ends."""

    row: Pattern[str]
    command: Command


def withdraw(root: Root, eids: List[str], listing: Command, ends: List[End], running: bool) -> Object:
    """Win the claims, then take those from the queue; running: what has started is told to end as well.

    A job is ended only after a fresh listing has shown our name and its id together: an id that was given out again is
    somebody else's.
    """
    outcomes: Dict[str, str] = {}
    for eid in eids:
        try:
            outcomes[eid] = _give_up(root, eid, running)
        except OSError:
            if running:
                outcomes[eid] = "unknown"
    crashpoint("withdraw.revoked")
    to_end = [eid for eid, outcome in outcomes.items() if outcome in ("revoked", "unknown")]
    hit = _end(root, to_end, listing, ends)
    told: Object = {
        eid: "signalled" if outcome == "unknown" and eid in hit else outcome for eid, outcome in outcomes.items()
    }
    return {"outcomes": told}


def _give_up(root: Root, eid: str, running: bool) -> str:
    """What its claim says, after we have competed for it. Raises OSError."""
    directory = root.attempt(eid)
    if not os.path.lexists(directory + "/claim"):
        make_folder(directory)
        if win(directory + "/claim", dumps(root.claim_base("revoked")), "withdraw", durable=True):
            return "revoked"
    claim = read_claim(directory)
    if claim is not None and claim.kind == "revoked":
        return "revoked"
    if not running:
        return "claimed"
    return "ended" if look(root, eid).ended else "unknown"


def _end(root: Root, eids: List[str], listing: Command, ends: List[End]) -> Set[str]:
    """End what is listed of these; those that were hit."""
    places = batch.of(root, eids)
    if not places:
        return set()
    by_place = {(each.beid, index): eid for eid, (each, index) in places.items()}
    names = {each.beid: each.name for each, _ in places.values()}
    listed = run(listing.filled(names=joined(names.values(), time.time())))
    crashpoint("withdraw.listed")
    jobs: Dict[Tuple[str, int], List[Tuple[str, str]]] = {}
    for row in _rows(listed, [end.row for end in ends]):
        eid = by_place.get((row.beid, row.place))
        if eid is not None and row.job:
            jobs.setdefault((row.beid, row.pattern), []).append((row.job, eid))
    hit: Set[str] = set()
    for (beid, number), theirs in jobs.items():
        for first in range(0, len(theirs), JOBS_AT_ONCE):
            some = theirs[first : first + JOBS_AT_ONCE]
            ran = run(_naming(ends[number].command, names[beid], [job for job, _ in some]))
            crashpoint("withdraw.ended")
            if ran["rc"] == 0:
                hit.update(eid for _, eid in some)
    return hit


def _naming(command: Command, name: str, jobs: List[str]) -> Command:
    words: List[str] = []
    for word in command.argv:
        words.extend(jobs if word == "{jobs}" else [word])
    return command._replace(argv=words).filled(name=name)
