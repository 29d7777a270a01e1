"""What a task sees: its environment, its command line, its signals. All as bytes, whatever the locale says.

With setup lines the command runs under a shell: the lines first, with `set -e` (one that fails ends the attempt with
its exit code, before the program starts), then `exec "$@"`; the command's words are positional parameters, which a
shell never reads as text. Without setup lines there is no shell at all.
"""

import os
import signal
from typing import Callable, Dict, List, NamedTuple, Optional

from . import crash, system
from .shapes import Spec

OUTPUT_TOKEN = "\0output\0"  # noqa: S105 - stands for a path; NUL cannot occur in an argument
CHECKPOINT_TOKEN = "\0checkpoint\0"  # noqa: S105 - a path as well

# Of a service manager's talk with the daemon: a task must not answer in its name.
_DAEMONS_OWN = (b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"WATCHDOG_PID", b"LISTEN_FDS", b"LISTEN_PID", b"LISTEN_FDNAMES")
_TESTS_OWN = (os.fsencode(crash.AT), os.fsencode(crash.TOKEN))

# Python ignores some of these, and nohup and shells others; exec would hand that on.
_RESET = [
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGPIPE,
    signal.SIGALRM,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCHLD,
    signal.SIGCONT,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGXCPU,
    signal.SIGXFSZ,
]

_POSIX_SPAWN: Optional[Callable[..., int]] = getattr(os, "posix_spawn", None)  # Python 3.8; it copies no page tables


class LaunchError(Exception):
    """The task could not be started; says why, for a person."""


class Folders(NamedTuple):
    """Where the attempt's things lie."""

    attempt: str
    output: str
    checkpoint: str


def environment(base: Dict[bytes, bytes], spec: Spec, folders: Folders, cwd: str) -> Dict[bytes, bytes]:
    """The agent's own (`base`), the manifest's over it, and ours over both."""
    result = dict(base)
    for name in _DAEMONS_OWN + _TESTS_OWN:
        result.pop(name, None)
    for key, value in spec.environment.items():
        result[_bytes(key)] = _bytes(_resolved(value, folders))
    ours = {
        "PWD": cwd,
        "RECONCILER_SWEEP": spec.sweep,
        "RECONCILER_TASK": spec.task,
        "RECONCILER_ATTEMPT": str(spec.attempt),
        "RECONCILER_PARAMETERS": folders.attempt + "/params.json",
        "RECONCILER_OUTPUT": folders.output,
        "RECONCILER_CHECKPOINT": folders.checkpoint,
    }
    for key, value in ours.items():
        result[_bytes(key)] = _bytes(value)
    return result


def command(spec: Spec, folders: Folders) -> List[bytes]:
    """The exact words to execute."""
    words = [_bytes(_resolved(word, folders)) for word in spec.argv]
    if not spec.setup:
        return words
    shell = b"/bin/bash" if os.path.exists("/bin/bash") else b"/bin/sh"
    script = "\n".join(["set -e", *spec.setup, 'exec "$@"'])
    return [shell, b"-c", _bytes(script), os.path.basename(shell), *words]


def spawn(words: List[bytes], env: Dict[bytes, bytes], mortal: bool = False) -> int:
    """Start the program in a process group of its own; returns its pid. mortal: it dies with us. Raises LaunchError."""
    program = _find(words[0], env.get(b"PATH", os.fsencode(os.defpath)))
    try:
        if _POSIX_SPAWN is not None and not mortal:
            return _POSIX_SPAWN(program, words, env, setpgroup=0, setsigmask=[], setsigdef=_RESET)
        return _fork_exec(program, words, env, mortal)
    except (OSError, ValueError) as error:
        words_of_it = error.strerror if isinstance(error, OSError) else str(error)
        raise LaunchError("cannot execute %s: %s" % (_shown(program), words_of_it)) from None


def _find(name: bytes, path: bytes) -> bytes:
    """The program that this PATH, the task's own, names."""
    if b"/" in name:
        return name
    denied = b""
    for folder in path.split(b":"):
        candidate = os.path.join(folder or b".", name)
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            denied = denied or candidate
    if denied:
        raise LaunchError("cannot execute %s: Permission denied" % _shown(denied))
    raise LaunchError("command not found: %s" % _shown(name))


def _fork_exec(program: bytes, words: List[bytes], env: Dict[bytes, bytes], mortal: bool) -> int:
    """Where posix_spawn cannot, or is not there. The child tells what is wrong through a pipe that exec closes."""
    read_end, write_end = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            if mortal:
                system.die_with_parent()
                if os.getppid() != parent:
                    os._exit(127)
            for number in _RESET:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execve(program, words, env)  # noqa: S606 - no shell is the point
        except BaseException as error:  # noqa: BLE001 - a forked child must not go on
            os.write(write_end, str(getattr(error, "strerror", error)).encode("utf-8"))
        os._exit(127)
    os.close(write_end)
    with open(read_end, "rb") as told:
        complaint = told.read(1000).decode("utf-8", "replace")
    if complaint:
        os.waitpid(pid, 0)
        raise LaunchError("cannot execute %s: %s" % (_shown(program), complaint))
    return pid


def _resolved(text: str, folders: Folders) -> str:
    return text.replace(OUTPUT_TOKEN, folders.output).replace(CHECKPOINT_TOKEN, folders.checkpoint)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "replace")
