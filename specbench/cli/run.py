"""`specbench run`: plan, measure, record, show."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from specbench.cli import options as o


def run(
    runfile: o.RunFilePath = None,
    *,
    model: o.Model = None,
    draft_model: o.DraftModel = None,
    discover: o.Discover = None,
    engine: o.Engine = None,
    engine_path: o.EnginePath = None,
    url: o.Url = None,
    engine_set: o.EngineSetting = None,
    engine_arg: o.EngineArg = None,
    trust_remote_code: o.TrustRemoteCode = None,
    engines: o.EnginesFolder = None,
    methods: o.Methods = None,
    set_: o.MethodSetting = None,
    sweep: o.Sweep = None,
    suite: o.SuiteName = None,
    categories: o.Categories = None,
    tags: o.Tags = None,
    prompts: o.Prompts = None,
    fill: o.Fill = None,
    temperature: o.Temperatures = None,
    output_tokens: o.OutputTokens = None,
    natural_stop: o.NaturalStop = None,
    repeats: o.Repeats = None,
    seed: o.Seed = None,
    thinking: o.Thinking = None,
    steps: o.Steps = None,
    stream: o.Stream = None,
    telemetry: o.Telemetry = None,
    budget: o.Budget = None,
    until: o.Until = None,
    yes: o.Yes = False,
    dry_run: o.DryRun = False,
    name: o.Name = None,
    results: o.Results = Path("results"),
    resume: o.Resume = None,
    hostname: o.Hostname = False,
    strict: o.Strict = False,
    json: o.Json = False,
) -> None:
    """Measure speculative decoding per task category.

    Without arguments: the embedded micro model family, all its methods, all categories.
    """
    from specbench import pipeline, store  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import console, flags  # noqa: PLC0415
    from specbench.errors import SpecbenchError  # noqa: PLC0415

    asked: dict[str, Any] = {
        "model": model,
        "draft_model": draft_model,
        "discover": discover,
        "engine": engine,
        "engine_path": engine_path,
        "url": url,
        "engine_settings": flags.settings(engine_set),
        "engine_args": engine_arg,
        "trust_remote_code": trust_remote_code,
        "methods": flags.names(methods),
        "method_settings": flags.method_settings(set_),
        "sweep": sweep,
        "suite": suite,
        "categories": flags.names(categories),
        "tags": flags.names(tags),
        "prompts_per_category": prompts,
        "fill": flags.token_counts(fill),
        "temperatures": flags.numbers(temperature),
        "output_tokens": output_tokens,
        "ignore_eos": None if natural_stop is None else not natural_stop,
        "repeats": repeats,
        "seed": seed,
        "thinking": thinking,
        "record_steps": steps,
        "stream": stream,
        "telemetry": telemetry,
        "until": until,
        "name": name,
    }
    if resume is None:
        plan = pipeline.plan_run(flags.runfile(runfile, **asked, budget=flags.seconds(budget)), engines=engines)
        plan = replace(plan, command=flags.shown_words(sys.argv[1:]))
        extent = pipeline.extent_of(plan, results=results, estimated=dry_run)
        if dry_run:
            console.show_plan(plan, extent)
            return
        console.agree(extent, yes=yes or plan.budget is not None)
        with console.Progress(plan) as progress:
            outcome = pipeline.start(plan, results=results, observe=progress.observe, hostname=hostname)
    else:
        path = flags.run_folder(resume, results=results)
        flags.refuse_with_resume(runfile, dry_run=dry_run, **asked)
        with console.Progress(store.read(path).plan) as progress:
            outcome = pipeline.resume(path, observe=progress.observe, budget=flags.seconds(budget))
    measured, comparison = pipeline.read(outcome.path)
    if comparison.measured:
        with flags.reader_may_leave():
            console.show_comparison(measured, comparison, format_="json" if json else "text")
        try:
            pipeline.write_page(measured, comparison, outcome.path / "report.html")
        except SpecbenchError as error:  # the records are there; `specbench report` can make it elsewhere
            print(f"warning: {error.message}", file=sys.stderr)
    console.show_outcome(outcome, measured)
    raise typer.Exit(pipeline.exit_status(outcome, measured, comparison, strict=strict))
