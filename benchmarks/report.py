"""The table: figures beside each other, as ratios, with the machine under it. Markdown for people, JSON for tools."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from benchmarks.rounds import Figure


def markdown(figures: Sequence[Figure], versions: Mapping[str, str], machine: Mapping[str, str], reference: str) -> str:
    """One row per contender, fastest first; `reference` is the contender with the ratio 1."""
    base = next((figure.rate for figure in figures if figure.name == reference), None)
    lines = [
        f"| {figures[0].tasks} tasks of `true`, 2 at a time | tasks/s | range | beside {reference} |",
        "|---|---:|---:|---:|",
    ]
    for figure in sorted(figures, key=lambda figure: -figure.rate):
        ratio = f"{figure.rate / base:.2f}" if base else "-"
        name = f"{figure.name} {versions[figure.name]}"
        lines.append(f"| {name} | {figure.rate:.0f} | {figure.slowest:.0f} to {figure.fastest:.0f} | {ratio} |")
    lines += ["", f"Median of {len(figures[0].seconds)} interleaved rounds. {_words(machine)}."]
    return "\n".join(lines)


def as_json(figures: Sequence[Figure], versions: Mapping[str, str], machine: Mapping[str, str]) -> str:
    """The same figures, with every round."""
    rows = [
        {
            "name": figure.name,
            "version": versions[figure.name],
            "tasks": figure.tasks,
            "seconds": figure.seconds,
            "tasks_per_s": figure.rate,
        }
        for figure in figures
    ]
    return json.dumps({"machine": machine, "dispatch": rows}, indent=2)


def _words(machine: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())
