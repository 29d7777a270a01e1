"""The results tree on this machine: what attempts have written elsewhere, in one shape, whichever source it came from.

    <results>/<sweep>/tasks/<task>/attempts/<n>/    all files of one attempt, under their names on the source
    <results>/<sweep>/tasks/<task>/                 those of the attempt that counts, and params.yaml and status.yaml

A success counts more than a failure or a cancellation, and those more than a loss; among equals the newest. So no
failure covers a success, and no attempt's files are ever written over by another's. Every file is written beside its
place and renamed into it, whole and with the right hash; doing anything again does no harm.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import file_digest, sha256
from pathlib import Path

from reconciler import documents
from reconciler.core.errors import ResultsError
from reconciler.core.model import Attempt, AttemptKey, Instant, Json, Phase
from reconciler.crashpoints import crashpoint

SHOWN = ("stdout.log", "stderr.log", "exit.json", "metrics.json", "progress.jsonl", "params.yaml", "status.yaml")
TEXTS = (".log", ".jsonl")  # what may be cut in the middle, and still be read
RANKS = {Phase.SUCCEEDED: 4, Phase.FAILED: 3, Phase.CANCELLED: 3, Phase.RUNNING: 2, Phase.QUEUED: 2}
COPY_BYTES = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file that lies here now. size: bytes that it has on its source, and here, too, unless it was cut."""

    name: str
    size: int
    sha256: str
    cut: bool = False


def counts_more(phase: Phase, number: int, than: tuple[Phase, int] | None) -> bool:
    """Whether an attempt that ended so is to be shown instead of another one, or instead of itself as it was."""
    if than is None:
        return True
    shown, shown_number = than
    return (RANKS.get(phase, 1), number) >= (RANKS.get(shown, 1), shown_number)


class ResultsTree:
    """The folder of all results. Every method raises ResultsError: ResultsDiskFull, ResultsUnwritable."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def task_folder(self, key: AttemptKey) -> Path:
        """Where the files of the task lie that count."""
        return self._root / key.sweep / "tasks" / key.task

    def folder(self, key: AttemptKey) -> Path:
        """Where the files of the attempt lie, under their names on the source."""
        return self.task_folder(key) / "attempts" / str(key.number)

    def keep(self, key: AttemptKey, name: str, data: bytes) -> None:
        """Put a small file in place."""
        with self._translated():
            folder = self.folder(key)
            folder.mkdir(parents=True, exist_ok=True)
            _put(folder / name, data)

    def has(self, key: AttemptKey, name: str, size: int, digest: str) -> bool:
        """Whether this very file lies here already."""
        with self._translated():
            path = self.folder(key) / name
            if not path.is_file() or path.stat().st_size != size:
                return False
            with path.open("rb") as file:
                return file_digest(file, "sha256").hexdigest() == digest

    def begin(self, key: AttemptKey, name: str, digest: str) -> Part:
        """A file that comes in pieces; what came of it before is there already.

        digest: SHA-256 of the whole, in hex: pieces of another content are never mixed.
        """
        with self._translated():
            folder = self.folder(key)
            folder.mkdir(parents=True, exist_ok=True)
            return Part(folder, name, digest)

    def append(self, part: Part, data: bytes) -> None:
        """The next piece."""
        with self._translated():
            part.append(data)

    def complete(self, part: Part, *, size: int, head: int, note: str) -> Kept | None:
        """Put the file in place; None, and all its pieces are forgotten, if they have not the right hash.

        size: of the file on its source; if that is more than has come, `note` stands behind the first `head` bytes.
        """
        with self._translated():
            return part.complete(size=size, head=head, note=note)

    def conclude(self, attempt: Attempt, parameters: Mapping[str, Json], kept: Sequence[Kept]) -> None:
        """Say how the attempt ended, and show its files as the task's if they count. All of them lie here."""
        with self._translated():
            folder, task = self.folder(attempt.key), self.task_folder(attempt.key)
            folder.mkdir(parents=True, exist_ok=True)
            _put(folder / "params.yaml", documents.dump(parameters).encode())
            _put(folder / "status.yaml", documents.dump(_status(attempt, kept)).encode())
            for left in folder.glob(".*"):  # of pieces, and of writers that were killed
                left.unlink(missing_ok=True)
            if counts_more(attempt.phase, attempt.key.number, _shown(task / "status.yaml")):
                for name in SHOWN:
                    _show(folder / name, task / name)
            crashpoint("results.shown")

    def sync(self) -> None:
        """Everything that was put in place is there after a power loss."""
        with self._translated():
            self._root.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if _LIBC.syncfs(fd):
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code))
            finally:
                os.close(fd)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message = f"results cannot be written: {error.filename or self._root}: {error.strerror}"
            if error.errno in _FULL:
                hint = "free space there, or move `results.dir`: what has ended stays on its source, and comes later"
                raise ResultsError("ResultsDiskFull", message, hint=hint) from error
            hint = "check `results.dir` and its owner: what has ended stays on its source, and comes later"
            raise ResultsError("ResultsUnwritable", message, hint=hint) from error


