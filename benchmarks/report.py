"""The tables: contenders beside each other as ratios, figures beside their goals, and the machine under them.

Markdown for people, JSON for tools.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from benchmarks.figures import Measured
from benchmarks.rounds import Figure


def markdown(
    figures: Sequence[Figure],
    versions: Mapping[str, str],
    machine: Mapping[str, str],
    reference: str,
    measured: Mapping[str, Sequence[Measured]],
) -> str:
    """`reference` is the contender with the ratio 1; `measured` is by benchmark."""
    lines: list[str] = []
    if figures:
        lines += [*_contenders(figures, versions, reference), ""]
    if measured:
        lines += [*_goals(measured), ""]
    return "\n".join([*lines, f"{_words(machine)}."])


def _contenders(figures: Sequence[Figure], versions: Mapping[str, str], reference: str) -> list[str]:
    """One row per contender, fastest first."""
    base = next((figure.rate for figure in figures if figure.name == reference), None)
    lines = [
        f"| {figures[0].tasks} tasks of `true`, 2 at a time | tasks/s | range | beside {reference} |",
        "|---|---:|---:|---:|",
    ]
    for figure in sorted(figures, key=lambda figure: -figure.rate):
        ratio = f"{figure.rate / base:.2f}" if base else "-"
        name = f"{figure.name} {versions[figure.name]}"
        lines.append(f"| {name} | {figure.rate:.0f} | {figure.slowest:.0f} to {figure.fastest:.0f} | {ratio} |")
    return [*lines, "", f"Median of {len(figures[0].seconds)} interleaved rounds."]


def _goals(measured: Mapping[str, Sequence[Measured]]) -> list[str]:
    """One row per quantity, in the order of measuring."""
    lines = ["| what | median | range | p90 | goal | |", "|---|---:|---:|---:|---:|---|"]
    for each in (figure for several in measured.values() for figure in several):
        sign = "≥" if each.more_is_better else "≤"
        goal = "" if each.goal is None else f"{sign} {_number(each.goal)}"
        verdict = {True: "met", False: "**missed**", None: ""}[each.met]
        what = f"{each.what} ({each.note})" if each.note else each.what
        spread = f"{_number(min(each.values))} to {_number(max(each.values))}" if len(each.values) > 1 else "once"
        p90 = _number(each.p90) if len(each.values) >= 10 else ""
        lines.append(f"| {what} | {_number(each.median)} {each.unit} | {spread} | {p90} | {goal} | {verdict} |")
    return lines


def _number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_json(
    figures: Sequence[Figure],
    versions: Mapping[str, str],
    machine: Mapping[str, str],
    measured: Mapping[str, Sequence[Measured]],
) -> str:
    """The same figures, with every value."""
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
    goals = {name: [_quantity(each) for each in several] for name, several in measured.items()}
    return json.dumps({"machine": machine, "dispatch": rows, "goals": goals}, indent=2)


def _quantity(each: Measured) -> Mapping[str, object]:
    return {
        "what": each.what,
        "unit": each.unit,
        "median": each.median,
        "p90": each.p90,
        "goal": each.goal,
        "more_is_better": each.more_is_better,
        "met": each.met,
        "values": each.values,
        "note": each.note,
    }


def _words(machine: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())
