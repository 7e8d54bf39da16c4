"""`specbench predict`: what other hardware would do with a model, from published measurements and a run's own."""

import json as json_text
from dataclasses import asdict
from pathlib import Path

from specbench.cli import options as o


def predict(
    run: o.RunPath = None,
    *,
    model: o.PredictedModel = None,
    on: o.On = None,
    curve: o.Curve = None,
    context: o.Context = 4096,
    backtest: o.Backtest = False,
    results: o.Results = Path("results"),
    json: o.Json = False,
) -> None:
    """Predict speeds on other hardware, each with its interval: of a run's targets, or of --model."""
    from specbench import pipeline, prediction  # noqa: PLC0415  --help must not wait for it
    from specbench.analysis import prediction as analysis  # noqa: PLC0415
    from specbench.cli import flags, sections  # noqa: PLC0415
    from specbench.errors import InputError  # noqa: PLC0415
    from specbench.report.predicted import backtest_section, predicted_section  # noqa: PLC0415

    if context < 0:
        raise InputError(f"a context of {context} tokens cannot be", hint="--context 0 or more")
    if backtest:
        rows, broken = prediction.published()
        tests = analysis.backtest(rows)
        shown, record = [backtest_section(tests, broken)], [asdict(test) for test in tests]
    else:
        comparison, models = None, {} if model is None else {model.name.removesuffix(".gguf"): model}
        if model is None:
            measured, comparison = pipeline.read(flags.run_folder(run, results=results))
            models = prediction.targets(measured)
        if curve and comparison is not None:
            found = prediction.by_curve(curve, comparison)
        else:
            names = flags.names(on)
            found = [prediction.predict(m, comparison, t, on=names, context=context) for t, m in models.items()]
        shown, record = [predicted_section(one) for one in found], [asdict(one) for one in found]
    if json:
        print(json_text.dumps(record, indent=1))
    else:
        sections.show(shown)
