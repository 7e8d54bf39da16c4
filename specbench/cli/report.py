"""`specbench report`: a run from disk as text, Markdown, CSV or JSON."""

from pathlib import Path

from specbench.cli import options as o


def report(
    run: o.RunPath = None,
    *,
    results: o.Results = Path("results"),
    format_: o.Format = "text",
    output: o.Output = None,
) -> None:
    """Show a finished (or interrupted) run again."""
    from specbench import pipeline  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import console, flags  # noqa: PLC0415

    measured, comparison = pipeline.read(flags.run_folder(run, results=results))
    console.show_comparison(measured, comparison, format_=format_, output=output)
