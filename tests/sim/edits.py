"""What people do to the repository: edit, break, move, delete and rewrite it; its server is not always there."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core.errors import RepositoryError
from tests.sim.farside import Fault
from tests.sim.manifests import Sweep, Tree

if TYPE_CHECKING:
    from tests.sim.world import World

NAMES = ("alpha", "beta", "gamma", "delta", "eps")
BROKEN = '{"apiVersion": "reconciler/v1alpha1", "kind": "Sweep", "metadata": {"name": "%s"}, "spec": {"command": 3}}'
UNNAMED = "kind: Sweep\nmetadata: [what\n"
NEVER = float("inf")


class Server:
    """How the repository's server answers; see `git.Remote`."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.down = ""
        self.flaky = 0.0
        self.slow_s = 0.0

    def delay_s(self) -> float:
        return 0.02 + self.slow_s * self._dice.random()

    def trouble(self) -> RepositoryError | None:
        if self.down:
            return RepositoryError(self.down, "the repository cannot be asked")
        if self._dice.random() < self.flaky:
            return RepositoryError("TimedOut", "git took too long")
        return None


class Edits:
    """Pushes, at moments that the seed draws."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = dice = random.Random(world.dice.getrandbits(64))
        self.server = Server(dice)
        self.healed = False
        self.seconds_between = dice.choice((NEVER, 300.0, 90.0, 25.0))
        self.server.flaky = dice.choice((0.0, 0.0, 0.1, 0.4))
        self.size = dice.choice((5, 12, 25) if world.scheduled else (2, 5, 12))
        self.walltimes = (60, 600, 600, None) if world.scheduled else (None,)  # what ends it where there is no record
        self.tree = Tree({f"sweeps.d/{name}.json": _file(self._new(name)) for name in NAMES[: dice.randint(1, 4)]})
        self._push(self.tree)
        if self.seconds_between != NEVER:
            self._plan()

    def faults(self) -> list[Fault]:
        """Of the server."""
        return [("git-down", 2, self._go_down), ("git-slow", 1, self._slow)]

    def calm(self) -> None:
        """Nobody pushes by himself, and the server answers."""
        self.healed = True
        self.server.flaky = 0.0

    def push(self, *sweeps: Sweep) -> None:
        """Somebody pushes just these."""
        self._push(Tree({f"sweeps.d/{sweep.name}.json": _file(sweep) for sweep in sweeps}))
        self.world.nudge()

    def heal(self) -> Tree:
        """The server answers, and the last commit of all asks for what can be done. Returns its tree."""
        self.healed = True
        self.server.down, self.server.flaky, self.server.slow_s = "", 0.0, 0.0
        sweeps = self.tree.sweeps or {"alpha": self._new("alpha")}
        files = {}
        for name, sweep in sweeps.items():
            after = tuple(other for other in sweep.depends_on if other in sweeps and other < name)
            good = replace(
                sweep, state="Active", max_failures=None, sources=(), gpus=0, walltime_s=None, depends_on=after
            )
            files[f"sweeps.d/{name}.json"] = _file(good)
        tree = Tree(files)
        self._push(tree)
        return tree

    # -- when

    def _plan(self) -> None:
        self.world.loop.kernel.call_later(self.dice.expovariate(1 / self.seconds_between), self._edit)

    def _edit(self) -> None:
        if self.healed:
            return
        edits = self._edits()
        name, _, edit = self.dice.choices(edits, [weight for _, weight, _ in edits])[0]
        if edit() is not False:
            self.world.count_fault(f"git-{name}")
            if self.dice.random() < 0.5:
                self.world.nudge()
        self._plan()

    def _edits(self) -> list[tuple[str, float, Callable[[], object]]]:
        return [
            ("edit", 20, self._change_one),
            ("add", 2, self._add),
            ("delete", 2, self._delete),
            ("delete-all", 0.5, lambda: self._push(Tree({}))),
            ("break", 2, lambda: self._spoil(named=True)),
            ("unname", 1, lambda: self._spoil(named=False)),
            ("move", 1, self._move),
            ("revert", 2, self._revert),
            ("force", 2, self._force),
            ("reset", 1, self._reset),
        ]

    def _push(self, tree: Tree, *, amend: bool = False) -> None:
        self.tree = tree
        self.world.history.push(tree, self.world.home.now(), amend=amend)
        self.world.oracle.trace("push", self.world.history.head)

    # -- what

    def _any_good(self) -> tuple[str, Sweep] | None:
        """The file of a sweep that can be read, by chance."""
        good = [(path, sweep) for path, (_, sweep) in self.tree.files.items() if sweep is not None]
        return self.dice.choice(good) if good else None

    def _change_one(self) -> bool:
        chosen = self._any_good()
        if chosen is None:
            return False
        path, sweep = chosen
        self._push(Tree({**self.tree.files, path: _file(self._changed(sweep))}))
        return True

    def _add(self) -> bool:
        missing = [name for name in NAMES if name not in self.tree.sweeps]
        if not missing:
            return False
        name = self.dice.choice(missing)
        self._push(Tree({**self.tree.files, f"sweeps.d/{name}.json": _file(self._new(name))}))
        return True

    def _delete(self) -> bool:
        if not self.tree.files:
            return False
        gone = self.dice.choice(sorted(self.tree.files))
        self._push(Tree({path: file for path, file in self.tree.files.items() if path != gone}))
        return True

    def _spoil(self, *, named: bool) -> bool:
        chosen = self._any_good()
        if chosen is None:
            return False
        path, sweep = chosen
        before = self.tree
        self._push(Tree({**before.files, path: (BROKEN % sweep.name if named else UNNAMED, None)}))
        self.world.loop.kernel.call_later(self.dice.expovariate(1 / 60), lambda: self._mend(path, sweep))
        return True

    def _mend(self, path: str, sweep: Sweep) -> None:
        if not self.healed and self.tree.files.get(path, ("", sweep))[1] is None:
            self._push(Tree({**self.tree.files, path: _file(sweep)}))

    def _move(self) -> bool:
        if not self.tree.files:
            return False
        path = self.dice.choice(sorted(self.tree.files))
        files = dict(self.tree.files)
        file = files.pop(path)
        files[f"sweeps.d/{self.dice.choice('abc')}/{path.rpartition('/')[2]}"] = file
        self._push(Tree(files))
        return True

    def _revert(self) -> None:
        """A new commit with an old tree."""
        history = self.world.history
        old = self.dice.choice(history.ancestors(history.head)[:4])
        self._push(history.changes[old].tree)

    def _force(self) -> bool:
        """The last commit is replaced; the next one may build upon that, or not."""
        chosen = self._any_good()
        if chosen is None:
            return False
        path, sweep = chosen
        self._push(Tree({**self.tree.files, path: _file(self._changed(sweep))}), amend=True)
        return True

    def _reset(self) -> None:
        """The branch is set back to an older commit."""
        history = self.world.history
        old = self.dice.choice(history.ancestors(history.head)[:4])
        self.tree = history.changes[old].tree
        history.reset(old, self.world.home.now())
        self.world.oracle.trace("reset", old)

    def _new(self, name: str) -> Sweep:
        dice = self.dice
        return Sweep(
            name,
            tuple(range(dice.randint(1, self.size))),
            replicates=dice.choice((1, 1, 1, 2)),
            update=dice.choice(("Keep", "Keep", "Rerun", "Replace")),
            on_remove=dice.choice(("Cancel", "Cancel", "Drain", "Keep")),
            deletion=dice.choice(("Drain", "Cancel", "Orphan")),
            retries=dice.choice((0, 2, 10)),
            backoff_s=dice.choice((1, 10)),
            parallelism=dice.choice((None, None, 1, 3)),
            walltime_s=dice.choice(self.walltimes),
        )

    def _changed(self, sweep: Sweep) -> Sweep:
        dice = self.dice
        kind = dice.randrange(16)
        if kind < 4:
            kept = tuple(value for value in sweep.values if dice.random() < 0.7)
            return replace(sweep, values=kept or sweep.values[:1])
        if kind < 7:
            more = {*sweep.values, *(dice.randrange(2 * self.size) for _ in range(dice.randint(1, 4)))}
            return replace(sweep, values=tuple(sorted(more)))
        if kind == 7:
            return replace(sweep, values=sweep.values[::-1])
        if kind < 10:
            return replace(sweep, program=dice.randint(1, 3))
        choices: list[Sweep] = [
            replace(sweep, state=dice.choice(("Active", "Active", "Paused", "Cancelled"))),
            replace(sweep, state="Active"),
            replace(sweep, update=dice.choice(("Keep", "Rerun", "Replace"))),
            replace(sweep, on_remove=dice.choice(("Cancel", "Drain", "Keep"))),
            replace(sweep, deletion=dice.choice(("Drain", "Cancel", "Orphan"))),
            replace(sweep, parallelism=dice.choice((None, 1, 2, 5))),
            replace(sweep, max_failures=dice.choice((None, 1, "50%"))),
            replace(sweep, retries=dice.choice((0, 1, 5)), uncounted=dice.choice(((), ("Lost",), ("UserError",)))),
            replace(sweep, walltime_s=dice.choice((2, 60, *self.walltimes))),
            replace(sweep, gpus=dice.choice((0, 1, 2))),
            replace(sweep, priority=dice.choice((-1, 0, 5))),
            replace(sweep, sources=dice.choice(((), ("local",), tuple(sorted(self.world.far_sides))))),
            replace(sweep, depends_on=tuple(name for name in NAMES if name < sweep.name and dice.random() < 0.3)),
            replace(sweep, replicates=dice.choice((1, 2, 3))),
        ]
        return dice.choice(choices)

    # -- the server

    def _go_down(self) -> None:
        self._for_a_while("down", self.dice.choice(("Unreachable", "TimedOut", "AuthFailed", "NotFound")), "")

    def _slow(self) -> None:
        self._for_a_while("slow_s", 20.0, 0.0)

    def _for_a_while(self, name: str, value: object, normal: object) -> None:
        setattr(self.server, name, value)
        delay = self.dice.choice((5.0, 60.0, 600.0)) * self.dice.random()
        self.world.loop.kernel.call_later(delay, lambda: setattr(self.server, name, normal))


def _file(sweep: Sweep) -> tuple[str, Sweep]:
    return sweep.text(), sweep
