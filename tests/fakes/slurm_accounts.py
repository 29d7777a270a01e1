"""The accounting of a Slurm of the tests: slurmdbd, and a MariaDB of its own that only a socket leads to."""

from __future__ import annotations

import getpass
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

START_S = 60.0
LIMITS = "associations,limits,qos"

DATABASE = (
    "--no-defaults", "--skip-networking", "--skip-name-resolve", "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=900",
)  # fmt: skip
CONFIG = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
MessageTimeout=10
"""

Spawn = Callable[[str, list[str], Mapping[str, str]], None]


class Accounts:
    """Of one cluster: its processes are the cluster's."""

    def __init__(
        self, folder: Path, spawn: Spawn, end: Callable[[str, int], None], answered: Callable[..., str | None]
    ) -> None:
        self._folder = folder
        self._spawn = spawn
        self._end = end
        self._answered = answered

    @property
    def _environment(self) -> Mapping[str, str]:
        return {"MYSQL_UNIX_PORT": f"{self._folder}/mysql.sock"}

    def configure(self, port: int) -> Mapping[str, str]:
        """Write what slurmdbd reads; returns what slurm.conf must say."""
        host = socket.gethostname().partition(".")[0]
        config = self._folder / "slurmdbd.conf"
        config.write_text(CONFIG.format(folder=self._folder, host=host, port=port, user=getpass.getuser()))
        config.chmod(0o600)
        return {
            "AccountingStorageType": "accounting_storage/slurmdbd",
            "AccountingStorageHost": "127.0.0.1",
            "AccountingStoragePort": str(port),
            "AccountingStoragePass": f"{self._folder}/munge.sock",  # not AuthInfo, as everywhere else
            "AccountingStorageEnforce": LIMITS,
            "JobAcctGatherType": "jobacct_gather/linux",
            "JobAcctGatherFrequency": "1",
        }

    def start(self) -> None:
        """Both, the first time or again: after about two seconds."""
        data = self._folder / "mysql"
        if not data.exists():
            words = ("--skip-test-db", "--auth-root-authentication-method=normal", f"--user={getpass.getuser()}")
            made = subprocess.run(
                ["mariadb-install-db", "--no-defaults", f"--datadir={data}", *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=START_S,
            )
            assert made.returncode == 0, f"no database: {made.stdout}{made.stderr}"
        places = [f"--{name}={self._folder}/mysql{ending}" for name, ending in (("socket", ".sock"), ("datadir", ""))]
        files = [f"--pid-file={self._folder}/mysql.pid", f"--user={getpass.getuser()}"]
        self._spawn("mariadbd", ["/usr/sbin/mariadbd", *DATABASE, *places, *files], {})
        _until((self._folder / "mysql.sock").exists, "mariadbd")
        self.start_daemon()

    def start_daemon(self) -> None:
        """slurmdbd alone, as after `stop_daemon`."""
        self._spawn("slurmdbd", ["/usr/sbin/slurmdbd", "-D"], self._environment)
        _until(lambda: self._answered("sacctmgr", "-nP", "show", "cluster") is not None, "slurmdbd")

    def stop_daemon(self, number: int = signal.SIGTERM) -> None:
        """slurmdbd goes; what happens meanwhile the controller keeps for it."""
        self._end("slurmdbd", number)

    def close(self) -> None:
        self._end("slurmdbd", signal.SIGTERM)
        self._end("mariadbd", signal.SIGTERM)


def _until(true: Callable[[], object], what: str) -> None:
    until = time.monotonic() + START_S
    while not true():
        assert time.monotonic() < until, f"no {what} within {START_S:g} s"
        time.sleep(0.05)
