"""`specbench baseline`: the runs that later ones are compared with, for each machine."""

from pathlib import Path
from typing import Annotated

import typer

from specbench.cli import options as o
from specbench.cli.lists import show_rows
from specbench.remote import shown

baseline = typer.Typer(
    help="Set, show and clear the baseline of this machine.", no_args_is_help=True, rich_markup_mode=None
)


@baseline.command("set")
def set_(runs: o.NamedRuns, *, results: o.Results = Path("results")) -> None:
    """Make runs the baseline of the machine that they were measured on; five tell its noise."""
    from specbench import history  # noqa: PLC0415  --help must not wait for it

    typer.echo(f"baseline of machine {history.set_baseline(runs, results=results)} is set")


@baseline.command("show")
def show(*, results: o.Results = Path("results"), json: o.Json = False) -> None:
    """Show the baselines of all machines."""
    from specbench import history  # noqa: PLC0415  --help must not wait for it

    rows = [
        {"fingerprint": mark, "machine": entry.get("machine"), "runs": ", ".join(map(str, entry["runs"]))}
        for mark, entry in history.baselines(results).items()
    ]
    show_rows(f"Baselines in {shown(results)}", rows, json=json)


@baseline.command("clear")
def clear(
    *,
    everywhere: Annotated[bool, typer.Option("--all", help="The baselines of all machines.")] = False,
    results: o.Results = Path("results"),
) -> None:
    """Forget the baseline of this machine; its runs stay."""
    from specbench import history  # noqa: PLC0415  --help must not wait for it

    gone = history.clear_baseline(results, everywhere=everywhere)
    typer.echo(f"forgotten: {', '.join(gone)}" if gone else "there was no baseline")
