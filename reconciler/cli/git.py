"""git on folders of this account, for `init` and `demo`; what the daemon does with git is in reconciler/repository."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from reconciler.core.errors import UsageError

TIMEOUT_S = 30.0


def git(directory: Path, *arguments: str, settings: Sequence[str] = ()) -> str:
    """The stdout of git in a folder; settings are `name=value`. Raises UsageError (GitMissing, GitFailed)."""
    code, out, err = _run(directory, arguments, settings)
    if code:
        raise UsageError("GitFailed", f"git {arguments[0]} failed: {err.strip()}")
    return out


def in_work_tree(directory: Path) -> bool:
    """Whether a git work tree is around the folder. Raises UsageError (GitMissing)."""
    return _run(directory, ("rev-parse", "--is-inside-work-tree"))[0] == 0


def _run(directory: Path, arguments: Sequence[str], settings: Sequence[str] = ()) -> tuple[int, str, str]:
    """Exit code, stdout, stderr. What a hook tells its children of another repository is not passed on."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *(word for setting in settings for word in ("-c", setting)), *arguments],
            cwd=directory,
            env={**environment, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("GitMissing", "git is not installed", hint="install git 2.28 or newer") from None
    except subprocess.TimeoutExpired:
        raise UsageError("GitFailed", f"git {arguments[0]} took longer than {TIMEOUT_S:.0f} s") from None
    return done.returncode, done.stdout, done.stderr
