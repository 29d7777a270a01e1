"""Side work under way, and who waits for its answer: the loop's own end of `side`."""

import os
import selectors
from typing import Callable, Dict, List, NamedTuple, Optional

from . import side
from .channel import Channel
from .crash import crashpoint
from .shapes import Json, Object

Done = Callable[[Object], None]


class _Errand(NamedTuple):
    askers: List[Json]
    heard: List[bytes]
    died: str  # what is told when it has not answered
    done: Optional[Done]


class Errands:
    """Each has a name under which others may join, and is of a kind of which there are only so many."""

    def __init__(self, selector: selectors.DefaultSelector, channel: Channel) -> None:
        self._selector = selector
        self._channel = channel
        self._by_name: Dict[str, _Errand] = {}

    def count(self, kind: str) -> int:
        """How many are under way whose name begins so."""
        return sum(name.startswith(kind) for name in self._by_name)

    def join(self, name: str, asker: Json) -> bool:
        """Whether it is under way; then this one hears its answer, too."""
        errand = self._by_name.get(name)
        if errand is not None:
            errand.askers.append(asker)
        return errand is not None

    def begin(
        self, name: str, askers: List[Json], work: Callable[[], Object], died: str = "Busy", done: Optional[Done] = None
    ) -> None:
        """done: who is told first. Raises OSError."""
        _, fd = side.start(work)
        errand = self._by_name[name] = _Errand(askers, [], died, done)
        self._selector.register(fd, selectors.EVENT_READ, lambda fd: self._come_back(fd, name, errand))

    def _come_back(self, fd: int, name: str, errand: _Errand) -> None:
        piece = os.read(fd, side.PIECE)
        if piece:
            errand.heard.append(piece)
            return
        self._selector.unregister(fd)
        self._by_name.pop(name, None)
        answer = side.answer(fd, b"".join(errand.heard), errand.died)
        if errand.done is not None:
            errand.done(answer)
        crashpoint("errand.answered")
        for number in errand.askers:
            reply = dict(answer)
            reply["id"] = number
            self._channel.write(reply)
