"""What is found about attempts, until it is told: the newest of each, in the order in which it was found."""

from typing import Dict, Optional

from . import shapes


class News:
    """Attempt → what was found of it, as JSON."""

    def __init__(self) -> None:
        self._found: Dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._found)

    def tell(self, eid: str, found: str) -> None:
        """It replaces what was not yet told, and goes to the end, so that order is kept."""
        self._found.pop(eid, None)
        self._found[eid] = found

    def page(self) -> Optional[str]:
        """The next page as a line to send; None when nothing is to be told."""
        if not self._found:
            return None
        eids = list(self._found)[: shapes.PAGE]
        entries = ",".join('"%s":%s' % (eid, self._found.pop(eid)) for eid in eids)
        return '{"push":"found","found":{%s}}' % entries
