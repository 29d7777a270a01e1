"""The process that starts an attempt: stage, lock, claim, run, record.

It is forked from the agent for one attempt, and does others after it as long as the agent has some that wait: a fork
of an interpreter costs more than all that a shim does. It never has more than one in hand: the next is sent to it
after it has said that the last one is recorded, and while it works its process is named by the attempt, so that a
signal meant for one can never reach another. When the agent is gone it goes too, after the attempt in hand.

Everything that needs room on the disk is made before the claim, the exit record's bytes too: when that fails nothing
has run (exit 98), and once the claim is won neither a full disk nor a dead agent keeps the end from being recorded.
Two shims of one attempt do not disturb each other: what they share has the same content and is put in place whole, all
else carries the nonce, and the claim has one winner. The loser exits 97.
"""

import errno
import fcntl
import gc
import json
import os
import signal
import sys
import time
from typing import Dict, List, Optional

from . import launch, pipes, supervise, system
from .crash import crashpoint
from .look import lock_state
from .pipes import MAX_PIECE, RING_FD
from .place import Root, make_folder, win, write_all
from .proof import Proofs
from .shapes import LockId, Object, Order, order_of

LOST = 97
UNABLE = 98
BROKEN = 70

RECORD_BYTES = 4096  # no record is longer, whatever its words are; a block of the disk is not shorter
RECORD_PAUSES_S = (0.05, 0.2, 1.0, 5.0, 30.0)  # before the record is tried again: the work of weeks may hang on it
RING_PATIENCE_S = 1.0


def run(root: Root, order: Order, managed: bool, orders: int) -> None:
    """The whole life of a shim, in a freshly forked child with CHLD and TERM blocked. Never returns.

    orders: where further orders come from, one JSON line each; its end is the shim's.
    """
    status = BROKEN
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        gc.disable()  # collecting would copy pages that we share with the agent
        _let_go(orders)
        system.become_subreaper()
        status = _serve(root, order, managed, orders)
    except BaseException:  # noqa: BLE001 - a forked child must not go on as the agent
        # After the claim this leaves a task, or none, under a lock: whoever looks sees which.
        import traceback  # not in every job

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _serve(root: Root, order: Order, managed: bool, orders: int) -> int:
    """One attempt after the other; returns the exit status."""
    start = system.start_ticks(os.getpid()) or 0
    base = dict(os.environb)
    proofs = Proofs()
    while True:
        system.name_process(order.spec.eid)
        status = Shim(root, order, managed, start, base, proofs).live()
        if status:
            return status
        system.name_process("idle")
        line = os.read(orders, MAX_PIECE)
        if not line:
            return 0
        order = order_of(json.loads(line.decode("ascii")))
        while signal.sigtimedwait(supervise.AWAITED, 0) is not None:
            pass  # what was meant for the last attempt


