"""Does this machine end what a login leaves behind? systemd-logind does, with KillUserProcesses=yes: our tasks, too."""

import glob
import os
import re
from typing import List, NamedTuple, Optional

BUS_S = 3.0
FILE_BYTES = 1 << 16
_PROPERTIES = ("KillUserProcesses", "KillExcludeUsers", "KillOnlyUsers")
_FOLDERS = ("/usr/lib/systemd", "/run/systemd", "/etc/systemd")  # the later ones count more


class Logind(NamedTuple):
    """What it is set to."""

    kills: bool
    spared: List[str]
    only: List[str]


def ends_leftovers(cgroups: str = "/proc/self/cgroup") -> bool:
    """True when this login is one of logind's, and logind ends the processes of this account with it."""
    try:
        with open(cgroups, encoding="utf-8", errors="replace") as file:
            if not in_session(file.read(FILE_BYTES)):
                return False
    except OSError:
        return False
    logind = from_bus(_ask_bus()) or from_files(_files())
    return logind is not None and kills(logind, _account())


def in_session(cgroups: str) -> bool:
    """Whether these lines of /proc/PID/cgroup are of a process that belongs to a login."""
    return re.search(r"/session-[^/\n]*\.scope", cgroups) is not None


def kills(logind: Logind, account: str) -> bool:
    """Whether it ends what this account's logins leave. Lingering does not matter: it spares other processes."""
    return logind.kills and account not in logind.spared and (not logind.only or account in logind.only)


def from_bus(told: str) -> Optional[Logind]:
    """From what busctl prints, one property a line: `b true`, then twice `as 1 "root"`."""
    lines = told.splitlines()
    if len(lines) != len(_PROPERTIES) or lines[0] not in ("b true", "b false"):
        return None
    spared, only = (re.findall(r'"([^"]*)"', line) for line in lines[1:])
    return Logind(lines[0] == "b true", spared, only)


def from_files(texts: List[str]) -> Optional[Logind]:
    """From configuration files, the later ones counting more; None when none of them says."""
    found = {"KillExcludeUsers": "root"}
    for text in texts:
        for line in text.splitlines():
            name, equals, value = line.strip().partition("=")
            if equals and name.strip() in _PROPERTIES:
                found[name.strip()] = value.strip()
    if "KillUserProcesses" not in found:
        return None
    yes = found["KillUserProcesses"].lower() in ("yes", "true", "on", "1")
    return Logind(yes, found["KillExcludeUsers"].split(), found.get("KillOnlyUsers", "").split())


def _ask_bus() -> str:
    """ "" when it does not answer."""
    import subprocess

    place = ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"]
    try:
        done = subprocess.run(
            ["busctl", "--system", "get-property", *place, *_PROPERTIES],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=BUS_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def _files() -> List[str]:
    texts = []
    for folder in _FOLDERS:
        for path in [folder + "/logind.conf", *sorted(glob.glob(folder + "/logind.conf.d/*.conf"))]:
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    texts.append(file.read(FILE_BYTES))
            except OSError:
                pass
    return texts


def _account() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""
