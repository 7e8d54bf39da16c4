"""What others measured, beside the run's own figures: never mixed with them, each with its definition or its source."""

from collections.abc import Iterable

from specbench.analysis.comparison import Comparison
from specbench.peers.figure import Figure, Imported
from specbench.report.section import MISSING, Column, Section
from specbench.units import significant

_DIGITS = 4


def imported_section(found: Imported, comparison: Comparison | None) -> Section:
    """The figures of one file. With a comparison, its own where a tool's definition is the same."""
    columns = (
        Column("tool", "", "left", 0),
        Column("engine", "", "left", 3),
        Column("machine", "", "left", 3),
        Column("model", "", "left", 1),
        Column("method", "", "left", 1),
        Column("category", "", "left", 0),
        Column("conditions", "", "left", 4),
        Column("metric", "", "left", 0),
        Column("value", "", "right", 0),
        Column("unit", "", "left", 0),
        Column("here", "", "right", 0),
    )
    rows = [
        (
            f.tool, *(word or MISSING for word in (f.engine, f.machine, f.model, f.method, f.category)),
            ", ".join(f"{key}={value}" for key, value in f.conditions.items()) or MISSING,
            f.metric, significant(f.value, _DIGITS), f.unit, _here(f, comparison),
        )
        for f in found.figures
    ]  # fmt: skip
    told = [i for i in range(len(columns)) if any(row[i] != MISSING for row in rows)]
    return Section(
        f"Imported, not measured by specbench: {found.file} ({found.format})",
        tuple(columns[i] for i in told),
        tuple(tuple(row[i] for i in told) for row in rows),
        footnotes=(*_definitions(found.figures), *([_HERE] if len(columns) - 1 in told else [])),
    )


_HERE = "here: from the lowest to the highest of this run's contenders, where the definition is the same, in that unit"


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
        if (estimate := row.metrics[figure.same_as]) is not None and figure.method in (None, row.method)
    ]
    ends = dict.fromkeys(significant(end) for end in (min(values), max(values))) if values else {MISSING: None}
    return "\N{EN DASH}".join(ends)
