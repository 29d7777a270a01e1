"""A real Slurm on this machine, for tests: its daemons in a short temporary folder, on loopback, without systemd.

    lab = SlurmLab(folder); lab.start()
    link = lab.link()                     # a local agent that finds this cluster
    lab.kill_controller(); lab.start_controller()
    lab.close()

With `accounting=True` it has a slurmdbd over a MariaDB of its own, so that sacct and sacctmgr answer, and limits of
accounts and QOS are enforced.

Several may run at once: nothing outside the folder is read or written. The folder must have a short path, because the
daemons make sockets in it. A cluster of a test is quick to schedule and quick to forget; everything else is as usual.

$RECONCILER_SLURM_ROOT names the root of another system, whose Slurm it is then: see tests/slurm-releases.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from reconciler.links.local import LocalLink
from tests.fakes.slurm_accounts import Accounts

START_S = 60.0
STOP_S = 10.0
CLIENT_S = 30.0

CONFIG = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MessageTimeout=10
SlurmdTimeout=30
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,default_queue_depth=1000
{more}
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs={cpus} RealMemory=64000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO DefMemPerCPU=10
"""
DEFAULTS = {
    "AccountingStorageType": "accounting_storage/none",
    "MaxArraySize": "20001",
    "MaxJobCount": "60000",
    "MinJobAge": "300",
}


