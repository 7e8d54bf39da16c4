"""The report as one HTML file that needs nothing else. Everything that comes from a run is escaped by the template."""

import base64
import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jinja2
from markupsafe import Markup

from specbench.analysis.comparison import Comparison, Target
from specbench.analysis.details import details
from specbench.analysis.verdicts import Verdict
from specbench.records import Machine, Opening, Plan, Result
from specbench.report import cells
from specbench.report.charts import Chart, Matrix, card, png, svg
from specbench.report.figures import figures
from specbench.report.section import MISSING, Section
from specbench.report.text import named, parts
from specbench.units import printable, size

_WORDS = {"use": "use", "switch off": "off"}  # kinds of verdicts by their look; all others are open


@dataclass(frozen=True)
class _Answer:
    """One cell of the first table. `bar`: its interval and value as per cent of the bar's width; None without one."""

    look: str
    head: str
    tail: str
    bar: tuple[float, float, float] | None


def page(
    comparison: Comparison, plan: Plan, machine: Machine, results: Sequence[Result], *, others: Sequence[Section] = ()
) -> str:
    """The whole report. `results` are those that the comparison is of; `others`: tables of what others measured."""
    shown = parts(comparison)
    sections = [*shown.figures, *shown.curves]
    drawn = [*figures(comparison, details(comparison, results))]
    return rendered(
        "page.html",
        speed=cells.speed(comparison.rows).capitalize(),
        name=comparison.name,
        facts=[*_facts(comparison, results), *machine_in_words(machine)],
        verdicts=[_verdicts(comparison, target) for target in comparison.targets],
        sections=[table(section) for section in (*sections, *others)],
        categories=_firsts(sections, 0),
        methods=_firsts(sections, 1),
        why=shown.why,
        overviews=[(c.title, bare(c)) for c in drawn if isinstance(c, Matrix)],
        charts=[(c.title, bare(c)) for c in drawn if isinstance(c, Chart) and c.kind != "ranked"],
        notes=shown.notes.lines if shown.notes else (),
        contenders=_contenders(plan, results),
        machine=_machine(machine),
        plan=_plan(plan),
        command=shlex.join(["specbench", *plan.command]) if plan.command else None,
        missing=MISSING,
    )