class Part:
    """The pieces of one file, beside its place."""

    def __init__(self, folder: Path, name: str, digest: str) -> None:
        """Raises OSError, as all of it."""
        self._folder = folder
        self._name = name
        self._digest = digest
        self._path = folder / f".{name}.{digest[:16]}.part"
        self._hash = sha256()
        self.size = 0
        if self._path.exists():
            with self._path.open("rb") as file:
                while data := file.read(COPY_BYTES):
                    self._hash.update(data)
                    self.size += len(data)

    def append(self, data: bytes) -> None:
        """At the end of what has come so far."""
        with self._path.open("ab") as file:
            try:
                file.write(data)
                file.flush()
            except OSError:
                with suppress(OSError):  # a full disk takes a part of it
                    file.truncate(self.size)
                raise
        self._hash.update(data)
        self.size += len(data)
        crashpoint("results.appended")

    def complete(self, *, size: int, head: int, note: str) -> Kept | None:
        """See ResultsTree.complete."""
        self._path.touch()
        if self._hash.hexdigest() != self._digest:
            self._path.unlink(missing_ok=True)
            return None
        cut = size > self.size
        name = self._name if not cut or self._name.endswith(TEXTS) else f"{self._name}.cut"
        if cut:
            self._join(head, note, self._folder / name)
        else:
            self._path.rename(self._folder / name)
            crashpoint("results.joined")
        return Kept(name=name, size=size, sha256=self._digest, cut=cut)

    def _join(self, head: int, note: str, place: Path) -> None:
        """The beginning, the note, and the end."""
        joined = place.with_name(f".{place.name}.new")
        with self._path.open("rb") as pieces, joined.open("wb") as file:
            file.write(pieces.read(head))
            file.write(note.encode())
            shutil.copyfileobj(pieces, file, COPY_BYTES)
        joined.rename(place)
        self._path.unlink(missing_ok=True)


def _put(path: Path, data: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    crashpoint("results.written")
    new.rename(path)
    crashpoint("results.renamed")


def _show(file: Path, place: Path) -> None:
    """The same file under another name, or no file if there is none."""
    if not file.exists():
        place.unlink(missing_ok=True)
        return
    new = place.with_name(f".{place.name}.new")
    new.unlink(missing_ok=True)
    try:
        new.hardlink_to(file)
    except OSError:  # a file system without them
        shutil.copyfile(file, new)
    new.rename(place)
    new.unlink(missing_ok=True)  # renamed onto itself, it stays


def _shown(status: Path) -> tuple[Phase, int] | None:
    """The attempt whose files are shown; None: none, or something that is not ours."""
    try:
        with status.open(encoding="utf-8") as file:
            phase, number = (file.readline().partition(": ")[2].strip() for _ in range(2))
        return Phase(phase), int(number)
    except (OSError, ValueError):
        return None


def _status(attempt: Attempt, kept: Sequence[Kept]) -> dict[str, Json]:
    """What status.yaml tells; `_shown` reads its first two lines."""
    return {
        "phase": attempt.phase.value,
        "attempt": attempt.key.number,
        "sweep": attempt.key.sweep,
        "task": attempt.key.task,
        "source": attempt.source,
        "host": attempt.home.host,
        "directory": attempt.directory,
        "digest": attempt.digest,
        "started": _instant(attempt.started_at),
        "ended": _instant(attempt.ended_at),
        "exitCode": attempt.exit_code,
        "signal": attempt.signal,
        "cpuSeconds": attempt.cpu_s,
        "maxRssMiB": attempt.max_rss_mib,
        "reason": attempt.reason,
        "message": attempt.message,
        "failure": attempt.failure.value if attempt.failure else None,
        "files": {
            file.name: {"size": file.size, "sha256": file.sha256, **({"cut": True} if file.cut else {})}
            for file in sorted(kept, key=lambda file: file.name)
        },
    }


def _instant(instant: Instant | None) -> Json:
    return None if instant is None else datetime.fromtimestamp(instant, tz=UTC).isoformat(timespec="milliseconds")
