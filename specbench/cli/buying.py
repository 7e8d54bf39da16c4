"""`specbench report --buy`: what machines of a price list do with a model, and what that costs."""

import json as json_text
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from specbench import buying, pipeline
from specbench.cli import flags, sections
from specbench.errors import InputError
from specbench.report import buying as report


def show(
    models: Sequence[str] | None,
    runs: Sequence[Path],
    *,
    budget: float | None,
    mix: Mapping[str, float] | None,
    context: int,
    prices: Path | None,
    tau_from: Path | None,
    html: Path | None,
    charts: Path | None,
    json: bool,
    output: Path | None,
) -> None:
    """Tables on standard output unless a page or pictures were asked for."""
    if not models:
        raise InputError("--buy needs a model", hint="--model MODEL.gguf, a TOML, or e.g. --model Qwen3.6-27B:Q4_K_M")
    listed = buying.prices(prices)
    measured, tau = [pipeline.read(run) for run in runs], None if tau_from is None else pipeline.read(tau_from)
    found = [
        buying.buy(model, listed, budget=budget, mix=mix, context=context, runs=measured, tau_from=tau)
        for model in models
    ]
    if html is not None:
        pipeline.write(html, report.page(found).encode())
    if charts is not None:
        for name, content in report.pictures(found):
            pipeline.write(charts / name, content)
    if json:
        flags.write(json_text.dumps([asdict(b) for b in found], ensure_ascii=False, indent=1) + "\n", output)
    elif output is not None or (html is None and charts is None):
        sections.show((section for b in found for section in report.sections(b)), output)
