"""`specbench report`: runs from disk as text, Markdown, CSV, JSON, HTML or pictures; and what machines would cost."""

from pathlib import Path

from specbench.cli import options as o


def report(
    runs: o.SeveralRuns = None,
    *,
    results: o.Results = Path("results"),
    format_: o.Format = "text",
    output: o.Output = None,
    html: o.Html = None,
    charts: o.Charts = None,
    with_imported: o.WithImported = False,
    with_published: o.WithPublished = False,
    buy: o.Buy = False,
    model: o.BoughtModel = None,
    budget: o.Dollars = None,
    mix: o.Mix = None,
    context: o.Context = "32k",
    prices: o.Prices = None,
    tau_from: o.TauFrom = None,
    like: o.Like = None,
    json: o.Json = False,
) -> None:
    """Show a run again, or machines: several runs side by side, --like a published table, --buy by price."""
    from specbench import exchange, pipeline, prediction  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import console, flags  # noqa: PLC0415
    from specbench.cli.buying import show, show_several  # noqa: PLC0415
    from specbench.errors import InputError  # noqa: PLC0415

    shown = "json" if json else format_
    several = like is not None or len(runs or ()) > 1
    if (with_imported or with_published) and (buy or several):
        raise InputError(
            "--with-imported and --with-published are for one run", hint="give one RUN, without --buy and --like"
        )
    if buy:
        folders = [flags.run_folder(run, results=results) for run in runs or ()]
        tau = None if tau_from is None else flags.run_folder(tau_from, results=results)
        show(
            model, folders, budget=budget, mix=flags.shares(mix), context=flags.tokens(context), prices=prices,
            tau_from=tau, html=html, charts=charts, format_=shown, output=output,
        )  # fmt: skip
        return
    if model or budget is not None or prices or tau_from or mix:
        raise InputError("--model, --budget, --mix, --prices and --tau-from belong to --buy", hint="add --buy")
    if several:
        if charts is not None:
            raise InputError("this report has no charts", hint="--html FILE, or the charts of one RUN")
        folders = [flags.run_folder(run, results=results) for run in runs or (None,)]
        show_several(like, folders, format_=shown, html=html, output=output)
        return
    measured, comparison = pipeline.read(flags.run_folder(runs[0] if runs else None, results=results))
    others = exchange.beside(comparison, results=results) if with_imported else []
    if with_published:
        others.append(prediction.published_beside(measured.machine, comparison))
    if html is not None:
        pipeline.write_page(measured, comparison, html, others=others)
    if charts is not None:
        pipeline.write_charts(measured, comparison, charts)
    if output is not None or (html is None and charts is None):
        console.show_comparison(measured, comparison, format_=shown, output=output, others=others)
