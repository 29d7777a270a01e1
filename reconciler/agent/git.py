"""git on repositories of ours, started so that nobody else's configuration can run a program or change a byte."""

import os
import signal
import time
from typing import Dict, List, Optional

from .shapes import Refusal

TIMEOUT_S = 600.0
OUTPUT_BYTES = 1 << 26
COMPLAINT_BYTES = 1 << 16

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

    def ask(self, *arguments: str, options: Optional[List[str]] = None) -> bytes:
        """What it says. Raises Refusal (WorktreeFailed, or Busy when it takes too long)."""
        import tempfile

        chosen = [word for option in _OPTIONS + (options or []) for word in ("-c", option)]
        place = ["--git-dir=" + self.git_dir] + (["--work-tree=" + self._tree] if self._tree else [])
        words = ["git", "--no-replace-objects", "--literal-pathspecs", *place, *chosen, *arguments]
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
            code = self._run(words, output.fileno(), complaints.fileno())
            if code:
                complaints.seek(0)
                said = complaints.read(COMPLAINT_BYTES).decode("utf-8", "replace").strip()[-500:]
                raise Refusal("WorktreeFailed", "git %s: %s" % (arguments[0], said))
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

    def _run(self, words: List[str], output: int, complaints: int) -> int:
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
        try:
            return process.wait(max(1.0, self._until - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise Refusal("Busy", "git took too long: it was ended") from None


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
