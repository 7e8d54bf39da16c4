"""`specbench report`: a run from disk as text, Markdown, CSV, JSON, HTML or pictures."""

from pathlib import Path

from specbench.cli import options as o


def report(
    run: o.RunPath = None,
    *,
    results: o.Results = Path("results"),
    format_: o.Format = "text",
    output: o.Output = None,
    html: o.Html = None,
    charts: o.Charts = None,
    with_imported: o.WithImported = False,
    with_published: o.WithPublished = False,
) -> None:
    """Show a finished (or interrupted) run again."""
    from specbench import exchange, pipeline, prediction  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import console, flags  # noqa: PLC0415

    measured, comparison = pipeline.read(flags.run_folder(run, results=results))
    others = exchange.beside(comparison, results=results) if with_imported else []
    if with_published:
        others.append(prediction.published_beside(measured.machine, comparison))
    if html is not None:
        pipeline.write_page(measured, comparison, html, others=others)
    if charts is not None:
        pipeline.write_charts(measured, comparison, charts)
    if output is not None or (html is None and charts is None):
        console.show_comparison(measured, comparison, format_=format_, output=output, others=others)
