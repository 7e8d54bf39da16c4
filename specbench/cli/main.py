"""The Typer app: each command is declared here by its module and imports its work when it is called."""

from typing import Annotated

import typer

import specbench
from specbench.cli import (
    baseline,
    ci,
    compare,
    exchange,
    hardware,
    inspect,
    predict,
    probe,
    report,
    run,
    runs,
    shelves,
    tune,
)

app = typer.Typer(
    name="specbench",
    help="Which speculative-decoding method is fastest for your kind of work, on your machine, with your model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(show: bool) -> None:  # noqa: FBT001  Typer calls it with the flag's value
    if show:
        typer.echo(f"specbench {specbench.__version__}")
        raise typer.Exit


@app.callback()
def main(
    *,
    _: Annotated[bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """Which speculative-decoding method is fastest for your kind of work, on your machine, with your model."""


app.command("run")(run.run)
app.command("inspect")(inspect.inspect)
app.command("tune")(tune.tune)
app.command("probe")(probe.probe)
app.command("compare")(compare.compare)
app.command("predict")(predict.predict)
app.command("report")(report.report)
app.command("import")(exchange.import_)
app.command("export")(exchange.export)
app.command("engines")(shelves.engines)
app.command("methods")(shelves.methods)
app.command("doctor")(shelves.doctor)
app.add_typer(shelves.suites, name="suites")
app.add_typer(runs.runs, name="runs")
app.add_typer(baseline.baseline, name="baseline")
app.add_typer(ci.ci, name="ci")
app.add_typer(hardware.hardware, name="hardware")
