"""`specbench runs`: what is in the results folder."""

from pathlib import Path

from specbench.cli import options as o


def runs(*, results: o.Results = Path("results"), json: o.Json = False) -> None:
    """List the runs, oldest first."""
    from specbench import listings  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import console  # noqa: PLC0415

    console.show_rows(f"Runs in {results}", listings.run_rows(results), json=json)
