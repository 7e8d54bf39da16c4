"""`specbench probe`: which settings of an engine's methods have an effect."""

from pathlib import Path

import typer

from specbench.cli import options as o


def probe(
    *,
    model: o.OneTarget = None,
    draft_model: o.DraftModel = None,
    engine: o.OneEngine = None,
    engine_path: o.EnginePath = None,
    engine_set: o.EngineSetting = None,
    engines: o.EnginesFolder = None,
    methods: o.Methods = None,
    results: o.Results = Path("results"),
    json: o.Json = False,
) -> None:
    """Try every setting of an engine's methods at two values, and show which of them it ignores."""
    from specbench import pipeline, probing  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import console, flags, lists  # noqa: PLC0415

    asked = flags.runfile(
        None,
        model=model,
        draft_model=draft_model,
        engine=engine,
        engine_path=engine_path,
        engine_settings=flags.settings(engine_set),
        methods=flags.names(methods),
    )
    plan = probing.plan(asked, engines=engines)
    with console.Progress(plan) as progress:
        outcome, effects, builds = probing.probe(plan, results=results, observe=progress.observe)
    console.show_warnings([outcome])
    rows = [
        {
            "target": e.target,
            "method": e.method,
            "setting": e.setting,
            "values": " / ".join(e.values),
            "verdict": e.verdict,
            "prompts with other drafts": f"{e.differing} of {e.prompts}",
            "reason": e.reason,
        }
        for e in sorted(effects, key=lambda e: (e.target, e.method))
    ]
    lists.show_rows(f"{asked.engine_name} {', '.join(builds)}: does a setting act?", rows, json=json)
    measured, comparison = pipeline.read(outcome.path)
    console.show_outcome(outcome, measured)
    raise typer.Exit(pipeline.exit_status(outcome, measured, comparison, strict=False))
