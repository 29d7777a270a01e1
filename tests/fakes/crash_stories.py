"""What happens in a crash world until somebody dies, and the judgement afterwards.

A story is a generator: it does something, and yields what must come true before it goes on. After the death nothing new
happens in it; every story ends with one more commit, which must be carried out as if nothing had happened.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from crash_world import CrashWorld, NeverTrueError

from reconciler.requests import Verb

Story = Callable[["Tale"], Iterator[Callable[[], bool]]]

RETRY = "  retry: {limit: 2, backoff: {duration: 1s, factor: 1}}\n"
OLD_S = 40 * 86400.0

# A shim that dies here leaves a start without a record: the attempt is lost, and the task runs again.
LOSING = frozenset(
    {"claim.linked", "claim.won", "start.told", "task.launched", "task.signalled", "task.ended", "record.written"}
)
RUNS = {"plain": 1, "flaky": 2, "bad": 2, "gone": 1}  # starts of each task whose shim nobody kills


class Tale:
    """The manifests as they are now: what is asked for."""

    def __init__(self, world: CrashWorld) -> None:
        self.world = world
        self.plain: list[int] = []
        self.program = "true"  # of `plain`
        self.stuck: list[int] = []  # tasks that never end by themselves
        self.stuck_extra = ""
        self.files: dict[str, str | None] = {}  # others, as they were pushed last

    def push(self, *, amend: bool = False, **files: str | None) -> None:
        """Commit; `files` are manifests beside those of `plain` and `stuck`."""
        manifest = self.world.manifest
        if self.plain:
            files["plain"] = manifest("plain", self.plain, self.program, RETRY)
        if self.stuck:
            files["stuck"] = manifest("stuck", self.stuck, "sleep 300", RETRY + self.stuck_extra)
        self.files.update(files)
        self.world.commit(amend=amend, **files)

    def stands(self, name: str, **wanted: int) -> bool:
        """Whether the newest commit is in force, and so many tasks of a sweep are so."""
        told = self.world.sweeps().get(name)
        return told is not None and all(told[phase] == count for phase, count in wanted.items())

    def settled(self) -> bool:
        told = self.world.sweeps()
        open_ = sum(tasks[phase] for tasks in told.values() for phase in ("waiting", "queued", "running"))
        succeeded = {(name, tasks["succeeded"]) for name, tasks in told.items()}
        wanted = {"plain": len(self.plain)} | {name: 1 for name in ("flaky", "bad") if self.asks_for(name)}
        done = bool(told) and not open_ and wanted.items() <= succeeded
        return done and self.world.answered() and self.world.collected()

    def asks_for(self, name: str) -> bool:
        return any(text is not None and f"name: {name}}}" in text for text in self.files.values())


def life(tale: Tale) -> Iterator[Callable[[], bool]]:
    """A repository's life: tasks that succeed, fail or never end; edits, requests, a new history."""
    world = tale.world
    _leave_old_things(world)
    tale.plain, tale.stuck = [1, 2, 3], [1, 2]
    bad = world.manifest("bad", [1], f"test -e {world.marks}/mended", "  retry: {limit: 0}\n")
    flaky = world.manifest("flaky", [1], f"! mkdir {world.marks}/flaky 2>/dev/null", RETRY)
    tale.push(bad=bad, flaky=flaky, gone=world.manifest("gone", [1], "true", RETRY))
    world.start()
    yield (
        lambda: (
            tale.stands("plain", succeeded=3)
            and tale.stands("stuck", running=2)
            and tale.stands("gone", succeeded=1)
            and (tale.stands("bad", failed=1) or tale.stands("bad", lost=1))
        )
    )
    tale.plain, tale.stuck = [3, 2, 4], [2]
    tale.push(bad=None, moved=bad, gone=None, broken="kind: Sweep\n")
    (world.marks / "mended").touch()
    (world.state / "requests/new/bad.json").write_text("{")
    world.ask(Verb.RETRY, sweep="bad")
    world.ask(Verb.DISABLE, source="local")
    world.ask(Verb.ENABLE, source="local")
    yield (
        lambda: (
            tale.stands("plain", succeeded=3, desired=3)
            and tale.stands("bad", succeeded=1)
            and tale.stands("stuck", running=1, desired=1)
            and world.answered()
        )
    )
    world.restart()
    tale.stuck_extra = "  state: Cancelled\n"
    tale.push(broken=None)
    yield lambda: tale.stands("stuck", running=0, queued=0) and tale.stands("flaky", succeeded=1)
    tale.plain = [4]
    tale.push(amend=True)
    yield lambda: tale.stands("plain", succeeded=3)
    tale.push()
    yield lambda: tale.stands("plain", succeeded=1, desired=1)


def orphans(tale: Tale) -> Iterator[Callable[[], bool]]:
    """Tasks that never end, one of which loses its shim, are cancelled."""
    tale.stuck = [1, 2]
    tale.push()
    tale.world.start()
    yield lambda: tale.stands("stuck", running=2)
    tale.stuck_extra = "  state: Cancelled\n"
    tale.push()
    yield lambda: tale.stands("stuck", running=0, queued=0)