def rendered(template: str, **values: Any) -> str:
    """A page from its template, with the one script, whose hash its policy names."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("specbench.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    source = jinja2.PackageLoader("specbench.report").get_source(environment, "page.js")[0]
    mark = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    return printable(environment.get_template(template).render(script=source, script_hash=mark, **values))


def pictures(comparison: Comparison, machine: Machine, results: Sequence[Result]) -> Iterator[tuple[str, bytes]]:
    """File names and bytes: every chart as PNG and as SVG, and `card.png`, for links."""
    caption = " · ".join([*_facts(comparison, results), *machine_in_words(machine)])
    drawn, taken = [*figures(comparison, details(comparison, results))], Counter[str]()
    notes = {t.label: f"{t.label}: {t.note.removeprefix(f'{t.label}: ')}" for t in comparison.targets if t.note}
    captions = [
        printable("\n".join([caption, *(note for label, note in notes.items() if f" {label}, " in chart.title)]))
        for chart in drawn
    ]
    for chart, words in zip(drawn, captions, strict=True):
        taken[chart.name] += 1  # long names, and names in other scripts, may look alike
        name = chart.name if taken[chart.name] == 1 else f"{chart.name}-{taken[chart.name]}"
        yield f"{name}.png", png(chart, words)
        yield f"{name}.svg", svg(chart, words).encode()
    ranked = [
        pair for pair in zip(drawn, captions, strict=True) if isinstance(pair[0], Chart) and pair[0].kind == "ranked"
    ]
    if ranked:
        yield "card.png", card(*max(ranked, key=lambda pair: _gain(pair[0])))


def _gain(chart: Chart | Matrix) -> float:
    """The largest value of a chart: the card shows the target that gains most."""
    return max(x for series in chart.series for x, _ in series.points) if isinstance(chart, Chart) else 0.0


def machine_in_words(machine: Machine) -> list[str]:
    """Accelerators first: they are what is asked about."""
    cards = [card.name or f"{card.vendor} {card.target or 'accelerator'}" for card in machine.accelerators]
    counted = [f"{n} × {name}" if (n := cards.count(name)) > 1 else name for name in dict.fromkeys(cards)]
    cores = f", {machine.cores_logical} logical cores" if machine.cores_logical else ""
    memory = f", {size(machine.memory)}" if machine.memory else ""
    return [
        *counted,
        f"{machine.cpu or 'CPU unknown'}{cores}{memory}",
        " ".join(filter(None, (machine.system, machine.release))),
    ]


def _facts(comparison: Comparison, results: Iterable[Result]) -> list[str]:
    began = min((r.started for r in results if r.kind == "generation"), default=None)
    failed = f", {comparison.failed} failed" if comparison.failed else ""
    return [
        *([] if began is None else [datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%d %H:%M UTC")]),
        f"{comparison.measured} of {comparison.planned} trials{failed}",
        f"specbench {comparison.specbench_version}",
    ]


def _verdicts(comparison: Comparison, target: Target) -> dict[str, Any]:
    mine = [v for v in comparison.verdicts if v.target == target.label]
    temperatures = sorted({v.temperature for v in mine})
    highest = max((v.speedup.high or v.speedup.value for v in mine if v.speedup), default=2.0)
    where = dict.fromkeys((v.category, v.fill) for v in mine)
    found = {(v.category, v.fill, v.temperature): _answer(v, min(highest, 5.0)) for v in mine}
    return {
        "title": named(target),
        "temperatures": [cells.temperature(t) for t in temperatures],
        "one": 100 / min(highest, 5.0) if highest > 1 else 100,
        "rows": [
            (cells.category(category, fill), [found.get((category, fill, t)) for t in temperatures])
            for category, fill in where
        ],
    }


def _answer(v: Verdict, top: float) -> _Answer:
    look, bar = _WORDS.get(v.kind, "open"), None
    if (s := v.speedup) is not None and s.low is not None and s.high is not None:
        low, value, high = (max(0.0, min(100.0, 100 * x / max(top, 1.0))) for x in (s.low, s.value, s.high))
        bar = low, value, high
    head = {"use": v.label or "", "switch off": "switch it off"}.get(v.kind, v.kind)
    tail = "" if s is None else f"{cells.with_interval(s)} ×"
    if v.kind != "use" and s is not None:
        tail = f"best: {v.label} {tail}"
    elif v.end_to_end_speedup is not None and v.end_to_end_speedup.value < 1:
        tail += f", end to end {cells.factor(v.end_to_end_speedup)}"
    return _Answer(look, head, tail, bar)


def table(section: Section) -> dict[str, Any]:
    """Rows with every cell filled, so that they can be sorted and filtered by the first two."""
    rows: list[tuple[str, ...]] = []
    for row in section.rows:
        above = rows[-1] if rows else row
        rows.append((row[0] or above[0], row[1] or above[1], *row[2:]))
    return {"title": section.title, "columns": section.columns, "rows": rows, "footnotes": section.footnotes}


def _firsts(sections: Iterable[Section], column: int) -> list[str]:
    """The distinct words of the columns by which tables are filtered."""
    return [*dict.fromkeys(row[column] for s in sections for row in table(s)["rows"])]


def bare(chart: Chart | Matrix) -> Markup:
    """Safe: matplotlib escapes what it writes. Names of groups are left out, they would repeat from chart to chart."""
    return Markup(  # noqa: S704  no word of a run gets here unescaped
        re.sub(r'<g id="[^"]*"', "<g", svg(chart, None))
    )


def _contenders(plan: Plan, results: Sequence[Result]) -> list[dict[str, Any]]:
    opened: dict[str, Opening] = {r.contender: r for r in results if isinstance(r, Opening)}
    found = []
    for c in plan.contenders:
        o = opened.get(c.name)
        program = (o and o.executable) or c.executable or c.url or c.engine
        facts = {
            "engine": " ".join(filter(None, (c.engine, *((o.engine_version, o.engine_commit) if o else ())))),
            "method": c.method, "settings": _pairs(c.settings), "engine settings": _pairs(c.engine_settings),
            "target model": c.target_model, "draft model": c.draft_model,
            "program SHA-256": o and o.executable_sha256, "chat template SHA-256": o and o.chat_template_sha256,
        }  # fmt: skip
        words = [program, *((o and o.argv) or c.argv)]
        found.append({"name": c.name, "facts": {k: v for k, v in facts.items() if v}, "argv": shlex.join(words)})
    return found


def _pairs(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _machine(machine: Machine) -> list[tuple[str, str]]:
    rows = [(key, str(value)) for key, value in machine.readings.items()]
    rows += [(f"{key} (not known)", value) for key, value in machine.reasons.items()]
    for number, device in enumerate(machine.accelerators):
        where = device.name or f"accelerator {number}"
        rows += [(f"{where}: {key}", str(value)) for key, value in device.readings.items()]
        rows += [(f"{where}: {key} (not known)", value) for key, value in device.reasons.items()]
    return rows + [(f"environment {key}", value) for key, value in machine.environment.items()]


def _plan(plan: Plan) -> dict[str, str]:
    return {
        "suites": _pairs(plan.suites),
        "sampling": f"top_k={plan.sampling.top_k}, top_p={plan.sampling.top_p}, min_p={plan.sampling.min_p}",
        "prompts": str(len(plan.prompts)),
        "trials, warm-ups and controls included": str(sum(len(block.trials) for block in plan.blocks)),
        "blocks": str(len(plan.blocks)),
    }
