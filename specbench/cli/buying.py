"""`specbench report` of machines: of a price list (--buy), of several runs, and of published tables (--like)."""

import json as json_text
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from specbench import buying, pipeline, reproduction
from specbench.analysis.conditions import Measured
from specbench.analysis.machines import machines
from specbench.cli import flags, sections
from specbench.errors import InputError
from specbench.report import buying as report
from specbench.report import machines as machines_report
from specbench.report.markdown import blocks
from specbench.report.page import machine_in_words, rendered, table
from specbench.report.section import Section


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
    format_: str,
    output: Path | None,
) -> None:
    """Tables on standard output unless a page or pictures were asked for."""
    if format_ not in ("text", "json"):
        raise InputError(f"this report has no format {format_!r}", hint="text, json, or --html FILE")
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
    if format_ == "json":
        flags.write(
            json_text.dumps([asdict(b) for b in found], ensure_ascii=False, indent=1, allow_nan=False) + "\n", output
        )
    elif output is not None or (html is None and charts is None):
        sections.show((section for b in found for section in report.sections(b)), output)


def show_several(
    like: str | None, runs: Sequence[Path], *, format_: str, html: Path | None, output: Path | None
) -> None:
    """Runs laid out like a published table, or beside each other."""
    if like is not None:
        _show_like(like, runs, format_=format_, html=html, output=output)
    else:
        show_machines(runs, format_=format_, html=html, output=output)


def show_machines(runs: Sequence[Path], *, format_: str, html: Path | None = None, output: Path | None = None) -> None:
    """Who is faster at what, and whether drafter or hardware makes the difference."""
    read = [pipeline.read(run) for run in runs]
    found = machines(
        [(Measured(run.path.name, run.plan, run.machine, run.results), comparison) for run, comparison in read],
        words=[", ".join(machine_in_words(run.machine)) for run, _ in read],
    )
    page = machines_report.page(found) if html is not None else ""
    _shown(machines_report.sections(found), asdict(found), page, format_=format_, html=html, output=output)


def _show_like(name: str, runs: Sequence[Path], *, format_: str, html: Path | None, output: Path | None) -> None:
    """A published table, and the runs in its shape."""
    section = reproduction.like(name, [pipeline.read(run) for run in runs])
    facts = [run.name for run in runs]
    page = rendered("tables.html", title=section.title, facts=facts, groups=[{"sections": [table(section)]}])
    _shown([section], asdict(section), page, format_=format_, html=html, output=output)


def _shown(
    parts: Sequence[Section], record: object, page: str, *, format_: str, html: Path | None, output: Path | None
) -> None:
    if html is not None:
        pipeline.write(html, page.encode())
        if output is None:
            return
    if format_ == "text":
        sections.show(parts, output)
    elif format_ == "markdown":
        flags.write("\n\n".join(block for part in parts for block in blocks(part)) + "\n", output)
    elif format_ == "json":
        flags.write(json_text.dumps(record, ensure_ascii=False, indent=1) + "\n", output)
    else:
        raise InputError(f"this report has no format {format_!r}", hint="known: text, markdown, json; or --html FILE")