class SlurmLab:
    """One cluster: munged, slurmctld and a slurmd for each node. They are our children, and end by pid."""

    def __init__(
        self, folder: Path, *, nodes: int = 2, cpus: int = 64, accounting: bool = False, **settings: str
    ) -> None:
        """settings: further lines of slurm.conf."""
        self.folder = folder
        self.accounts = Accounts(folder, self._spawn, self._end, self._answered) if accounting else None
        self.nodes = [f"n{number + 1}" for number in range(nodes)]
        self._cpus = cpus
        self._settings = {**DEFAULTS, **settings}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = (0, 0)
        self._root = os.environ.get("RECONCILER_SLURM_ROOT", "")
        self._elsewhere = ["chroot", self._root] if self._root else []

    @functools.cached_property
    def version(self) -> str:
        """As "22.05.8"."""
        said = subprocess.run(
            [*self._elsewhere, "/usr/sbin/slurmctld", "-V"], check=True, capture_output=True, text=True
        )
        return said.stdout.split()[-1]

    @property
    def year(self) -> int:
        return int(self.version.partition(".")[0])

    def first_id(self, number: str) -> str:
        """What FirstJobId must say so that the next job has this number."""
        return str(int(number) - 1) if self.year <= 20 else number

    @property
    def environment(self) -> Mapping[str, str]:
        """What clients need, so that they find this cluster."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    @property
    def python(self) -> Path:
        """A Python whose programs find this cluster, as a login shell of the site would set it up."""
        python = self.folder / "python"
        if not python.exists():
            clients = f"{self._root}.bin"
            path = f"case :$PATH: in *:{clients}:*) ;; *) PATH={clients}:$PATH ;; esac\n" if self._root else ""
            python.write_text(f'#!/bin/sh\n{path}SLURM_CONF={self.folder}/slurm.conf exec {sys.executable} "$@"\n')
            python.chmod(0o755)
        return python

    def link(self, **environment: str) -> LocalLink:
        """An agent on this machine that finds this cluster; environment: more of it."""
        if not environment:
            return LocalLink(python=str(self.python))
        python = self.folder / f"python-{secrets.token_hex(4)}"
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        python.write_text(f'#!/bin/sh\n{words} exec {self.python} "$@"\n')
        python.chmod(0o755)
        return LocalLink(python=str(python))

    def start(self) -> None:
        """Returns when all nodes are idle: after about a second."""
        self.folder.mkdir(0o755, parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        for name in ("state", *(f"spool.{node}" for node in self.nodes)):
            (self.folder / name).mkdir(exist_ok=True)
        port, first = _free_ports(2 + len(self.nodes))
        self._ports = (port, first + 1)
        if self.accounts is not None:
            self._settings.update(self.accounts.configure(first))
        self.configure()
        if self._root and self.year >= 22:  # those want control groups, unless told not to
            (self.folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        files = [
            f"--{option}={self.folder}/munge{ending}"
            for option, ending in (
                ("socket", ".sock"), ("key-file", ".key"), ("log-file", ".log"), ("pid-file", ".pid"),
                ("seed-file", ".seed"),
            )
        ]  # fmt: skip
        self._spawn("munged", ["/usr/sbin/munged", "-F", "--force", *files])
        _until((self.folder / "munge.sock").exists, "munged")
        if self.accounts is not None:
            self.accounts.start()
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        self.until_idle()
        if self.accounts is not None:
            _until(self._is_registered, "cluster in the accounting")

    def until_idle(self) -> None:
        """All nodes are up, and free of reasons not to be used."""
        _until(lambda: self._states() == dict.fromkeys(self.nodes, True), "the nodes")

    def close(self) -> None:
        """Jobs first: what runs them outlives the daemons."""
        if "slurmctld" in self._children and self._children["slurmctld"].poll() is None:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                self.empty(STOP_S)
        for name in [*(f"slurmd.{node}" for node in self.nodes), "slurmctld"]:
            self._end(name, signal.SIGTERM)
        if self.accounts is not None:
            self.accounts.close()
        self._end("munged", signal.SIGTERM)

    # ------------------------------------------------------------------------------------------ what is done to it

    def empty(self, timeout_s: float = START_S) -> None:
        """Every job is cancelled, and nothing of any runs on a node any more."""
        self.run("scancel", f"--user={getpass.getuser()}")
        _until(lambda: not self.run("squeue", "-h", "-t", "PD,R,CG"), "end of the jobs", timeout_s)

    def start_controller(self) -> None:
        self._spawn("slurmctld", ["/usr/sbin/slurmctld", "-D"])

    def kill_controller(self, number: int = signal.SIGKILL) -> None:
        """Nobody answers any more; what runs goes on."""
        self._end("slurmctld", number)

    def signal_controller(self, number: int) -> None:
        """SIGSTOP and SIGCONT, say."""
        self._children["slurmctld"].send_signal(number)

    def signal_accounting(self, number: int) -> None:
        """The same, of slurmdbd."""
        self._children["slurmdbd"].send_signal(number)

    def lose_state(self, **settings: str) -> None:
        """The controller begins anew: it knows no job any more, and counts their ids from FirstJobId, if given."""
        if "FirstJobId" in settings:
            settings["FirstJobId"] = self.first_id(settings["FirstJobId"])
        self.kill_controller()
        shutil.rmtree(self.folder / "state")
        (self.folder / "state").mkdir()
        self.configure(**settings)
        self.start_controller()
        self.until_it_answers()
        self.until_idle()

    def start_node(self, node: str) -> None:
        self._spawn(f"slurmd.{node}", ["/usr/sbin/slurmd", "-D", "-N", node])

    def kill_node(self, node: str, number: int = signal.SIGKILL) -> None:
        self._end(f"slurmd.{node}", number)

    def run(self, *argv: str, timeout_s: float = CLIENT_S) -> str:
        """A client of this cluster, to its end; fails with what it said."""
        ran = subprocess.run(
            argv,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        assert ran.returncode == 0, f"{argv}: exit {ran.returncode}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def answers(self) -> bool:
        """Whether the controller does."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            return "is UP" in self.run("scontrol", "ping", timeout_s=5.0)
        return False

    def until_it_answers(self) -> None:
        _until(self.answers, "the controller")

    def renew_nodes(self) -> None:
        """They remember no job: a node starts none of a number that it was told to end a while ago. None may run."""
        for node in self.nodes:
            self.kill_node(node, signal.SIGTERM)
            shutil.rmtree(self.folder / f"spool.{node}")
            (self.folder / f"spool.{node}").mkdir()
            self.start_node(node)

    # ------------------------------------------------------------------------------------------ its daemons

    def configure(self, **settings: str) -> None:
        """Write slurm.conf, with these lines changed; daemons that start from now on heed it."""
        self._settings.update(settings)
        if self.year <= 20:  # where it is always so
            self._settings.pop("AccountingStoreFlags", None)
        host = socket.gethostname().partition(".")[0]
        port, first = self._ports
        text = CONFIG.format(
            host=host,
            port=port,
            user=getpass.getuser(),
            folder=self.folder,
            nodes=len(self.nodes),
            cpus=self._cpus,
            first=first,
            last=first + len(self.nodes) - 1,
            more="\n".join(f"{name}={value}" for name, value in self._settings.items()),
        )
        (self.folder / "slurm.conf").write_text(text)

    def _spawn(self, name: str, argv: list[str], more: Mapping[str, str] = MappingProxyType({})) -> None:
        """more: of its environment."""
        elsewhere = self._elsewhere if name != "mariadbd" else []
        with (self.folder / f"{name}.out").open("ab") as out:
            self._children[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *elsewhere, *argv],  # whoever started it may be killed
                env={**os.environ, **self.environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                cwd=self.folder,
            )

    def _end(self, name: str, number: int) -> None:
        child = self._children.pop(name, None)
        if child is None:
            return
        child.send_signal(number)
        child.send_signal(signal.SIGCONT)
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _answered(self, *argv: str) -> str | None:
        """What a client says; None when it fails."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            return self.run(*argv, timeout_s=5.0)
        return None

    def _is_registered(self) -> bool:
        return str(self._ports[0]) in (self._answered("sacctmgr", "-nP", "show", "cluster", "format=ControlPort") or "")

    def _states(self) -> dict[str, bool]:
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            rows = [line.split() for line in self.run("sinfo", "-hN", "-o", "%N %t", timeout_s=5.0).splitlines()]
            return {row[0]: row[1] in ("idle", "mix", "alloc") for row in rows}
        return {}


def _until(true: Callable[[], object], what: str, timeout_s: float = START_S) -> None:
    until = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < until, f"no {what} within {timeout_s:g} s"
        time.sleep(0.02)


def _free_ports(count: int) -> tuple[int, int]:
    """One, and the first of the row that follows it."""
    while True:
        first = 20000 + secrets.randbelow(10000)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first, first + 1
