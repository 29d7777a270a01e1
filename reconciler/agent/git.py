"""git on repositories of ours, started so that nobody else's configuration can run a program or change a byte."""

import os
import re
import signal
import time
from typing import Dict, List, Optional

from .shapes import Refusal

TIMEOUT_S = 600.0
OUTPUT_BYTES = 1 << 26
COMPLAINT_BYTES = 1 << 16
WORDS_TOLD = 500
LOOK_S = 0.5  # so often it is looked whether git still says something

_USER_INFO = r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/'\"]*@"  # may hold a password
_PROGRESS = r"(remote: )?[A-Z][a-z]+ [a-z]+: +\d+"
_TELLING = r"(fatal|error|ssh|remote): |\S+: Permission denied|Host key|Connection |.*WARNING"

_OPTIONS = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.sparseCheckout=false",
    "core.askPass=/bin/false",
    "credential.helper=",
    "fetch.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "filter.lfs.smudge=",
    "filter.lfs.process=",
    "filter.lfs.required=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "safe.directory=*",
    "submodule.recurse=false",
    "transfer.bundleURI=false",
]


class Git:
    """git on one bare repository, and perhaps the files of one folder; all of it within one time."""

    def __init__(self, git_dir: str, tree: str = "", index: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self.git_dir = git_dir
        self._tree = tree
        self._until = time.monotonic() + timeout_s
        self.environment = environment(index)

    def ask(self, *arguments: str, options: Optional[List[str]] = None, quiet_s: float = 0.0) -> bytes:
        """What it says. Raises Refusal (WorktreeFailed, or Busy when it takes too long).

        quiet_s: it takes too long, too, when it tells no progress for so long; 0: it need not tell any.
        """
        import tempfile

        chosen = [word for option in _OPTIONS + (options or []) for word in ("-c", option)]
        place = ["--git-dir=" + self.git_dir] + (["--work-tree=" + self._tree] if self._tree else [])
        words = ["git", "--no-replace-objects", "--literal-pathspecs", *place, *chosen, *arguments]
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
            code = self._run(words, output.fileno(), complaints.fileno(), quiet_s)
            if code:
                complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - COMPLAINT_BYTES))
                raise Refusal("WorktreeFailed", "git %s: %s" % (arguments[0], complaint(complaints.read())))
            if os.fstat(output.fileno()).st_size > OUTPUT_BYTES:
                raise Refusal("WorktreeFailed", "git %s says more than is read" % arguments[0])
            output.seek(0)
            return output.read()

    def names(self, *arguments: str) -> List[str]:
        """What it lists, each ended by NUL."""
        return [os.fsdecode(name) for name in self.ask(*arguments).split(b"\0") if name]

    def has(self, commit: str) -> bool:
        """Whether the commit is there, with all that it leads to as far as one look tells."""
        try:
            self.ask("cat-file", "-e", commit + "^{tree}")
        except Refusal as refusal:
            if refusal.reason == "Busy":
                raise
            return False
        return True

    def _run(self, words: List[str], output: int, complaints: int, quiet_s: float) -> int:
        """Returns the exit code. What git starts ends with it."""
        import subprocess

        try:
            process = subprocess.Popen(
                words,
                cwd=self._tree or os.sep,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=complaints,
                start_new_session=True,
            )
        except FileNotFoundError:
            hint = "install git, or put it on the PATH"
            raise Refusal("WorktreeFailed", "git is not installed on this source", hint) from None
        heard, until = 0, max(self._until, time.monotonic() + 1.0)
        silent_at = time.monotonic() + quiet_s
        while True:
            try:
                return process.wait(LOOK_S)
            except subprocess.TimeoutExpired:
                now, said = time.monotonic(), os.fstat(complaints).st_size
            if said != heard:
                heard, silent_at = said, now + quiet_s
            if now > until or (quiet_s and now > silent_at):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if now > until:
                    raise Refusal("Busy", "git took too long: it was ended")
                raise Refusal("Busy", "git was ended: it has heard nothing for %g s" % quiet_s)


def complaint(said: bytes) -> str:
    """What git says went wrong, on one line: without its progress, its advice, and passwords in addresses."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", said.decode("utf-8", "replace"))]
    lines = [line for line in lines if line and not re.match(_PROGRESS, line)]
    telling = [line for line in lines if re.match(_TELLING, line)] or lines
    return shown("; ".join(telling))[-WORDS_TOLD:]


def shown(text: str) -> str:
    """The text as a person may see it: without `user:password@` in addresses."""
    return re.sub(_USER_INFO, r"\1", text)


def environment(index: str = "") -> Dict[str, str]:
    """Ours alone: nothing of the machine's or the account's configuration, and no questions."""
    ours = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "XDG_CONFIG_HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    if index:
        ours["GIT_INDEX_FILE"] = index
    return ours
