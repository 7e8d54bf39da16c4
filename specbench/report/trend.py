"""A figure over runs, as rows and as a picture."""

from collections.abc import Sequence
from math import log
from typing import Any

from specbench.analysis.sides import Place
from specbench.analysis.trend import change_points
from specbench.report.cells import category
from specbench.report.charts import Chart, Series, png
from specbench.units import significant

_BARS, _WIDTH, _TICKS = "▁▂▃▄▅▆▇█", 32, 6
Trends = dict[Place, dict[str, float]]


def rows(trends: Trends) -> list[dict[str, Any]]:
    """One a contender and category: first and last value, a sparkline, and the runs at which the level changed."""
    return [
        {
            "contender": place.contender,
            "category": category(place.category, place.fill),
            "temp.": f"{place.temperature:g}",
            "runs": len(series),
            "first": significant(values[0]),
            "last": significant(values[-1]),
            "trend": sparkline(values),
            "changed at": ", ".join(list(series)[at] for at in change_points(values)) or None,
        }
        for place, series in trends.items()
        for values in [list(series.values())]
    ]


def sparkline(values: Sequence[float]) -> str:
    """The last values as bars, on a logarithmic scale from the least to the greatest of them."""
    logs = [log(value) if value > 0 else 0.0 for value in values[-_WIDTH:]]
    low, span = min(logs), max(logs) - min(logs)
    return "".join(_BARS[round((v - low) / span * (len(_BARS) - 1)) if span else len(_BARS) // 2] for v in logs)


def picture(trends: Trends, *, measure: str, unit: str) -> bytes:
    """Lines over runs as a PNG, one for each contender over all of its categories (or the one it has)."""
    names = list(dict.fromkeys(run for series in trends.values() for run in series))
    shown: dict[tuple[str, float], Place] = {}
    for place in trends:
        shown.setdefault((place.contender, place.temperature), place)
    series = tuple(
        Series(
            f"{p.contender} {category(p.category, p.fill)}",
            tuple((float(names.index(r)), v) for r, v in trends[p].items()),
        )
        for p in shown.values()
    )
    every = max(1, len(names) // _TICKS)
    ticks = tuple(name[:8] if k % every == 0 else "" for k, name in enumerate(names))
    chart = Chart("trend", f"{measure.replace('_', ' ')} over {len(names)} runs", "run", unit, "lines", series, ticks)
    return png(chart, f"{names[0]} to {names[-1]}; the same machine, prompts and settings")
