"""`python -m benchmarks`: measure, and print a table; `--only` chooses what."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

from benchmarks import environment, report
from benchmarks.contender import Contender
from benchmarks.figures import Measured
from benchmarks.rounds import Figure, interleaved

OURS = "benchmarks.ours"
PEERS = ("benchmarks.peers.hyperqueue", "benchmarks.peers.gnu_parallel", "benchmarks.peers.spawn")
REFERENCE = "HyperQueue"

DISPATCH = "dispatch"
MODULES = (
    "latency",
    "expansion",
    "acceptance",
    "passes",
    "restart",
    "idle",
    "ssh",
    "slurm",
    "jobs",
)  # each beside a goal, not beside a peer
GROUPS = {"scale": ("expansion", "acceptance", "passes", "restart")}
ROUNDS = {
    DISPATCH: 5,
    "expansion": 5,
    "acceptance": 3,
    "restart": 3,
    "idle": 3,
    "ssh": 5,
    "slurm": 3,
}  # of the others: 1, it has many values


class Module(Protocol):
    """What measures one thing beside its goal, in an empty folder; `quick` with small sizes, to see that it works."""

    def measure(self, folder: Path, *, rounds: int, quick: bool, say: Callable[[str], None]) -> Sequence[Measured]: ...


def main() -> int:
    arguments = parse()
    names = chosen(arguments.only)
    with tempfile.TemporaryDirectory(prefix="bench", dir=arguments.folder, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if environment.busy():
            say("the machine is busy: absolute figures will be too low, and ratios uncertain")
        machine = {**environment.machine(folder), "date": datetime.now(tz=UTC).date().isoformat()}
        figures, versions = dispatch(arguments, folder) if DISPATCH in names else ((), {})
        measured = {name: run(name, arguments, folder) for name in names if name != DISPATCH}
        machine["load after"] = environment.load()
    if arguments.output == "json":
        print(report.as_json(figures, versions, machine, measured))
    else:
        print(report.markdown(figures, versions, machine, REFERENCE, measured))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the reconciler on this machine.")
    known = ", ".join((DISPATCH, *MODULES, *GROUPS))
    parser.add_argument("--only", default=DISPATCH, help=f"what to measure, with commas between: {known}, all")
    parser.add_argument("--tasks", type=int, default=2000, help="of dispatch, per contender and round")
    parser.add_argument("--rounds", type=int, help="the median of them counts")
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works, not to measure")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where all files go")
    parser.add_argument("-o", "--output", choices=("markdown", "json"), default="markdown")
    return parser.parse_args()


def chosen(only: str) -> list[str]:
    """The benchmarks that are meant, in the order of this page. Leaves with a message for an unknown name."""
    wanted: set[str] = set()
    for name in only.split(","):
        wanted.update((DISPATCH, *MODULES) if name == "all" else GROUPS.get(name, (name,)))
    unknown = wanted - {DISPATCH, *MODULES}
    if unknown:
        sys.exit(f"there is no benchmark {', '.join(sorted(unknown))}")
    return [name for name in (DISPATCH, *MODULES) if name in wanted]


def run(name: str, arguments: argparse.Namespace, folder: Path) -> Sequence[Measured]:
    """One of MODULES, in a folder of its own."""
    say(f"{name}:")
    module = cast(Module, importlib.import_module(f"benchmarks.{name}"))
    own = folder / name
    own.mkdir()
    rounds = arguments.rounds or ROUNDS.get(name, 1)
    return module.measure(own, rounds=rounds, quick=arguments.quick, say=say)


def dispatch(arguments: argparse.Namespace, folder: Path) -> tuple[Sequence[Figure], Mapping[str, str]]:
    """All contenders that are here, in turns."""
    contenders, versions = present()
    figures = interleaved(
        {name: contender.run for name, contender in contenders.items()},
        tasks=200 if arguments.quick else arguments.tasks,
        rounds=arguments.rounds or ROUNDS[DISPATCH],
        folder=folder,
        say=say,
    )
    return figures, versions


def present() -> tuple[Mapping[str, Contender], Mapping[str, str]]:
    """The contenders that are installed here, and their versions, by name; says which are missing."""
    contenders, versions = {}, {}
    for module in (OURS, *PEERS):
        contender = Contender(module)
        try:
            loaded = contender.load()
            versions[loaded.NAME] = loaded.version()
            contenders[loaded.NAME] = contender
        except (ImportError, OSError) as error:
            say(f"not measured: {module}: {error}")
    return contenders, versions


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