class Shim:
    """One attempt, from its folder to its record."""

    durable = False  # whether its claim outlives a power loss: here a changed boot tells more than that
    mortal = False  # whether its task dies with it: here the lock tells whether the task lives on

    def __init__(
        self, root: Root, order: Order, managed: bool, start: int, base: Dict[bytes, bytes], proofs: Proofs
    ) -> None:
        self.proofs = proofs
        self.root = root
        self.spec = spec = order.spec
        self.gpus = order.gpus
        self.managed = managed
        self.start = start
        self.base = base
        self.nonce = os.urandom(8).hex()
        self.directory = root.attempt(spec.eid)
        self.folders = launch.Folders(
            self.directory, self.directory + "/output", "%s/checkpoints/%s" % (root.path, spec.checkpoint)
        )
        self.record_path = "%s/.exit.%s" % (self.directory, self.nonce)
        locks = root.locks or self.directory
        self.lock_path = "%s/%s.%s" % (locks, "lock" if root.locks is None else spec.eid, self.nonce)
        self.told = False  # TERM came when the task had just ended
        self.record_fd = -1
        self.lock_fd = -1
        self.lock = LockId(self.lock_path, 0, 0)
        self.claim: Object = {}

    def live(self) -> int:
        """Returns the shim's exit status."""
        try:
            self._prepare()
            differing = self._differing()
            if differing:
                self._ring("?", ", ".join(differing))
                self._clean()
                return UNABLE
            won = win(self.directory + "/claim", json.dumps(self.claim), "claim", durable=self.durable)
        except OSError as error:
            self._ring("!", "%s: %s" % (error.filename or self.directory, error.strerror))
            self._clean()
            return UNABLE
        if not won:
            self._clean()
            return LOST
        self._ring("+", self._found(None))
        crashpoint("start.told")
        record = self._execute(time.time())
        self._publish(record)
        self._release()
        self._ring("-", self._found(record))
        crashpoint("end.told")
        return 0

    def _prepare(self) -> None:
        """Everything that can fail for want of room, and the lock. Raises OSError."""
        make_folder(self.directory)
        make_folder(self.folders.output)
        make_folder(self.folders.checkpoint)
        crashpoint("attempt.made")
        self._stage("spec.json", self.spec.raw)
        crashpoint("attempt.staged")
        self._stage("params.json", self.spec.parameters)
        self.record_fd = os.open(self.record_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        write_all(self.record_fd, b" " * RECORD_BYTES)
        crashpoint("record.reserved")
        self._redirect()
        self.lock_fd = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.set_inheritable(self.lock_fd, True)  # held as long as any process of the attempt lives
        crashpoint("lock.taken")
        self.claim = self._claim(os.fstat(self.lock_fd))

    def _differing(self) -> List[str]:
        """What of the code is not as it was verified. Nothing is claimed then: the attempt is not spent on it."""
        code = self.spec.code
        if code is None or not code.seal:
            return []
        try:
            return self.proofs.differing(code.seal, self.spec.cwd or self.directory)
        except OSError as error:
            return ["%s (%s)" % (self.spec.cwd, error.strerror)]

    def _claim(self, lock: os.stat_result) -> Object:
        claim = self.root.claim_base("started")
        pid = os.getpid()
        claim["eid"] = self.spec.eid
        claim["digest"] = self.spec.digest
        claim["nonce"] = self.nonce
        claim["pid"] = pid
        claim["job"] = str(pid)
        claim["start"] = self.start
        claim["begun"] = system.uptime_s()
        self.lock = LockId(self.lock_path, lock.st_dev, lock.st_ino)
        claim["lock"] = {"path": self.lock_path, "dev": lock.st_dev, "ino": lock.st_ino}
        claim["gpus"] = list(self.gpus)
        return claim

    def _stage(self, name: str, value: Object) -> None:
        """Put a file in place whole. Another shim of this attempt may read or write the same one now."""
        path = self.directory + "/" + name
        data = json.dumps(value).encode("ascii")
        try:
            _create(path, data)
        except FileExistsError:
            unique = path + "." + self.nonce
            _create(unique, data)
            crashpoint("restage.written")
            os.rename(unique, path)
            crashpoint("restage.renamed")

    def _redirect(self) -> None:
        """Standard output and error, for the task and for our own last words."""
        for number, name in ((1, "/stdout.log"), (2, "/stderr.log")):
            fd = os.open(self.directory + name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(fd, number)
            os.close(fd)

    def _execute(self, started_at: float) -> Object:
        """Run the task to its end; returns the exit record."""
        record: Object = {
            "nonce": self.nonce,
            "started_at": started_at,
            "ended_by": "itself",
            "exit_code": None,
            "signal": None,
            "launch_error": None,
            "cpu_s": 0.0,
            "max_rss_mib": 0.0,
        }
        code = self.spec.code
        if code is not None:
            verified = self.proofs.verified if code.seal else None
            record["code"] = {"project": code.project, "commit": code.commit, "verified": verified}
        try:
            task = self._launch()
        except launch.LaunchError as error:
            record["launch_error"] = str(error)[:300]
        else:
            crashpoint("task.launched")
            end = supervise.supervise(task, self.spec)
            crashpoint("task.ended")
            self.told = end.told
            record.update(ended_by=end.by, exit_code=end.code, signal=end.signal)
            record.update(cpu_s=end.cpu_s, max_rss_mib=end.max_rss_mib)
        record["ended_at"] = time.time()
        return record

    def _launch(self) -> int:
        cwd = self.spec.cwd or self.directory
        try:
            os.chdir(cwd)
        except OSError as error:
            raise launch.LaunchError("cannot enter %s: %s" % (cwd, error.strerror)) from None
        env = launch.environment(self.base, self.spec, self.folders, cwd)
        if self.managed:
            env[b"CUDA_VISIBLE_DEVICES"] = ",".join(str(index) for index in self.gpus).encode("ascii")
        return launch.spawn(launch.command(self.spec, self.folders), env, self.mortal)

    def _publish(self, record: Object) -> None:
        """Put the record in place, then the hint that it is there; the lock is still held."""
        data = json.dumps(record).encode("ascii")
        try:
            os.rmdir(
                self.folders.checkpoint
            )  # nothing was kept there; once the record tells the end it is the next one's
        except OSError:
            pass
        path = self.directory + "/exit.json"
        pauses = list(RECORD_PAUSES_S)
        while True:
            try:
                self._put(data.ljust(RECORD_BYTES), path)
                break
            except OSError:
                if not pauses:
                    raise
                signal.sigtimedwait(supervise.AWAITED, pauses.pop(0))
        try:
            os.link(path, "%s/%s" % (self.root.outbox, self.spec.eid))
        except OSError:  # a full disk, or it is there: only a hint
            pass
        crashpoint("record.hinted")

    def _put(self, data: bytes, path: str) -> None:
        """Into the reserved bytes, and under its name; into a new file if the task has removed them."""
        if os.pwrite(self.record_fd, data, 0) != len(data):
            raise OSError(errno.EIO, "only a part was written", self.record_path)
        crashpoint("record.written")
        if not os.path.exists(self.record_path):
            make_folder(self.directory)
            _create(self.record_path, data)
        os.rename(self.record_path, path)
        crashpoint("record.renamed")

    def _release(self) -> None:
        """Let go of everything of the attempt; its lock is free now, unless something of it is still alive."""
        os.chdir("/")
        for number in (1, 2):
            os.dup2(0, number)
        os.close(self.record_fd)
        os.close(self.lock_fd)
        crashpoint("lock.released")

    def _found(self, record: Optional[Object]) -> str:
        """What the agent may pass on as it is, instead of looking."""
        found: Dict[str, object] = {
            "staged": True,
            "waiting": False,
            "claim": self.claim,
            "lock": lock_state(self.lock),
            "exit": record,
            "refused": "",
            "directory": self.directory,
        }
        return json.dumps(found)

    def _ring(self, kind: str, words: str) -> None:
        """Tell the agent that forked us or, if it is gone, hint to whichever listens now.

        Our agent waits for the end of what it gave us, so an end waits for room in its pipe; a start only for a while.
        """
        line = ("%s%s %s\n" % (kind, self.spec.eid, words.replace("\n", " "))).encode("utf-8", "replace")
        if len(line) > MAX_PIECE:
            line = ("%s%s\n" % (kind, self.spec.eid)).encode("ascii")
        if pipes.write_piece(RING_FD, line, RING_PATIENCE_S if kind == "+" else None):
            return
        try:
            bell = os.open(self.root.bell, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody listens
            return
        try:
            os.write(bell, ("%s%s\n" % (kind, self.spec.eid)).encode("ascii"))
        except OSError:
            pass
        finally:
            os.close(bell)

    def _clean(self) -> None:
        """Take away what carries our nonce, and nothing else."""
        for path in (self.lock_path, self.record_path):
            try:
                os.unlink(path)
            except OSError:
                pass


def _let_go(orders: int) -> None:
    """Close every descriptor of the session, so that its end is seen while tasks go on."""
    pipes.close_all_but((0, 1, 2, RING_FD, orders))
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)


def _create(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_all(fd, data)
    finally:
        os.close(fd)
