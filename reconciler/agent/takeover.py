"""What lies in a root when its agent begins, and once a day: looked at a little at a time, for it may be a million."""

import os
import time
from typing import Callable, List, Tuple

from .place import folders
from .shapes import is_eid


class Takeover:
    """All attempts that have no record of their end. Nothing may start before those that run have their seats."""

    def __init__(self, attempts: str) -> None:
        """Raises OSError: who cannot list them does not know what runs."""
        self._shards: List[Tuple[str, str]] = [
            (shard.path, "\n".join(entry.name for entry in folders(shard.path))) for shard in folders(attempts)
        ]
        self._shards.reverse()
        self._shard = ""
        self._names: List[str] = []

    def go_on(self, take: Callable[[str], None], seconds: float) -> bool:
        """Give some more of them away; whether these were the last."""
        until = time.monotonic() + seconds
        while self._shards or self._names:
            if self._names:
                eid = self._names.pop()
                if is_eid(eid) and not os.path.exists("%s/%s/exit.json" % (self._shard, eid)):
                    take(eid)
            else:
                self._shard, names = self._shards.pop()
                self._names = names.split("\n")[::-1]
            if time.monotonic() >= until:
                return False
        return True