def crowd(tale: Tale) -> Iterator[Callable[[], bool]]:
    """More is intended for a source than it has room for, once its slots have become fewer; then all is cancelled."""
    tale.world.between = lambda: tale.world.configure(1)
    tale.stuck = [1, 2, 3, 4]
    tale.push()
    tale.world.start()
    yield lambda: tale.stands("stuck", running=1, queued=3)
    tale.stuck_extra = "  state: Cancelled\n"
    tale.push()
    yield lambda: tale.stands("stuck", running=0, queued=0)


def queue(tale: Tale) -> Iterator[Callable[[], bool]]:
    """More is sent to a source than it has room for: what waits there is forgotten with the agent."""
    tale.world.between = lambda: tale.world.configure(1)
    tale.program = "sleep 0.2"
    tale.plain = [1, 2, 3, 4]
    tale.push()
    tale.world.start()
    yield lambda: tale.stands("plain", succeeded=4)


def outdated(tale: Tale) -> Iterator[Callable[[], bool]]:
    """What is intended and was never sent gets a new program while the source cannot be reached."""
    world, away = tale.world, tale.world.folder / "away"

    def hide() -> None:
        world.root.rename(away)
        world.root.touch()

    world.between = hide
    tale.plain = [1, 2]
    tale.push()
    world.start()
    yield away.exists
    tale.program = "true again"
    tale.push()
    yield lambda: tale.stands("plain", desired=2)
    world.root.unlink()
    away.rename(world.root)
    yield lambda: tale.stands("plain", succeeded=2)


def damage(tale: Tale) -> Iterator[Callable[[], bool]]:
    """The mirror of the repository loses its objects while nobody looks."""
    tale.plain = [1]
    tale.push()
    tale.world.start()
    yield lambda: tale.stands("plain", succeeded=1)
    tale.world.stop()
    shutil.rmtree(tale.world.state / "repository.git" / "objects")
    tale.plain = [1, 2]
    tale.push()
    tale.world.start()
    yield lambda: tale.stands("plain", succeeded=2)


def loss(tale: Tale) -> Iterator[Callable[[], bool]]:
    """The state is garbled, and made anew."""
    world = tale.world
    tale.plain = [1, 2]
    tale.push()
    world.start()
    yield lambda: tale.stands("plain", succeeded=2)
    world.end(signal.SIGKILL)
    for name in ("state.db", "state.db-wal"):
        with (world.state / name).open("r+b") as file:
            file.write(b"garbled" * 100)
    world.rebuild()
    world.start()
    yield lambda: tale.stands("plain", succeeded=2)


def put_back(tale: Tale) -> Iterator[Callable[[], bool]]:
    """The state is put back from a copy that does not know what was started since."""
    world = tale.world
    tale.plain = [1]
    tale.push()
    world.start()
    yield lambda: tale.stands("plain", succeeded=1)
    copy = world.copy()
    tale.plain = [1, 2]
    tale.push()
    world.start()
    yield lambda: tale.stands("plain", succeeded=2)
    world.end(signal.SIGKILL)
    world.put_back(copy)
    world.start()
    yield lambda: tale.stands("plain", succeeded=2)


def collection(tale: Tale) -> Iterator[Callable[[], bool]]:
    """What tasks write is brought to another folder: short files, and one that comes in pieces."""
    world = tale.world
    world.collects = True
    world.configure(4)
    tale.program = "test $(n) = 1 || head -c 300000 /dev/urandom"
    tale.plain = [1, 2]
    tale.push()
    world.start()
    yield lambda: tale.stands("plain", succeeded=2) and world.collected()


def pinned_anew(tale: Tale) -> Iterator[Callable[[], bool]]:
    """A sweep is pinned anew, because somebody asks for it."""
    tale.stuck = [1]
    tale.push()
    tale.world.start()
    yield lambda: tale.stands("stuck", running=1)
    tale.world.ask(Verb.RECONCILE, sweep="stuck", repin=True)
    yield lambda: tale.world.answered() and tale.world.pinned()


def the_end(tale: Tale) -> Iterator[Callable[[], bool]]:
    """One more commit: nothing runs for ever, and there is something new to do."""
    world = tale.world
    (world.marks / "mended").touch()
    tale.plain = [*tale.plain, 9]
    tale.stuck_extra = "  state: Cancelled\n"
    tale.push(broken=None)
    yield lambda: tale.stands("plain", desired=len(tale.plain))
    if tale.asks_for("bad"):
        world.ask(Verb.RETRY, sweep="bad")
    yield tale.settled


