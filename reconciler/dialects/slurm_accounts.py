"""Whether a cluster keeps accounts: found out by asking, and one that keeps none is asked again only now and then."""

from __future__ import annotations

from reconciler.core.wire_commands import Ran

AGAIN = 100  # looks at the queue: somebody may have set up accounting since
NONE = "accounting storage is disabled"


class Accounts:
    """What one cluster was heard to say. An answer that fails in any other way is no answer, and it is asked again."""

    def __init__(self) -> None:
        self._skipped = 0

    def due(self) -> bool:
        """Whether the next look asks the accounting; to be called once for each."""
        if self._skipped == 0:
            return True
        self._skipped -= 1
        return False

    def heard(self, ran: Ran) -> None:
        """What sacct said."""
        absent = ran.rc is None or (ran.rc != 0 and not ran.timed_out and NONE in f"{ran.err}{ran.out}")
        self._skipped = AGAIN if absent else 0
