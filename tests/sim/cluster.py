"""An array scheduler as a state machine in virtual time: like Slurm, or like PBS, as its `Manner` says.

It knows arrays, elements, starts, nodes and names, and nothing of attempts: what an element runs is a `Script` that the
caller gives. It depends on nothing but a clock that calls back, and dice. What the controller believes
(`Element.start`) and what is true (`Node.running`) are two things.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from tests.sim.cluster_jobs import Down, Element, Entry, Manner, Node, Rejected, Script, Start, State


class Scheduler:
    """The controller, its queue and its nodes."""

    def __init__(
        self,
        manner: Manner,
        nodes: list[Node],
        dice: random.Random,
        now: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.manner = manner
        self.nodes = nodes
        self.dice = dice
        self.now = now
        self.later = later
        self.up = True
        self.draining = False  # nothing starts
        self.refusing: Rejected | None = None
        self.show_lag_s = 0.0  # until a new job is listed, at most
        self.account_lag_s = 0.0  # until the accounting knows a job (59 s measured), and until it knows its end
        self.accounting_up = True
        self.elements: list[Element] = []
        self.entries: list[Entry] = []
        self.next_id = dice.randrange(1, 5000)
        self._erased: list[tuple[float, Element]] = []  # pending ones that were cancelled, and when
        self._untold: list[Callable[[], None]] = []  # what nodes say to a controller that is down
        self._planned = False
        self._phase = dice.random() * manner.save_every_s

    # -- what commands do

    def submit(self, name: str, count: int, walltime_s: float | None, script: Script, *, user: str = "me") -> int:
        """A new array; returns its id. Raises Down and Rejected."""
        self._answering()
        if self.refusing is not None:
            raise self.refusing
        if count > self.manner.most_elements:
            raise Rejected("Invalid job array specification", later=False)
        if sum(1 for _ in self.living(user)) + count > self.manner.most_jobs:
            raise Rejected("Job violates accounting/QOS policy (job submit limit)", later=True)
        array, self.next_id = self.next_id, self.next_id + 1
        shown_at = self.now() + self.show_lag_s * self.dice.random()
        for index in range(count):
            self.elements.append(Element(array, index, name, user, walltime_s, script, self.now(), shown_at))
        self._plan()
        return array

    def listed(self, user: str) -> list[Element]:
        """All elements of a user that are listed now, ended ones too, as long as they are shown. Raises Down."""
        self._answering()
        oldest = self.now() - self.manner.shown_s
        self.elements = [each for each in self.elements if each.state is not State.ENDED or each.ended_at > oldest]
        return [each for each in self.elements if each.user == user and each.shown_at <= self.now()]

    def accounted(self, names: set[str]) -> list[Entry]:
        """How starts of these names have ended, the oldest first. Raises Down, also where there is no accounting."""
        if not self.manner.accounting or not self.accounting_up:
            raise Down("Connection refused")
        return [entry for entry in self.entries if entry.name in names and entry.shown_at <= self.now()]

    def ceased(self, entry: Entry) -> bool:
        """Whether the node of what has ended was heard, or has booted, since. Raises Down."""
        self._answering()
        return entry.node is None or entry.node.reached or entry.node.boots > entry.boots

    def cancel(self, name: str, array: int, index: int, *, user: str = "me") -> list[Element]:
        """Name and id must both match, as for scancel --name=NAME ID. Returns what was hit. Raises Down."""
        self._answering()
        wanted = (array, index, name, user)
        hit = [each for each in self.living(user) if (each.array, each.index, each.name, each.user) == wanted]
        for element in hit:
            self._cancel(element)
        return hit

    def living(self, user: str) -> Iterator[Element]:
        """What the controller believes to be in the queue of a user."""
        return (each for each in self.elements if each.user == user and each.state is not State.ENDED)

    # -- what other people, and the system, do

    def cancel_by_hand(self, element: Element) -> bool:
        """Somebody's scancel; whether there was anything to cancel."""
        if not self.up or element.state not in (State.PENDING, State.RUNNING) or element.forgotten:
            return False
        self._cancel(element)
        return True

    def preempt(self, element: Element) -> bool:
        """Somebody more important needs the place."""
        start = element.start
        if not self.up or element.state is not State.RUNNING or start is None or not start.node.reached:
            return False
        if not self.manner.reruns:
            self._finish(element, "PREEMPTED", gently=True)
            return True
        self._take_off(start, gently=True)
        self._queue_again(element)
        return True

    def out_of_memory(self, element: Element) -> bool:
        """The node's kernel kills all of it."""
        start = element.start
        if element.state is not State.RUNNING or start is None or not start.node.up or start.run is None:
            return False
        if start.node.reached and self.up:
            self._finish(element, "OUT_OF_MEMORY", gently=False)
        else:
            start.run.kill(gently=False)
        return True

    def crash(self, down_s: float) -> int:
        """kill -9 of the controller, which comes back; returns how many accepted elements it has lost."""
        if not self.up:
            return 0
        self.up = False
        self.later(down_s, self.recover)
        if not self.manner.forgets:
            self.next_id += self.dice.choice((1, 100, 1000))
            return 0
        saved_at = self._saved_at()
        lost = [each for each in self.elements if each.submitted_at > saved_at and each.state is not State.ENDED]
        for element in lost:
            element.forgotten = True
        if lost:
            self.next_id = min(each.array for each in lost)
        self.elements = [each for each in self.elements if not each.forgotten]
        for at, element in self._erased:
            if at > saved_at >= element.submitted_at:  # as if it had never been cancelled
                element.state = State.PENDING
                self.elements.append(element)
        self._erased.clear()
        return len(lost)

    def recover(self) -> None:
        """It answers again, and hears what the nodes have to say."""
        if self.up:
            return
        self.up = True
        untold, self._untold = self._untold, []
        for tell in untold:
            tell()
        for node in self.nodes:
            if node.reached and self.dice.random() < 0.5:  # it registers again, and its orphans are killed
                self._clean(node)
        self._plan()

    # -- what happens to nodes

    def lose_power(self, node: Node, back_s: float) -> bool:
        """A node is off, with all that ran there; it boots after a while."""
        if not node.up:
            return False
        node.up, node.cut = False, False
        node.untold.clear()
        lost, node.running = node.running, []
        for start in lost:
            if start.run is not None:
                start.run.vanish()
        self._notice_later(lost)
        self.later(back_s, lambda: self._boot(node))
        return True

    def cut_off(self, node: Node, back_s: float) -> bool:
        """The controller does not reach a node; what runs there goes on."""
        if not node.reached:
            return False
        node.cut = True
        self._notice_later(list(node.running))
        self.later(back_s, lambda: self._reconnect(node))
        return True

    def heal(self) -> None:
        """Everything is up, and nobody holds anything back."""
        self.draining, self.refusing, self.show_lag_s, self.account_lag_s = False, None, 0.0, 0.0
        self.accounting_up = True
        self.recover()
        for node in self.nodes:
            node.unfit = False
            self._boot(node)
            self._reconnect(node)
        for element in self.elements:
            element.held = False
        self._plan()

    # -- starts

    def _plan(self) -> None:
        """A pass over the queue, soon."""
        if not self._planned:
            self._planned = True
            self.later(0.2 + 2.0 * self.dice.random(), self._pass)

    def _pass(self) -> None:
        self._planned = False
        if not self.up or self.draining:
            return
        free = [node for node in self.nodes if node.free > 0]
        for element in [each for each in self.elements if each.state is State.PENDING and not each.held]:
            if not free:
                return
            node = free[int(self.dice.random() * len(free))]
            self._start(element, node)
            if node.free <= 0:
                free.remove(node)

    def _start(self, element: Element, node: Node) -> None:
        start = Start(element, node, element.restarts)
        element.state, element.start = State.RUNNING, start
        node.running.append(start)
        start.run = element.script(start, lambda code: self._over(start, code))
        if element.walltime_s is not None:  # to the minute, and a tick of 30 s
            self.later(element.walltime_s + self.dice.random() * 60.0, lambda: self._time_is_up(start))

    def _time_is_up(self, start: Start) -> None:
        node = start.node
        if start not in node.running:
            return
        if node.cut and self.manner.nodes_keep_time and start.run is not None:
            start.run.kill(gently=False)
        elif not node.reached or not self.up:
            self.later(30.0, lambda: self._time_is_up(start))
        elif start.current and start.element.state is State.RUNNING:
            self._finish(start.element, "TIMEOUT", gently=True)

    # -- ends

    def _over(self, start: Start, code: int) -> None:
        """Nothing of it runs any more; its node says so when it can."""
        if start in start.node.running:
            start.node.running.remove(start)
        tell = self._heard_of(start, code)
        if start.node.cut:
            start.node.untold.append(tell)
        else:
            self._tell(tell)

    def _heard_of(self, start: Start, code: int) -> Callable[[], None]:
        def heard() -> None:
            if start.current and start.element.state is State.RUNNING:
                self._complete(start.element, "COMPLETED" if code == 0 else "FAILED")
            self._plan()

        return heard

    def _finish(self, element: Element, verdict: str, *, gently: bool) -> None:
        """The controller ends what runs."""
        start = element.start
        self._complete(element, verdict)
        if start is not None:
            self._take_off(start, gently=gently)

    def _take_off(self, start: Start, *, gently: bool) -> None:
        """A node that is not reached hears of it later: see `_clean`."""
        if start.node.reached and start.run is not None:
            start.run.kill(gently=gently)

    def _complete(self, element: Element, verdict: str) -> None:
        element.state, element.verdict = State.COMPLETING, verdict
        self.later(self.dice.choice((0.05, 1.0, 8.0)) * self.dice.random(), lambda: self._clear(element))

    def _clear(self, element: Element) -> None:
        """It is cleared away, once nothing of it is left on its node."""
        if element.state is not State.COMPLETING:
            return
        if element.start is not None and element.start in element.start.node.running:
            self.later(5.0, lambda: self._clear(element))
        elif self.up:
            self._end(element)
        else:
            self._untold.append(lambda: self._clear(element))

    def _end(self, element: Element) -> None:
        element.state, element.ended_at = State.ENDED, self.now()
        node = None if element.start is None else element.start.node
        known_at = max(self.now(), element.submitted_at + self.account_lag_s)
        self.entries.append(
            Entry(
                array=element.array,
                index=element.index,
                name=element.name,
                restarts=element.restarts,
                verdict=element.verdict,
                ended_at=self.now(),
                node=node,
                boots=0 if node is None else node.boots,
                shown_at=known_at + self.account_lag_s * self.dice.random(),
            )
        )
        self._plan()

    def _cancel(self, element: Element) -> None:
        """A pending element leaves no trace, neither in the queue nor in the accounting."""
        if element.state is State.RUNNING:
            self._finish(element, "CANCELLED", gently=True)
        elif element.state is State.PENDING:
            element.state = State.ENDED
            saved_at = self._saved_at()
            self._erased = [*(each for each in self._erased if each[0] > saved_at), (self.now(), element)]
            self.elements.remove(element)

    # -- lost nodes

    def _notice_later(self, starts: list[Start]) -> None:
        self.later(self.manner.noticed_s, lambda: self._tell(lambda: self._notice(starts)))

    def _notice(self, starts: list[Start]) -> None:
        """The controller gives up what ran there, unless it is reached again by now."""
        for start in starts:
            if not (start in start.node.running and start.node.reached):
                self._node_failed(start)

    def _node_failed(self, start: Start) -> None:
        element = start.element
        if not start.current or element.state not in (State.RUNNING, State.COMPLETING):
            return
        if element.state is State.COMPLETING:
            self._end(element)
        elif self.manner.reruns:
            self._queue_again(element)
        else:
            element.verdict = "NODE_FAIL"
            self._end(element)

    def _queue_again(self, element: Element) -> None:
        """The same job, with a higher restart count; what is left of the old start is nobody's business."""
        element.state, element.start = State.PENDING, None
        element.restarts += 1
        self._plan()

    def _boot(self, node: Node) -> None:
        """It is back, and empty."""
        if not node.up:
            node.up = True
            node.boots += 1
            self._tell(lambda: self._clean(node))

    def _reconnect(self, node: Node) -> None:
        """It is reached again, says what has ended there, and hears what should."""
        if node.cut:
            node.cut = False
            untold, node.untold = node.untold, []
            for tell in untold:
                self._tell(tell)
            self._tell(lambda: self._clean(node))

    def _clean(self, node: Node) -> None:
        """What runs there and should not is killed; what should and does not has failed with the node."""
        if not node.reached:
            return
        for start in list(node.running):
            if start.run is not None and not (start.current and start.element.state is State.RUNNING):
                start.run.kill(gently=False)
        for element in list(self.elements):
            start = element.start
            if start is not None and start.node is node and start not in node.running:
                self._node_failed(start)
        self._plan()

    # -- the controller itself

    def _tell(self, call: Callable[[], None]) -> None:
        """What a node says to the controller, now or when that is up again."""
        if self.up:
            call()
        else:
            self._untold.append(call)

    def _answering(self) -> None:
        if not self.up:
            raise Down("Unable to contact the controller (connect failure)")

    def _saved_at(self) -> float:
        """When the state was saved last."""
        every = self.manner.save_every_s
        return (self.now() - self._phase) // every * every + self._phase
