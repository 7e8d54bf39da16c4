"""`specbench predict`: what other hardware would do with a model, from published measurements and a run's own."""

import json as json_text
import sys
from dataclasses import asdict
from pathlib import Path

from specbench.cli import options as o


def predict(
    run: o.RunPath = None,
    *,
    model: o.PredictedModel = None,
    on: o.On = None,
    curve: o.Curve = None,
    context: o.Context = "4096",
    backtest: o.Backtest = False,
    results: o.Results = Path("results"),
    json: o.Json = False,
) -> None:
    """Predict speeds on other hardware, each with its interval: of a run's targets, or of --model."""
    from specbench import pipeline, prediction  # noqa: PLC0415  --help must not wait for it
    from specbench.analysis import prediction as analysis  # noqa: PLC0415
    from specbench.cli import flags, sections  # noqa: PLC0415
    from specbench.report.predicted import backtest_section, predicted_section  # noqa: PLC0415

    tokens = flags.tokens(context)
    if backtest:
        rows, broken = prediction.published()
        tests = analysis.backtest(rows)
        shown, record = [backtest_section(tests, broken)], [asdict(test) for test in tests]
    else:
        comparison, models = None, {} if model is None else {Path(model).name.removesuffix(".gguf"): model}
        if model is None:
            measured, comparison = pipeline.read(flags.run_folder(run, results=results))
            models = prediction.targets(measured)
        if curve and comparison is not None:
            found = prediction.by_curve(curve, comparison)
        else:
            found, left_out = prediction.predict(models, comparison, on=flags.names(on), context=tokens)
            for line in left_out:
                print(f"warning: {line}", file=sys.stderr)
        shown, record = [predicted_section(one) for one in found], [asdict(one) for one in found]
    if json:
        print(json_text.dumps(record, indent=1))
    else:
        sections.show(shown)
