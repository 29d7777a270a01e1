"""The queue for slots and GPUs: first come, first served, but a wait for GPUs holds up only those who want GPUs."""

from collections import deque
from typing import Deque, Dict, List, NamedTuple, Optional, Tuple

from .shapes import Spec


class Ticket(NamedTuple):
    """A place in the queue."""

    number: int
    spec: Spec


class Pool:
    """Who waits, and who sits on which GPUs. A seat is one running attempt."""

    def __init__(self, slots: int, gpus: List[int]) -> None:
        self.slots = slots
        self.gpus = gpus
        self.seats: Dict[str, List[int]] = {}
        self._waiting: Dict[str, Ticket] = {}
        self._plain: Deque[Ticket] = deque()
        self._wanting: Deque[Ticket] = deque()
        self._count = 0

    def waits(self, eid: str) -> bool:
        return eid in self._waiting

    def add(self, spec: Spec) -> None:
        """To the end of the queue."""
        self._count += 1
        ticket = Ticket(self._count, spec)
        self._waiting[spec.eid] = ticket
        self._line(spec).append(ticket)

    def put_back(self, spec: Spec) -> None:
        """To the head of the queue: it was given a seat and could not take it."""
        self.release(spec.eid)
        ticket = Ticket(0, spec)
        self._waiting[spec.eid] = ticket
        self._line(spec).appendleft(ticket)

    def drop(self, eid: str) -> None:
        """Out of the queue, if it is there."""
        self._waiting.pop(eid, None)

    def clear(self) -> None:
        self._waiting.clear()

    def sit(self, eid: str, gpus: List[int]) -> None:
        """An attempt runs that was not started from this queue; there may be more of these than slots."""
        self.seats[eid] = gpus

    def release(self, eid: str) -> None:
        self.seats.pop(eid, None)

    def take(self) -> Optional[Tuple[Spec, List[int]]]:
        """The next attempt that can start now, and its GPUs; it has its seat from now on."""
        if not self._waiting or len(self.seats) >= self.slots:
            return None
        free = self._free_gpus()
        plain, wanting = self._head(self._plain), self._head(self._wanting)
        if wanting is not None and wanting.spec.gpus > len(free):
            wanting = None
        ticket = min((head for head in (plain, wanting) if head is not None), default=None)
        if ticket is None:
            return None
        spec = ticket.spec
        self._line(spec).popleft()
        del self._waiting[spec.eid]
        self.seats[spec.eid] = free[: spec.gpus]
        return spec, self.seats[spec.eid]

    def _line(self, spec: Spec) -> Deque[Ticket]:
        return self._wanting if spec.gpus else self._plain

    def _head(self, line: Deque[Ticket]) -> Optional[Ticket]:
        """The first that still waits; those dropped meanwhile leave the line here."""
        while line and self._waiting.get(line[0].spec.eid) is not line[0]:
            line.popleft()
        return line[0] if line else None

    def _free_gpus(self) -> List[int]:
        taken = {index for gpus in self.seats.values() for index in gpus}
        return [index for index in self.gpus if index not in taken]