# Points that `life` does not come to for certain: where somebody has to die first ("": nowhere), and in which story.
AFTER: Mapping[str, tuple[str, Story]] = {
    "collect.": ("", collection),
    "leftovers.": ("task.launched", orphans),
    "mirror.discarded": ("", damage),
    "rebuild.": ("", loss),
    "restage.": ("attempt.staged", life),
    "results.": ("", collection),
    "revoke.": ("store.intend.committed", crowd),
    "store.abandon.": ("repository.prepared", life),
    "store.abandoned.": ("repository.prepared", life),
    "store.accepted.": ("store.intend.committed", queue),
    "store.cancel.": ("store.intend.committed", outdated),
    "store.collected.": ("", collection),
    "store.moment.": ("", loss),
    "store.names.": ("", put_back),
    "store.record.": ("", orphans),
    "store.rehome.": ("", put_back),
    "store.repin": ("", pinned_anew),
}


def deaths(point: str) -> tuple[tuple[str, ...], Story]:
    """Where somebody has to die, in this order, and in which story."""
    first, story = next((AFTER[name] for name in AFTER if point.startswith(name)), ("", life))
    return (first, point) if first else (point,), story


def play(world: CrashWorld, story: Story) -> list[str]:
    """The story up to the death, then its end; returns what is wrong."""
    tale = Tale(world)
    try:
        for condition in story(tale):
            world.until(condition)
            if world.passed == len(world.points):
                break
        for condition in the_end(tale):
            world.until(condition)
        world.stop()
    except NeverTrueError as error:
        return [str(error)]
    return list(_wrong(tale))


def _wrong(tale: Tale) -> Iterator[str]:
    world = tale.world
    if world.passed < len(world.points):
        yield f"nobody came to {world.points[world.passed]}"
    yield from (f"left: {each}" for each in world.left())
    yield from world.recount()
    yield from world.uncollected()
    yield from (f"two attempts at once: {each}" for each in world.lines("doubled"))
    begun, done, started = Counter(world.lines("begun")), Counter(world.lines("done")), world.started()
    lost = {key for key, recorded in started.items() if not recorded}
    yield from (f"an attempt began {count} times: {key}" for key, count in begun.items() if count > 1)
    yield from (f"it ran and was never claimed: {key}" for key in begun if key not in started)
    yield from (f"claimed, recorded, and never began: {key}" for key in started if key not in begun and key not in lost)
    yield from (f"nobody has answered {each}" for each in world.unanswered())
    losses = sum(point in LOSING for point in world.points)
    if len(lost) != losses:
        yield f"{losses} ends should have gone unrecorded, not {sorted(lost)}"
    yield from _miscounted(tale, started, lost)
    yield from _unsuccessful(tale, done, lost)
    yield from _mistold(world, done, lost)


def _miscounted(tale: Tale, started: Mapping[tuple[str, ...], bool], lost: set[tuple[str, ...]]) -> Iterator[str]:
    """Tasks that did not run as often as their programs ask for; one that was lost has run once more at most."""
    runs = Counter((sweep, task) for sweep, task, _, _ in started)
    hurt = Counter((sweep, task) for sweep, task, _, _ in lost)
    for (sweep, task), count in runs.items():
        most = RUNS.get(sweep, 1)
        least = most if sweep in RUNS and not hurt[sweep, task] else 0
        if not least <= count - hurt[sweep, task] <= most:
            yield f"{sweep}/{task} has started {count} times, of which {hurt[sweep, task]} are lost"


def _unsuccessful(tale: Tale, done: Counter[tuple[str, ...]], lost: set[tuple[str, ...]]) -> Iterator[str]:
    """Each desired task has one success that counts, by its own log."""
    effective = Counter((sweep, n) for sweep, task, attempt, n in done if (sweep, task, attempt, n) not in lost)
    wanted = {("plain", str(n)) for n in tale.plain} | {(name, "1") for name in ("flaky", "bad") if tale.asks_for(name)}
    yield from (f"{sweep} n={n} has {effective[sweep, n]} successes" for sweep, n in wanted if effective[sweep, n] != 1)
    yield from (f"{key} has never ended by itself" for key in done if key[0] == "stuck")


def _mistold(world: CrashWorld, done: Counter[tuple[str, ...]], lost: set[tuple[str, ...]]) -> Iterator[str]:
    """What the store holds of each attempt is what the task says."""
    said = {key[:3] for key in done if key not in lost}
    told = {key for key, phase in world.phases().items() if phase == "succeeded"}
    yield from (f"the log and the store differ: {key}" for key in said ^ told)


def _leave_old_things(world: CrashWorld) -> None:
    """An attempt that was given up long ago, and a worktree whose maker was killed."""
    eid = "gaaaaaaaaaaaaab"
    claim = world.root / "attempts" / eid[-2:] / eid / "claim"
    claim.parent.mkdir(parents=True, mode=0o700)
    then = time.time() - OLD_S
    claim.write_text(json.dumps({"kind": "revoked", "at": then, "host": "h", "machine": "m", "boot": "b", "epoch": 1}))
    making = world.root / "projects/self" / f"{'0' * 40}.making.1.00000000"
    making.mkdir(parents=True, mode=0o700)
    for path in (claim, making):
        os.utime(path, (then, then))
