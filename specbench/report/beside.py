"""What others measured, beside the run's own figures: never mixed with them, each with its definition or its source."""

import re
from collections.abc import Iterable, Mapping, Sequence

from specbench.analysis.comparison import Comparison
from specbench.peers.figure import Figure, Imported
from specbench.report import cells
from specbench.report.section import MISSING, Column, Section
from specbench.units import significant

_DIGITS = 4
_NAMES = ("tool", "engine", "machine", "model", "method", "category")
_PRIORITIES = {"engine": 3, "machine": 3, "model": 2, "method": 1, "conditions": 1}  # the higher, the sooner left out
_IMPORTED = tuple(
    Column(name, "", "right" if name in ("value", "here") else "left", _PRIORITIES.get(name, 0))
    for name in (*_NAMES, "conditions", "metric", "value", "unit", "here")
)
_HERE = "here: from the lowest to the highest of this run's contenders, where the definition is the same, in that unit"
_SIZED = re.compile(r"\d[bm]")  # a name without a size is that of a family


def imported_section(found: Imported, comparison: Comparison | None) -> Section:
    """The figures of one file. With a comparison, its own where a tool's definition is the same."""
    rows = [
        (
            *(getattr(f, name) or MISSING for name in _NAMES),
            ", ".join(f"{key}={value}" for key, value in f.conditions.items()) or MISSING,
            f.metric, significant(f.value, _DIGITS), f.unit, _here(f, comparison),
        )
        for f in found.figures
    ]  # fmt: skip
    told = [i for i in range(len(_IMPORTED)) if any(row[i] != MISSING for row in rows)]
    return Section(
        f"Imported, not measured by specbench: {found.file} ({found.format})",
        tuple(_IMPORTED[i] for i in told),
        tuple(tuple(row[i] for i in told) for row in rows),
        footnotes=(*_definitions(found.figures), *([_HERE] if len(_IMPORTED) - 1 in told else [])),
    )


_PUBLISHED = {  # column: of results.csv, its unit and priority
    "published as": ("method", "", 0), "model": ("model", "", 0), "quant": ("quant", "", 2),
    "engine": ("engine", "", 2), "context": ("context", "", 4), "category": ("category", "", 1),
    "baseline": ("baseline_tok_s", "tok/s", 1),
    "speed": ("tok_s", "tok/s", 0), "speedup": ("speedup", "×", 0), "accept": ("acceptance_rate", "", 1),
    "tok": ("mean_accept_len", "/step", 3), "status": ("status", "", 1), "source": ("source", "", 5),
}  # fmt: skip


def published_section(card: str, rows: Sequence[Mapping[str, str]], comparison: Comparison) -> Section:
    """Published rows of the run's methods, after its own row of each; of its targets where there are any.

    `rows` are those of results.csv about the card, with `ours`, our name of the method.
    """
    mine = [row for row in comparison.overall if row.trials and not row.synthetic]
    plain = {(row.contender, row.temperature): row.decode for row in mine}
    rows = [row for row in rows if row["ours"] in {own.method for own in mine}]
    labels = " ".join(map(_bare, {own.target_label for own in mine}))
    same = [row for row in rows if _SIZED.search(m := _bare(row["model"].removesuffix("-MTP"))) and m in labels] or rows
    shown: list[tuple[str, ...]] = []
    for method in dict.fromkeys(own.method for own in mine):
        others = [row for row in same if row["ours"] == method]
        for own in (own for own in mine if own.method == method and others):
            told = {
                "method": f"this run: {own.label}", "model": own.target_label, "engine": own.engine,
                "category": cells.category(None, None, own.categories), "tok_s": cells.rate(own.decode),
                "baseline_tok_s": cells.rate(plain.get((own.baseline or own.contender, own.temperature))),
                "speedup": cells.factor(own.speedup), "context": cells.temperature(own.temperature),
                "acceptance_rate": cells.factor(own.metrics["draft_acceptance_rate"]),
                "mean_accept_len": cells.factor(own.metrics["mean_acceptance_length"]), "status": "measured",
            }  # fmt: skip
            shown.append(tuple(told.get(key) or MISSING for key, _, _ in _PUBLISHED.values()))
        shown += [tuple(row[key] or MISSING for key, _, _ in _PUBLISHED.values()) for row in others]
    columns = tuple(Column(name, unit, "left", priority) for name, (_, unit, priority) in _PUBLISHED.items())
    if not shown:
        return Section(f"Published about {card}", lines=("nothing is published for this run's methods",))
    return Section(
        f"Published about {card}, not measured by specbench",
        columns,
        tuple(shown),
        footnotes=(
            "acceptance and tokens per step are in each source's own definition; --format markdown shows every source",
            "status: ok; lead: no exact address, or second-hand; caution: no reference; retracted rows are not shown",
            *([f"{len(rows) - len(same)} rows about other models are not shown"] if len(same) < len(rows) else []),
        ),
    )


def _bare(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def _definitions(figures: Iterable[Figure]) -> list[str]:
    same = {f.metric: f" (our {f.same_as})" if f.same_as else "" for f in figures}
    return [f"{metric}: {text}{same[metric]}" for metric, text in {f.metric: f.definition for f in figures}.items()]


def _here(figure: Figure, comparison: Comparison | None) -> str:
    if comparison is None or figure.same_as is None:
        return MISSING
    mine = [row for row in comparison.rows if row.category == figure.category] or comparison.overall
    values = [
        estimate.value / figure.scale
        for row in mine
        if (estimate := row.metrics.get(figure.same_as)) is not None and figure.method in (None, row.method)
    ]
    ends = dict.fromkeys(significant(end) for end in (min(values), max(values))) if values else {MISSING: None}
    return "\N{EN DASH}".join(ends)
