"""The rows of a comparison as CSV, unrounded and in base units. A missing number is an empty cell."""

import csv
import io
from collections.abc import Iterator

from specbench.analysis.axes import quant_of
from specbench.analysis.comparison import Comparison
from specbench.analysis.metrics import METRICS
from specbench.analysis.rows import Row
from specbench.analysis.stats import Estimate
from specbench.report import cells

_FACTS = (
    "target", "contender", "engine", "method", "baseline", "category", "temperature", "fill", "prompts", "trials",
    "planned", "failed", "speculating", "stop", "decode_source", "steps_source", "verification_rule",
)  # fmt: skip


def csv_table(comparison: Comparison) -> str:
    """One line a row; the rows over all categories have an empty category. What was swept has columns of its own."""
    swept = dict.fromkeys(c.axis for c in comparison.curves if c.axis not in _FACTS)
    rows, quants = comparison.rows + comparison.overall, {t.label: t.quant for t in comparison.targets}
    axes = [{"quant": quant_of(row.target_label, quants[row.target]), **row.axes} for row in rows]
    table = [
        {**dict(_values(row)), **{axis: mine.get(axis) for axis in swept}} for row, mine in zip(rows, axes, strict=True)
    ]
    text = io.StringIO()
    if table:
        writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    return text.getvalue()


def _values(row: Row) -> Iterator[tuple[str, object]]:
    yield from ((name, getattr(row, name)) for name in _FACTS)
    for name in ("speedup", "end_to_end_speedup", "round_cost", "prefill_cost"):
        yield from _estimate(name, getattr(row, name), interval=True)
    yield from ((name, getattr(row, name)) for name in ("drafting_cost", "verifying_cost"))
    for name, metric in METRICS.items():
        yield from _estimate(name, row.metrics[name], interval=metric.interval)
    yield "accepted_by_position", " ".join(f"{share:.6g}" for share in row.accepted_by_position or ())
    yield "lossless", cells.lossless(row.lossless)
    yield "checks_passed", row.checks_passed if row.checks_judged else None
    yield "checks_judged", row.checks_judged
    yield "peak_memory", row.peak_memory
    yield "peak_device_memory", row.peak_device_memory


def _estimate(name: str, estimate: Estimate | None, *, interval: bool) -> Iterator[tuple[str, object]]:
    for suffix, field in (("", "value"), ("_low", "low"), ("_high", "high")):
        if interval or field == "value":
            yield f"{name}{suffix}", None if estimate is None else getattr(estimate, field)
