"""Random edits of manifests while tasks run, against a small model: what is desired, what runs, what is cancelled.

After every step the store agrees with the model; at the end everything comes to rest, and a fresh start from the last
manifests wants the same tasks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from machine_budget import budget
from machine_edits import Pair
from machine_manifest import FAULTS, Written
from machine_pass import File

from reconciler.requests import Verb

pytestmark = pytest.mark.timeout(600)  # it computes for most of a minute, on a machine with nothing else to do

NAMES = ("a", "b", "c", "d")
VALUES = st.lists(st.sampled_from([1, 2, 3, 4, 1.0, "1", True, None, "$(y)"]), min_size=1, max_size=4).map(tuple)
FEW = st.lists(st.integers(0, 2), max_size=3).map(tuple)
SMALL = st.integers(0, 2)
CHANGES = st.one_of(
    st.tuples(st.just("x"), VALUES),
    st.tuples(st.just("y"), FEW),
    st.tuples(st.sampled_from(["swapped", "zipped"]), st.booleans()),
    st.tuples(st.just("constant"), st.sampled_from([None, 1, "one"])),
    st.tuples(st.just("samples"), SMALL),
    st.tuples(st.sampled_from(["exclude", "include"]), st.sampled_from([None, 1, 2, 1.0, 9])),
    st.tuples(st.just("replicates"), st.integers(1, 2)),
    st.tuples(st.sampled_from(["command", "environment", "derived"]), SMALL),
    st.tuples(st.just("revision"), st.sampled_from(["", "main", "v1", "gone"])),
    st.tuples(st.just("update"), st.sampled_from(["Keep", "Rerun", "Replace"])),
    st.tuples(st.just("remove"), st.sampled_from(["Cancel", "Drain", "Keep"])),
    st.tuples(st.just("deletion"), st.sampled_from(["Drain", "Cancel", "Orphan"])),
    st.tuples(st.just("state"), st.sampled_from(["Active", "Active", "Paused", "Cancelled"])),
    st.tuples(st.just("parallelism"), SMALL),
    st.tuples(st.just("limit"), SMALL),
)
THEN = st.sampled_from(["look", "look", "begin to look", ""])


class Edits(RuleBasedStateMachine):
    """A few sweeps in one repository, one daemon, one source."""

    ran: ClassVar[Counter[str]] = Counter()

    @initialize(
        slots=st.sampled_from([2, 100]),
        prune=st.sampled_from([1, 4, 100]),
        sweeps=st.lists(st.lists(CHANGES, max_size=3), min_size=1, max_size=len(NAMES)),
        running=st.integers(0, 9),
    )
    def begin_all(self, slots: int, prune: int, sweeps: list[list[tuple[str, object]]], running: int) -> None:
        self.pair = Pair(slots=slots, prune_max_tasks=prune)
        self.world, self.agent = self.pair.world, self.pair.world.agent
        for name, changes in zip(NAMES, sweeps, strict=False):
            self.pair.files[f"sweeps.d/{name}.yaml"] = File(replace(Written(name=name), **dict(changes)))
        self._push("look")
        self.run_some(most=running)

    # -- people edit manifests

    def _push(self, then: str, onto: str | None = None) -> None:
        files = {path: file.text for path, file in self.pair.files.items()}
        commit = self.world.git.push(files, onto)
        self.pair.trees[commit] = dict(self.pair.files)
        if then == "look":
            self.pair.look()
        elif then == "begin to look":
            self.look_on(steps=3)

    def _path(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.pair.files)))

    @precondition(lambda self: self.pair.files)
    @rule(data=st.data(), edits=st.lists(st.lists(CHANGES, min_size=1, max_size=2), min_size=1, max_size=3), then=THEN)
    def edit(self, data: st.DataObject, edits: list[list[tuple[str, object]]], then: str) -> None:
        """One or more of them in one commit."""
        for changes in edits:
            path = self._path(data)
            file = self.pair.files[path]
            self.pair.files[path] = replace(file, written=replace(file.written, **dict(changes)))
        self._push(then)

    @precondition(lambda self: self.pair.files)
    @rule(data=st.data(), fault=st.sampled_from(["", *FAULTS]), then=THEN)
    def break_or_mend(self, data: st.DataObject, fault: str, then: str) -> None:
        path = self._path(data)
        self.pair.files[path] = replace(self.pair.files[path], fault=fault)
        self._push(then)

    @rule(name=st.sampled_from(NAMES), then=THEN)
    def add(self, name: str, then: str) -> None:
        """Anew, as it was before, or as a second one of that name."""
        free = [path for path in (f"sweeps.d/{name}.yaml", f"sweeps.d/more/{name}.yml") if path not in self.pair.files]
        if free:
            known = self.pair.model.sweeps.get(name)
            self.pair.files[free[0]] = File(known.spec if known is not None else Written(name=name))
            self._push(then)

    @precondition(lambda self: self.pair.files)
    @rule(data=st.data(), most=st.integers(1, 3), then=THEN)
    def delete(self, data: st.DataObject, most: int, then: str) -> None:
        for _ in range(min(most, len(self.pair.files))):
            del self.pair.files[self._path(data)]
        self._push(then)

    @rule(data=st.data(), how=st.sampled_from(["move", "tag", "rewrite", "restore", "away"]), back=st.integers(1, 4))
    def do_odd_things(self, data: st.DataObject, how: str, back: int) -> None:
        """Move a file; tag; force-push upon an older commit, with the files of now or with its own; go away."""
        git, files = self.world.git, self.pair.files
        line = git.line(git.main)
        onto = line[min(back, len(line) - 1)]
        match how:
            case "move" if files:
                path = self._path(data)
                files[f"sweeps.d/moved/{len(self.pair.trees)}.json"] = files.pop(path)
                self._push("look")
            case "tag":
                git.tags["v1"] = git.main
            case "rewrite":
                self._push("look", onto)
            case "restore":
                self.pair.files = dict(self.pair.trees[onto])
                self._push("look", onto)
            case "away":
                git.away = not git.away

    # -- the daemon looks, places, tells; the source works

    @rule(steps=st.integers(1, 8))
    def look_on(self, steps: int) -> None:
        """A pass over the repository goes on, or begins; perhaps not to its end."""
        if self.pair.looking is None:
            self.pair.begin()
        for _ in range(steps):
            if self.pair.looking is not None:
                self.pair.step()

    @rule(most=st.integers(0, 9))
    def run_some(self, most: int) -> None:
        """All that has room is placed and sent, and so many start."""
        self.pair.disturbed = True
        self.pair.act()
        self.pair.do(self.world.dispatch)
        self.pair.act()
        for eid in self.agent.waiting()[:most]:
            self.agent.start(eid)
        self.pair.do(lambda: self.world.hear(9))

    @rule(most=st.integers(1, 9), how=st.sampled_from(["well", "well", "badly", "killed"]), heard=st.integers(0, 9))
    def end(self, most: int, how: str, heard: int) -> None:
        """So many end, and of so many that is heard."""
        self.pair.disturbed = True
        for eid in self.agent.live()[:most]:
            if how == "killed":
                self.agent.die(eid)
            else:
                self.agent.end(eid, code=int(how == "badly"))
        self.pair.do(lambda: self.world.hear(heard))

    @rule()
    def obey(self) -> None:
        """What is to be cancelled is told so, and ends."""
        self.pair.disturbed = True
        self.pair.do(self.world.tell)
        self.pair.act()
        for eid in self.agent.live():
            if self.agent.entries[eid].told_to_end:
                self.agent.end(eid, code=1, by="cancel")
        self.pair.do(lambda: self.world.hear(9))

    @rule(what=st.sampled_from(["place", "tell", "act", "act"]), steps=st.integers(1, 6))
    def do_a_little(self, what: str, steps: int) -> None:
        """One pass; or a few steps of what the source is asked, so that other things happen in between."""
        self.pair.disturbed = True
        match what:
            case "place":
                self.pair.do(self.world.dispatch)
            case "tell":
                self.pair.do(self.world.tell)
            case _:
                self.pair.act(steps)

    # -- people ask, time passes, machines and daemons die

    @precondition(lambda self: self.pair.looking is None)
    @rule(what=st.sampled_from(["approve", "approve", "retry", "repin"]), name=st.sampled_from(NAMES))
    def ask(self, what: str, name: str) -> None:
        match what:
            case "approve":
                self.pair.approve()
            case "retry":
                self.pair.ask(Verb.RETRY, name)
            case _:
                self.pair.ask(Verb.RECONCILE, name)

    @rule(seconds=st.sampled_from([1, 11]))
    def wait(self, seconds: int) -> None:
        self.world.clock.time += seconds

    @rule(points=st.integers(1, 25))
    def soon_be_killed(self, points: int) -> None:
        """At one of the next crash points that it passes."""
        self.pair.doom = points

    @rule()
    def be_restarted(self) -> None:
        quiet = self.pair.looking is None and self.pair.acting is None
        before = self.pair.picture()
        self.pair.restart()
        if quiet:
            assert before == self.pair.picture(), "a restart changes nothing"

    @precondition(lambda self: self.pair.acting is None)
    @rule(reboot=st.booleans())
    def lose_the_connection(self, reboot: bool) -> None:
        """And with it the queue of the agent; a reboot ends what runs there, and nobody says so."""
        self.pair.disturbed = True
        if reboot:
            self.agent.reboot()
        else:
            self.agent.hang_up()
        self.world.hand.ready = False

    @invariant()
    def the_model_agrees(self) -> None:
        if hasattr(self, "pair"):
            self.pair.seen["steps"] += 1
            self.pair.check()

    def teardown(self) -> None:
        if not hasattr(self, "pair"):
            return
        try:
            if self.pair.sound:
                self.pair.come_to_rest()
            self.ran.update(self.pair.seen)
            self.ran["histories"] += 1
        finally:
            self.pair.close()


def test_whatever_is_edited_while_tasks_run_the_model_agrees(figures: Counter[str]) -> None:
    Edits.ran = Counter()
    run_state_machine_as_test(Edits, settings=budget(150, long=1000, steps=40))
    figures.update(Edits.ran)
