"""A configuration whose one source is a real sshd on loopback, for tests of the command line; no daemon runs there."""

from __future__ import annotations

import getpass
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli_lab import AT, HERE, Lab

from reconciler.core.model import Attempt, Eid
from reconciler.results import ResultsTree
from tests.fakes.ssh_lab import SshHost, SshLab


class FarLab(Lab):
    """`host` may be stopped and started; files of attempts are written where its agent finds them."""

    def __init__(self, folder: Path, ssh: SshLab, host: SshHost) -> None:
        super().__init__(folder)
        self.ssh = ssh
        self.host = host
        self.root = folder / "far"
        document = json.loads(self.config.read_text())
        document["sources"] = {HERE: self._entry(host, self.root)}
        self.config.write_text(json.dumps(document))
        self.tree = ResultsTree(folder / "results")

    def _entry(self, host: SshHost, root: Path) -> dict[str, object]:
        return {
            "scheduler": "process",
            "host": f"ssh://{getpass.getuser()}@127.0.0.1:{host.port}",
            "identityFile": str(self.ssh.identity),
            "knownHosts": str(self.ssh.known_hosts),
            "sshConfig": str(self.ssh.config),
            "root": str(root),
        }

    def also(self, *names: str) -> None:
        """Further sources, each a machine of its own."""
        document = json.loads(self.config.read_text())
        document["sources"] |= {name: self._entry(self.ssh.host(name), self.folder / name) for name in names}
        self.config.write_text(json.dumps(document))

    def change(self, **keys: object) -> None:
        """The configuration of the one source."""
        document = json.loads(self.config.read_text())
        document["sources"][HERE] |= keys
        self.config.write_text(json.dumps(document))

    @contextmanager
    def store(self) -> Iterator[object]:
        """What ends is to be collected."""
        with super().store() as store:
            store.collecting = frozenset({HERE})
            yield store

    def write(self, attempt: Attempt, name: str, content: str) -> Path:
        """On the source."""
        path = self.there(attempt.eid) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def there(self, eid: Eid) -> Path:
        return self.root / "attempts" / eid[-2:] / eid

    def collected(self, attempt: Attempt, **files: str) -> None:
        """Its files lie here now."""
        for name, content in files.items():
            self.tree.keep(attempt.key, name.replace("_", "."), content.encode())
        with self.store() as store:
            (pending,) = [
                each for each in store.uncollected(HERE, after=0, limit=10) if each.attempt.eid == attempt.eid
            ]
            store.collected({pending.id: 1}, AT)


@contextmanager
def far_lab() -> Iterator[FarLab]:
    """Its folder has a short name: sockets have short paths."""
    folder = Path(tempfile.mkdtemp(prefix="r-far-"))
    ssh = SshLab(folder / "ssh")
    try:
        yield FarLab(folder, ssh, ssh.host("far"))
    finally:
        ssh.close()
        shutil.rmtree(folder, ignore_errors=True)
