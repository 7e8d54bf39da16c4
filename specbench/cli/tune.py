"""`specbench tune`: the best method and draft length for each category."""

from pathlib import Path

import typer

from specbench.cli import options as o


def tune(
    runfile: o.RunFilePath = None,
    *,
    model: o.OneTarget = None,
    draft_model: o.DraftModel = None,
    engine: o.OneEngine = None,
    engine_path: o.EnginePath = None,
    engine_set: o.EngineSetting = None,
    engine_arg: o.EngineArg = None,
    engines: o.EnginesFolder = None,
    methods: o.Methods = None,
    set_: o.MethodSetting = None,
    sweep: o.Sweep = None,
    suite: o.SuiteName = None,
    categories: o.Categories = None,
    tags: o.Tags = None,
    prompts: o.Prompts = None,
    temperature: o.OneTemperature = None,
    output_tokens: o.OutputTokens = None,
    seed: o.Seed = None,
    thinking: o.Thinking = None,
    mix: o.Mix = None,
    budget: o.Budget = None,
    dry_run: o.DryRun = False,
    resume: o.Resume = None,
    name: o.Name = None,
    results: o.Results = Path("results"),
    json: o.Json = False,
) -> None:
    """Find the fastest method and draft length for each category, without measuring them all."""
    from specbench import pipeline, tuning  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import console, flags  # noqa: PLC0415
    from specbench.planning import tuning as planning  # noqa: PLC0415

    asked = flags.runfile(
        runfile,
        model=model,
        draft_model=draft_model,
        sweep=sweep,
        engine=engine,
        engine_path=engine_path,
        engine_settings=flags.settings(engine_set),
        engine_args=engine_arg,
        methods=flags.names(methods),
        method_settings=flags.method_settings(set_),
        suite=suite,
        categories=flags.names(categories),
        tags=flags.names(tags),
        prompts_per_category=prompts,
        output_tokens=output_tokens,
        seed=seed,
        thinking=thinking,
        budget=flags.seconds(budget),
        name=name or "tune",
    )
    grid = tuning.grid(asked, engines=engines, temperature=temperature)
    if dry_run:
        planning.shares(flags.shares(mix), list(dict.fromkeys(t.category for b in grid.blocks for t in b.trials)))
        console.show_plan(grid, pipeline.extent_of(grid, results=results, estimated=False))
        return
    outcome, tuned = tuning.tune(
        grid,
        results=results,
        progress=console.Progress,
        mix=flags.shares(mix),
        engines=engines,
        resume=flags.run_folder(resume, results=results) if resume else None,
    )
    console.show_warnings([outcome])
    console.show_tuned(tuned, json=json)
    measured, comparison = pipeline.read(outcome.path)
    console.show_outcome(outcome, measured, again="the same specbench tune")
    raise typer.Exit(pipeline.exit_status(outcome, measured, comparison, strict=False))
