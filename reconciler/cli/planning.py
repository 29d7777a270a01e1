"""`plan`: what a commit would do, before it does. 0 nothing, 2 changes, 1 error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.text import Text

from reconciler.cli.app import App, pass_app
from reconciler.cli.failures import error_json, parts, tell
from reconciler.cli.findings import Finding, Level, finding_json, show
from reconciler.cli.output import Cells, output_option, print_json, print_table, printable
from reconciler.core.model import Json

if TYPE_CHECKING:
    from reconciler.controller.planning import Plan, SweepPlan

CHANGES = 2
SIGNS = {"create": "+", "update": "~", "delete": "-", "invalid": "!", "unchanged": " "}
STYLES = {"create": "green", "update": "yellow", "delete": "bold red", "invalid": "bold red", "unchanged": "dim"}


@click.command()
@click.option(
    "--working-tree", is_flag=True, help="Plan the files as they are now in the checkout, not the last commit."
)
@click.option("--check", is_flag=True, help="Ask the schedulers whether they would take what it would submit.")
@output_option
@pass_app
def plan(app: App, working_tree: bool, check: bool, output: str) -> int:
    """Show what the newest commit would change; 2 if anything."""
    import asyncio

    from reconciler.controller import planning

    planned = asyncio.run(planning.plan(app.config, working_tree=working_tree, clock=app.clock))
    checked = _checked(app, planned) if check else None
    if output == "json":
        asked: dict[str, Json] = {} if checked is None else {"checks": [finding_json(each) for each in checked]}
        print_json({**_json(planned), **asked})
    else:
        _print(planned)
        show(checked or ())
        if checked == []:
            click.echo("no scheduler was asked: none of these sweeps can go to one")
    if planned.errors or any(each.level is Level.FAIL for each in checked or ()):
        return 1
    return CHANGES if planned.changes or planned.blocked else 0


def _checked(app: App, planned: Plan) -> list[Finding]:
    import asyncio

    from reconciler.cli.trials import try_out

    return asyncio.run(try_out(app.config, [manifest.loaded for manifest in planned.manifests]))


def _print(planned: Plan) -> None:
    for error in planned.errors:
        tell(error)
    where = f"revision {planned.revision[:12]}" if planned.revision else "the working tree"
    if planned.sweeps:
        print_table(("", "SWEEP", "TASKS", "WHY", "SPEC"), map(_row, planned.sweeps))
        click.echo()
    click.echo(f"{where}: {_summary(planned)}")
    if planned.blocked:
        click.echo(f"blocked: {printable(planned.blocked)}")
        if planned.plan_id:
            click.echo(f"hint: if this is what you want: `reconciler approve {planned.plan_id}`")


def _row(sweep: SweepPlan) -> Cells:
    counts = ", ".join(f"{verb} {count}" for verb, count in sweep.counts.items() if count)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sweep.reasons.items() if count)
    return (
        Text(SIGNS[sweep.action], style=STYLES[sweep.action]),
        Text(printable(sweep.name), style=STYLES[sweep.action]),
        counts or sweep.action,
        printable(reasons),
        printable(", ".join(sweep.spec_changes)),
    )


def _summary(planned: Plan) -> str:
    actions = [sweep.action for sweep in planned.sweeps]
    told = [
        f"{actions.count(action)} to {action}" for action in ("create", "update", "delete") if action in actions
    ]  # fmt: skip
    told += [f"{actions.count('invalid')} invalid"] if "invalid" in actions else []
    return ", ".join(told) or ("nothing else to do" if planned.blocked else "nothing to do")


def _json(planned: Plan) -> dict[str, Json]:
    return {
        "revision": planned.revision,
        "planId": planned.plan_id,
        "blocked": planned.blocked,
        "changes": planned.changes,
        "sweeps": [
            {
                "name": sweep.name,
                "path": sweep.path,
                "action": sweep.action,
                "counts": {str(verb): count for verb, count in sweep.counts.items()},
                "reasons": dict(sweep.reasons),
                "specChanges": list(sweep.spec_changes),
            }
            for sweep in planned.sweeps
        ],
        "errors": [error_json(part) for error in planned.errors for part in parts(error)],
    }
