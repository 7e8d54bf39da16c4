"""`specbench runs`: what is in the results folder, how figures went over time, and the upkeep of it."""

from pathlib import Path
from typing import Annotated

import typer

from specbench import remote
from specbench.cli import options as o
from specbench.cli.lists import show_rows
from specbench.units import printable

runs = typer.Typer(help="List and show runs, and figures over runs.", no_args_is_help=True, rich_markup_mode=None)


@runs.command("list")
def list_(
    *,
    last: Annotated[int, typer.Option("--last", min=1, help="So many of the newest; --json has all.")] = 50,
    results: o.Results = Path("results"),
    json: o.Json = False,
) -> None:
    """List the newest runs, oldest first."""
    rows = remote.rows(results)
    show_rows(
        f"{min(last, len(rows))} of {len(rows)} runs in {remote.shown(results)}",
        rows if json else rows[-last:],
        json=json,
    )


@runs.command("show")
def show(run: o.RunPath = None, *, results: o.Results = Path("results"), json: o.Json = False) -> None:
    """Show what a run was: its contenders and what started them."""
    from specbench import store  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import flags  # noqa: PLC0415

    plan = store.read(flags.run_folder(run, results=results)).plan
    rows = [{"contender": c.name, "engine": c.engine, "command": " ".join(c.argv) or c.url} for c in plan.contenders]
    show_rows(f"{plan.name}: specbench {' '.join(plan.command)}", rows, json=json)


@runs.command("trend")
def trend(
    *,
    measure: Annotated[str, typer.Option("--measure", help="As for compare --fail-on.")] = "decode_speed",
    contender: Annotated[str | None, typer.Option("--contender", metavar="NAME", help="Only this one.")] = None,
    category: Annotated[str | None, typer.Option("--category", metavar="NAME", help="Only this one.")] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="So many of the newest runs.")] = 100,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw it, too.")] = None,
    results: o.Results = Path("results"),
    json: o.Json = False,
) -> None:
    """Show a figure over the runs that can be compared with the newest, and where its level changed."""
    from specbench import history, pipeline, store  # noqa: PLC0415  --help must not wait for it
    from specbench.analysis.sides import MEASURES  # noqa: PLC0415
    from specbench.errors import InputError  # noqa: PLC0415
    from specbench.report import trend as report  # noqa: PLC0415

    if measure not in MEASURES:
        raise InputError(f"there is no measure {measure!r}", hint=f"known: {', '.join(MEASURES)}")
    store.latest(results)
    found = history.trends(results, measure=measure, last=last, contender=contender, category=category)
    show_rows(f"{measure} ({MEASURES[measure].unit})", report.rows(found), json=json)
    if png is not None:
        pipeline.write(png, report.picture(found, measure=measure, unit=MEASURES[measure].unit))


@runs.command("merge")
def merge(names: o.NamedRuns, *, to: o.To = None, results: o.Results = Path("results")) -> None:
    """Make one run of parts of a plan: one for each machine; the parts stay where they are."""
    from specbench import upkeep  # noqa: PLC0415  --help must not wait for it

    merged, warnings = upkeep.merge(names, results=results, to=to or results / "merged")
    for warning in warnings:
        typer.echo(printable(f"warning: {warning}"), err=True)
    for path in merged:
        typer.echo(printable(remote.shown(path)))


@runs.command("verify")
def verify(names: o.AnyRuns = None, *, results: o.Results = Path("results"), json: o.Json = False) -> None:
    """Check schema, lines, trials and counts of runs; exit status 1 when something is wrong."""
    from specbench import history, upkeep  # noqa: PLC0415  --help must not wait for it

    found = {path: upkeep.faults(path) for path in history.find(names or [results], results=results)}
    rows = [
        {"run": path.name, "fault": fault}
        for path, faults in found.items()
        for fault in (*faults, *([] if faults else [None]))
    ]
    show_rows(f"{sum(map(bool, found.values()))} of {len(found)} runs have faults", rows, json=json)
    raise typer.Exit(int(any(found.values())))


@runs.command("prune")
def prune(
    *,
    older: Annotated[float, typer.Option("--older", metavar="DAYS", help="Days without a change.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete them; without it they are only shown.")] = False,
    results: o.Results = Path("results"),
    json: o.Json = False,
) -> None:
    """Show the runs that are older than so many days, and with --yes delete them; baselines stay."""
    from specbench import upkeep  # noqa: PLC0415  --help must not wait for it

    rows = upkeep.prune(results, days=older, yes=yes)
    show_rows("Deleted" if yes else "Would be deleted, with --yes", rows, json=json)
