"""`python -m tests.mutants`: each guard of the protocol is taken out of a copy of the code; something must notice.

Exit code 1 when a mutant survives, 2 when nothing can be said: the tree itself is not green, or has moved on.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutants.catalogue import ALL
from tests.mutants.model import Catcher, Mutant, Simulator, Suite, misfits
from tests.mutants.runner import Outcome, Result, a_copy, hunt, imported_from, run

WHY_CHARACTERS = 100


def main() -> int:
    arguments = parse()
    console = Console(stderr=True, soft_wrap=True)
    chosen = [mutant for mutant in ALL if not arguments.only or mutant.name in arguments.only]
    if arguments.share > 1:
        chosen = [mutant for mutant in chosen if isinstance(mutant.caught_by, Suite)][:: arguments.share]
    if unknown := set(arguments.only) - {mutant.name for mutant in chosen}:
        console.print(f"there is no mutant {', '.join(sorted(unknown))}", markup=False)
        return 2
    if moved := [words for mutant in chosen for words in misfits(mutant)]:
        console.print("\n".join(moved), markup=False)
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="m-") as name, ThreadPoolExecutor(arguments.jobs) as pool:
        folder = Path(name)
        if red := unmutated(chosen, folder, pool.map):
            console.print("the tree itself is not green:\n" + "\n".join(red), markup=False)
            return 2
        results = list(hunted(chosen, folder, pool.map, console))
    show(console, chosen, results)
    figures = figures_of(chosen, results, time.monotonic() - began)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if all(result.caught for result in results) else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--share", type=int, default=1, help="every n-th that tests catch: quicker than the simulator")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


def unmutated(chosen: Sequence[Mutant], folder: Path, mapping: Callable[..., Iterable[Outcome]]) -> list[str]:
    """What fails although nothing was changed; each command once, tests of one file together."""
    with a_copy(folder / "unmutated") as tree:
        origin = imported_from(tree)
        if not origin.is_relative_to(tree):
            return [f"{origin} was imported, and not the copy in {tree}"]
    commands = list(together(mutant.caught_by for mutant in chosen))

    def once(numbered: tuple[int, Catcher]) -> Outcome:
        with a_copy(folder / f"u{numbered[0]}") as tree:
            return run(numbered[1], tree)

    outcomes = mapping(once, enumerate(commands))
    return [
        "\n".join((str(command), *outcome.failures, *outcome.errors, outcome.last_words))
        for command, outcome in zip(commands, outcomes, strict=True)
        if outcome.code != 0
    ]


def together(catchers: Iterable[Catcher]) -> Iterable[Catcher]:
    """The distinct commands; all tests of one file are one."""
    by_file: dict[str, list[str]] = {}
    for catcher in dict.fromkeys(catchers):
        match catcher:
            case Suite(nodes):
                for node in nodes:
                    by_file.setdefault(node.partition("::")[0], []).append(node)
            case Simulator():
                yield catcher
    for nodes in by_file.values():
        yield Suite(tuple(dict.fromkeys(nodes)))


def hunted(
    chosen: Sequence[Mutant], folder: Path, mapping: Callable[..., Iterable[Result]], console: Console
) -> Iterable[Result]:
    """In the order of the catalogue, each told as soon as it is known."""
    for result in mapping(lambda mutant: hunt(mutant, folder / mutant.name), chosen):
        word = "caught" if result.caught else "SURVIVED"
        console.print(f"{word} {result.name} in {result.seconds:.1f} s: {result.why[:WHY_CHARACTERS]}", markup=False)
        yield result


def show(console: Console, chosen: Sequence[Mutant], results: Sequence[Result]) -> None:
    table = Table(title="mutants")
    for title in ("mutant", "what is taken away", "caught by", "seconds"):
        table.add_column(title)
    for mutant, result in zip(chosen, results, strict=True):
        caught = mutant.caught_by.layer if result.caught else "NOBODY"
        table.add_row(mutant.name, mutant.guard, caught, f"{result.seconds:.1f}")
    console.print(table)


def figures_of(chosen: Sequence[Mutant], results: Sequence[Result], seconds: float) -> dict[str, object]:
    caught = [mutant for mutant, result in zip(chosen, results, strict=True) if result.caught]
    layers = Counter(mutant.caught_by.layer for mutant in caught)
    survivors = sorted({mutant.name for mutant in chosen} - {mutant.name for mutant in caught})
    figures: dict[str, object] = {"mutants": len(chosen), "caught": len(caught), "seconds": round(seconds, 1)}
    figures |= {f"caught by {layer}": count for layer, count in sorted(layers.items())}
    return figures | ({"survivors": survivors} if survivors else {})


if __name__ == "__main__":
    sys.exit(main())
