"""What a scheduler's job runs on its node: it finds its attempt, and is its shim.

    python <root>/agent/<hash>.py exec <root> <batch> <index> <job> <restarts>

The job may come late, twice, or after everybody has given up on it: the claim decides, and who loses it leaves with 97.
Claim and record are synced here: what the node's own boot proves elsewhere, nobody else can see on a shared disk.
"""

import json
import os
import signal
import sys
import time
from typing import List, Optional

from . import batch, memory, pipes, shim, supervise, system
from .batch import Batch
from .crash import arm
from .place import Place, Root, sync_folder, unlink
from .proof import Proofs
from .shapes import Object, Order, Refusal, Spec, spec_of

NOT_THERE_S = 30.0  # a file that was just written may not be seen yet by another host
PAUSE_S = 0.5
EARLY_S, EARLY_PART = 60.0, 0.2  # a scheduler's walltime began before ours: so much earlier it may be over
CODE_S, SIGNAL_S = 0.05, 0.5  # after a task that exited, or was killed: was that because its job is ended?
NOWHERE = 96  # nothing is known here of such a job


def main(arguments: List[str]) -> int:
    """Returns the exit status of the job. Only what this needs is imported: each job starts an interpreter."""
    arm(os.environ)
    signal.pthread_sigmask(signal.SIG_BLOCK, supervise.AWAITED)
    pipes.close_all_but((0, 1, 2))
    _seal_off()
    system.become_subreaper()
    try:
        path, beid, index, job, restarts = arguments
        place = Place(path)
        found = _batch(place, batch.beid_of(beid), int(index))
        if found is None:
            return _complain("%s has no attempt %s of batch %s" % (path, index, beid), NOWHERE)
        eid = found.eids[int(index)]
        system.name_process(eid)
        spec = _spec(place, eid)
        root = Root(path, found.instance)
        root.epoch = found.epoch
        log = os.path.realpath("/proc/self/fd/1")
        status = _Job(root, spec, job, int(restarts)).live()
    except (OSError, ValueError, Refusal) as error:
        return _complain(str(error), shim.UNABLE)
    if status == 0:
        _drop(log, batch.folder(place, beid))
    return status


class _Job(shim.Shim):
    """The shim of a start of a job."""

    durable = True
    mortal = True  # nobody else can see it: where processes are not tracked as a group, it would outlive its job

    def __init__(self, root: Root, spec: Spec, job: str, restarts: int) -> None:
        start = system.start_ticks(os.getpid()) or 0
        super().__init__(root, Order(spec, []), False, start, dict(os.environb), Proofs())
        self._job = job
        self._restarts = restarts
        self._memory = memory.own()

    def _claim(self, lock: os.stat_result) -> Object:
        claim = super()._claim(lock)
        claim["job"] = self._job
        claim["restarts"] = self._restarts
        return claim

    def _execute(self, started_at: float) -> Object:
        """Who ends a job signals all of its processes: the task may be gone before this one hears of it.

        Children may be gone before the task, too: a shell goes on behind a program that was killed, and exits with 0.
        Who enforces the walltime tells by the same signal as who cancels: the hour tells them apart.
        """
        record = super()._execute(started_at)
        if record["ended_by"] == "itself" and record["launch_error"] is None:
            patience_s = CODE_S if record["signal"] is None else SIGNAL_S
            if self.told or signal.sigtimedwait([signal.SIGTERM], patience_s) is not None:
                record["ended_by"] = "cancel"
        walltime_s, lasted_s = self.spec.walltime_s, time.time() - started_at
        over = walltime_s is not None and lasted_s >= walltime_s - min(EARLY_S, EARLY_PART * walltime_s)
        if over and record["ended_by"] == "cancel":
            record["ended_by"] = "walltime"
        killed = memory.killed_since(self._memory)
        if killed:
            record["oom_kills"] = killed
        return record

    def _put(self, data: bytes, path: str) -> None:
        super()._put(data, path)
        os.fsync(self.record_fd)
        sync_folder(self.directory)

    def _release(self) -> None:
        """What the node's own disk has of it goes, too: nobody else comes there to clear up."""
        super()._release()
        if self.root.locks is not None:
            unlink(self.lock_path)

    def _ring(self, kind: str, words: str) -> None:
        if kind in "!?":
            _complain(words, shim.UNABLE)
        super()._ring(kind, words)


def _batch(place: Place, beid: str, index: int) -> Optional[Batch]:
    until = time.monotonic() + NOT_THERE_S
    while True:
        found = batch.read(place, beid)
        if found is not None:
            return found if 0 <= index < len(found.eids) else None
        if time.monotonic() > until:
            return None
        time.sleep(PAUSE_S)


def _spec(place: Place, eid: str) -> Spec:
    """Raises Refusal, OSError, and ValueError when it is torn."""
    until = time.monotonic() + NOT_THERE_S
    while True:
        try:
            with open(place.attempt(eid) + "/spec.json", "rb") as file:
                return spec_of(json.loads(file.read().decode("ascii")))
        except FileNotFoundError:
            if time.monotonic() > until:
                raise
        time.sleep(PAUSE_S)


def _seal_off() -> None:
    """No stdin for the task, and nobody to ring: the agent is on another host, and reads the outbox."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    read_end, write_end = os.pipe()
    os.dup2(write_end, pipes.RING_FD, False)
    for fd in (read_end, write_end):
        if fd != pipes.RING_FD:
            os.close(fd)


def _drop(log: str, folder: str) -> None:
    """The scheduler's own file for what we say, when we had nothing to say."""
    try:
        if log.startswith(folder + "/") and os.stat(log).st_size == 0:
            os.unlink(log)
    except OSError:
        pass


def _complain(words: str, status: int) -> int:
    sys.stderr.write("%s\n" % words)
    sys.stderr.flush()
    return status
