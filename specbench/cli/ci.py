"""`specbench ci init`: a nightly job that measures a pinned plan and compares it with the baseline."""

from pathlib import Path

import typer

from specbench.cli import options as o

ci = typer.Typer(help="Nightly measurements.", no_args_is_help=True, rich_markup_mode=None)


@ci.callback()
def _group() -> None:
    """Nightly measurements."""


@ci.command("init")
def init(runfile: o.PlannedFile = None) -> None:
    """Write a script for sh or cron, a GitHub Actions workflow that calls it, and its plan, below this folder."""
    from specbench import datafiles, pipeline  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import flags  # noqa: PLC0415
    from specbench.errors import InputError  # noqa: PLC0415

    flags.runfile(runfile, model=None, draft_model=None)
    files = {
        Path("ci/specbench-nightly.toml"): runfile or datafiles.path("micro/run.toml"),
        Path("ci/specbench-nightly.sh"): datafiles.path("ci/nightly.sh"),
        Path(".github/workflows/specbench.yml"): datafiles.path("ci/github.yml"),
    }
    if there := [path for path in files if path.exists()]:
        raise InputError(f"{there[0]} is there already", hint="remove it first, or edit it")
    for path, source in files.items():
        pipeline.write(path, source.read_bytes())
        typer.echo(f"written: {path}")
