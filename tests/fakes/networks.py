"""A machine in a network of its own, which can be cut off: packets vanish, and nobody is told.

    network = Network()                  # two ends of a cable: one here, one there
    network.run([...])                   # there
    network.cut()                        # its end goes down: no RST, no FIN, no ICMP
    network.mend()
    network.move()                       # we come back as a laptop does: under another address
    network.forget_way("blackhole")      # ours does not lead there any more; or "unreachable"
    network.close()

It has processes of its own, too: all of them, and with them the network and both ends of the cable, go with the first
one, and that goes with us, however we end. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN (`pytest.mark.networks`).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

FIRST = "trap '' TERM; while :; do sleep 1000 & wait $!; done"  # what a machine needs: somebody who reaps
START_S = 20.0
SOON_FORGOTTEN = "/proc/sys/net/ipv4/tcp_orphan_retries"  # else what the dead had still to say keeps a network alive
RANGE = (198, 18)  # for tests of networks (RFC 2544): nobody lives there


class Network:
    """One machine. `address` is its own, `ours` the one that we have there."""

    def __init__(self) -> None:
        dies_with_us = ["setpriv", "--pdeathsig", "KILL"]
        apart = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._outside = subprocess.Popen(
            [*dies_with_us, *apart, "sh", "-c", FIRST],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._first = self._wait_for_first()
        self._near = f"rt{self._outside.pid}"
        near = ["link", "add", self._near, "type", "veth", "peer", "name", "far0", "netns", str(self._first)]
        _ip(*near)
        index = int(Path(f"/sys/class/net/{self._near}/ifindex").read_text())  # nobody else has this one
        third, fourth = divmod(index * 8 % (1 << 16), 256)
        net = f"{RANGE[0]}.{RANGE[1] + (index * 8 >> 16) % 2}.{third}"
        self.address, *self._ours = [f"{net}.{fourth + number}" for number in range(1, 7)]
        _ip("address", "add", f"{self.ours}/29", "dev", self._near)
        _ip("link", "set", self._near, "up")
        for words in (
            ["ip", "link", "set", "lo", "up"],
            ["ip", "address", "add", f"{self.address}/29", "dev", "far0"],
            ["ip", "link", "set", "far0", "up"],
            ["sh", "-c", f"echo 1 > {SOON_FORGOTTEN}"],
        ):
            subprocess.run(self.run(words), check=True)

    def run(self, words: Sequence[str]) -> list[str]:
        """The command line that runs this one there; what it starts ends with that machine, or with who runs it."""
        enter = ["nsenter", "--target", str(self._first), "--net", "--pid", "--mount"]
        return [*enter, "setpriv", "--pdeathsig", "KILL", *words]

    def cut(self) -> None:
        """Its end goes down: what is sent from either side vanishes, and nobody is told."""
        subprocess.run(self.run(["ip", "link", "set", "far0", "down"]), check=True)

    def mend(self) -> None:
        subprocess.run(self.run(["ip", "link", "set", "far0", "up"]), check=True)

    @property
    def ours(self) -> str:
        return self._ours[0]

    def move(self) -> None:
        """We have another address there from now on: not even the end of what was said under the old one arrives."""
        old = self._ours.pop(0)
        _ip("address", "del", f"{old}/29", "dev", self._near)
        _ip("address", "add", f"{self.ours}/29", "dev", self._near)

    def forget_way(self, kind: str) -> None:
        """Our packets to it are dropped in silence (blackhole), or with a word to who sends them (unreachable)."""
        _ip("route", "add", kind, f"{self.address}/32")

    def find_way(self, kind: str) -> None:
        _ip("route", "del", kind, f"{self.address}/32")

    def processes(self) -> dict[int, str]:
        """What runs there: names by pid, as we see them."""
        there = Path(f"/proc/{self._first}/ns/pid").readlink()
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "ns/pid").readlink() == there:
                    found[int(entry.name)] = (entry / "comm").read_text().strip()
            except OSError:  # it has just ended
                continue
        return found

    def close(self) -> None:
        """The machine goes, with all that runs there, and the cable to it."""
        self._outside.kill()
        self._outside.wait()
        subprocess.run(["ip", "link", "del", self._near], stderr=subprocess.DEVNULL, check=False)  # it may have gone
        assert not Path(f"/sys/class/net/{self._near}").exists()

    def _wait_for_first(self) -> int:
        """The process with which all others there end."""
        until = time.monotonic() + START_S
        children = Path(f"/proc/{self._outside.pid}/task/{self._outside.pid}/children")
        while time.monotonic() < until:
            pids = children.read_text().split() if children.exists() else []
            if pids and Path(f"/proc/{pids[0]}/comm").read_text().strip() == "sh":
                return int(pids[0])
            time.sleep(0.01)
        raise AssertionError("the machine does not start")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
