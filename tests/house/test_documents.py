"""The documents name what there is: each command, each example, each command of make."""

from __future__ import annotations

import importlib
import importlib.util
import re
import tomllib
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent.parent


def verbs(command, path=()):
    """The commands of a group and its groups, "sources enable" and the like; hidden ones are left out."""
    for name, child in sorted(command.commands.items()):
        if child.hidden:
            continue
        if isinstance(child, click.Group):
            yield from verbs(child, (*path, name))
        else:
            yield " ".join((*path, name))


def test_each_command_is_in_the_readme():
    if importlib.util.find_spec("reconciler.cli.__main__") is None:
        return
    cli = importlib.import_module("reconciler.cli.__main__").cli
    readme = (ROOT / "README.md").read_text()

    missing = [verb for verb in verbs(cli) if not re.search(rf"(`|\breconciler ){re.escape(verb)}\b", readme)]
    assert not missing, "\n".join(missing)


def test_each_command_of_make_says_what_it_does():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (.*)", makefile, re.MULTILINE)[0].split()

    assert sorted(re.findall(r"^([a-z]+):.*## \w", makefile, re.MULTILINE)) == sorted(phony)


def test_links_between_documents_lead_somewhere():
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in [*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/**/*.md")]
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)


def test_the_guide_for_contributors_names_each_layer_and_each_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    layers = {part for row in project["tool"]["importlinter"]["contracts"][0]["layers"] for part in row.split(" | ")}
    packages = {re.split(r"[><=~]", line)[0] for line in project["project"]["dependencies"]}

    missing = [layer for layer in sorted(layers) if f"`{layer}`" not in guide]
    missing += [package for package in sorted(packages) if f"| {package} |" not in guide]
    assert not missing, "\n".join(missing)
