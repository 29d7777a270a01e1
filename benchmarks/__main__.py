"""`python -m benchmarks`: measure all contenders that are here, in one run, and print the table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import environment, report
from benchmarks.contender import Contender
from benchmarks.rounds import interleaved

OURS = "benchmarks.ours"
PEERS = ("benchmarks.peers.hyperqueue", "benchmarks.peers.gnu_parallel", "benchmarks.peers.spawn")
REFERENCE = "HyperQueue"


def main() -> int:
    arguments = parse()
    contenders, versions = present()
    with tempfile.TemporaryDirectory(prefix="bench", dir=arguments.folder) as name:
        folder = Path(name)
        if environment.busy():
            say("the machine is busy: absolute figures will be too low, and ratios uncertain")
        machine = {**environment.machine(folder), "date": datetime.now(tz=UTC).date().isoformat()}
        figures = interleaved(
            {name: contender.run for name, contender in contenders.items()},
            tasks=arguments.tasks,
            rounds=arguments.rounds,
            folder=folder,
            say=say,
        )
    if arguments.output == "json":
        print(report.as_json(figures, versions, machine))
    else:
        print(report.markdown(figures, versions, machine, REFERENCE))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Dispatch, beside its peers, in one run.")
    parser.add_argument("--tasks", type=int, default=2000, help="per contender and round")
    parser.add_argument("--rounds", type=int, default=5, help="each contender once a round; the median counts")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where all files go")
    parser.add_argument("-o", "--output", choices=("markdown", "json"), default="markdown")
    return parser.parse_args()


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
