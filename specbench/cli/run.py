"""`specbench run`: plan, measure, record, show."""

import sys
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
    fleet: o.Fleet = None,
    fleet_file: o.FleetFile = None,
    on: o.FleetOn = None,
    strict: o.Strict = False,
    json: o.Json = False,
) -> None:
    """Measure speculative decoding per task category.

    Without arguments: the embedded micro model family, all its methods, all categories.
    """
    from specbench import pipeline, store  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import console, flags  # noqa: PLC0415
    from specbench.errors import InputError  # noqa: PLC0415
    from specbench.structs import replace  # noqa: PLC0415

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
    if fleet is None and (fleet_file is not None or on is not None):
        raise InputError("--fleet-file and --on are for fleets", hint="add --fleet ADDRESS")
    path = None if resume is None else flags.run_folder(resume, results=results)
    if path is None:
        plan = pipeline.plan_run(flags.runfile(runfile, **asked, budget=flags.seconds(budget)), engines=engines)
        plan = replace(plan, command=flags.shown_words(sys.argv[1:]))
        extent = pipeline.extent_of(plan, results=results, estimated=dry_run)
        if dry_run:
            console.show_plan(plan, extent)
        else:
            console.agree(extent, yes=yes or plan.budget is not None)
    else:
        flags.refuse_with_resume(runfile, dry_run=dry_run, **asked)
        plan = store.read(path).plan
    if fleet is not None:
        from specbench.cli import fleet as fleets  # noqa: PLC0415  as above

        outcomes = fleets.run(
            fleet, plan, path, results=results, file=fleet_file, on=on, hostname=hostname, dry_run=dry_run,
            budget=plan.budget if path is None else flags.seconds(budget),
        )  # fmt: skip
    elif not dry_run:
        with console.Progress(plan) as progress:
            if path is None:
                outcomes = [pipeline.start(plan, results=results, observe=progress.observe, hostname=hostname)]
            else:
                outcomes = [pipeline.resume(path, observe=progress.observe, budget=flags.seconds(budget))]
    if not dry_run:
        again = "specbench run" if fleet is None else f"specbench run --fleet {fleet}"
        raise typer.Exit(console.conclude(outcomes, json=json, strict=strict, again=again))
