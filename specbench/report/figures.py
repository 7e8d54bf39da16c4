"""What each chart of a run shows: the plotted data, chosen from the conclusions."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from specbench.analysis.axes import Curve, Point
from specbench.analysis.comparison import Comparison
from specbench.analysis.details import Details, Steps, Trace
from specbench.analysis.rows import Row
from specbench.analysis.stats import Estimate
from specbench.analysis.verdicts import Verdict
from specbench.report import cells
from specbench.report.charts import Chart, Matrix, Series

_T = TypeVar("_T")
_LINES = 10  # in one chart; more cannot be told apart
_READINGS: dict[str, tuple[str, float]] = {  # of a timeline, with the unit that is shown and what it is in base units
    "power": ("W", 1),
    "temperature": ("°C", 1),
    "sm_clock": ("MHz", 1e6),
    "memory_clock": ("MHz", 1e6),
    "utilization": ("%", 0.01),
    "device_memory": ("GiB", 2**30),
    "memory": ("GiB", 2**30),
    "load": ("processes", 1),
}


def figures(comparison: Comparison, details: Details) -> Iterator[Chart | Matrix]:
    """Every chart that the records allow, in the order in which one reads them."""
    for (target, temperature), rows in _groups(comparison.rows):
        where = f"{target}, {cells.temperature(temperature)}"
        mine = [v for v in comparison.verdicts if (v.target, v.temperature) == (target, temperature)]
        yield from _best(where, mine, cells.speed(rows))
        yield from _speedups(where, rows)
    for (target, temperature), rows in _groups(comparison.overall):
        yield from _positions(f"{target}, {cells.temperature(temperature)}", rows)
    yield from _along(comparison.curves, cells.speed(comparison.rows).capitalize())
    yield from _prompts(details)
    yield from _steps(details)
    yield from (_timeline(trace) for trace in details.traces if trace.reading in _READINGS and len(trace.points) > 1)


def file_name(*words: str) -> str:
    """Letters, digits and dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", " ".join(words).lower()).strip("-.")[:100]


def _groups(rows: Iterable[Row]) -> Iterator[tuple[tuple[str, float], list[Row]]]:
    found = defaultdict[tuple[str, float], list[Row]](list)
    for row in rows:
        found[row.target, row.temperature].append(row)
    yield from found.items()


def _best(where: str, verdicts: list[Verdict], speed: str) -> Iterator[Chart]:
    found = [(v, v.speedup) for v in verdicts if v.speedup is not None]
    if found:
        yield Chart(
            file_name("best", where),
            f"Fastest method by kind of work: {where}",
            f"{speed} speed over the baseline's (1: nothing is won), with the 95 % interval",
            "",
            "ranked",
            tuple(
                Series(f"{v.label} ({v.kind})", ((s.value, float(y)),), (_ends(s),), hollow=v.kind != "use")
                for y, (v, s) in enumerate(found)
            ),
            ticks=tuple(cells.category(v.category, v.fill) for v, _ in found),
            reference=1.0,
        )


def _speedups(where: str, rows: list[Row]) -> Iterator[Matrix]:
    methods = tuple(dict.fromkeys(row.label for row in rows if row.speedup is not None))
    names = tuple(dict.fromkeys(cells.category(row.category, row.fill) for row in rows if row.trials))
    wrong = ", not credible or with other output" if any(row.speedup and not row.right for row in rows) else ""
    found = {(cells.category(row.category, row.fill), row.label): _believed(row) for row in rows}
    if methods and names:
        yield Matrix(
            file_name("speedup", where),
            f"{cells.speed(rows).capitalize()} speedup over the baseline (~: not clear at 95 %{wrong}): {where}",
            names,
            methods,
            tuple(tuple(found.get((name, method)) for method in methods) for name in names),
        )


def _believed(row: Row) -> Estimate | None:
    """The speedup, without an interval that would tell it from 1 where it is not right."""
    return row.speedup if row.right or row.speedup is None else replace(row.speedup, low=None, high=None)


def _positions(where: str, rows: list[Row]) -> Iterator[Chart]:
    shown = [row for row in rows if row.accepted_by_position]
    longest = max((len(row.accepted_by_position or ()) for row in shown), default=0)
    for part, some in enumerate(_parts(shown)):
        yield Chart(
            file_name("positions", where, str(part or "")),
            f"Acceptance by draft position, over all categories: {where}",
            "position in the draft",
            "accepted / drafted steps, %",
            "lines",
            tuple(
                Series(
                    row.label, tuple((float(i), share * 100) for i, share in enumerate(row.accepted_by_position or ()))
                )
                for row in some
            ),
            ticks=tuple(map(str, range(1, longest + 1))) if longest <= 16 else (),  # noqa: PLR2004  that many fit
        )


def _parts(shown: list[_T]) -> Iterator[list[_T]]:
    yield from (shown[i : i + _LINES] for i in range(0, len(shown), _LINES))


def _along(curves: Iterable[Curve], speed: str) -> Iterator[Chart]:
    """Two charts for each axis, target and temperature: speedup and acceptance, over all categories if it can."""
    key = lambda c: (c.axis, c.target, c.temperature or 0.0)  # noqa: E731  used twice, here
    for (axis, target, temperature), group in groupby(sorted(curves, key=key), key=key):
        members = list(group)
        chosen = [c for c in members if c.category is None] if axis != "fill" else members
        where = f"{target}, {cells.temperature(temperature)}"
        values = dict.fromkeys(p.value for c in chosen for p in c.points)
        numbers = all(isinstance(v, int | float) for v in values)
        ticks = tuple(dict.fromkeys(cells.setting(axis, v) for v in (sorted(values) if numbers else values)))
        for name, title, unit, reading in (
            ("speedup", f"{speed} speedup", "× the baseline", lambda p: p.speedup),
            ("acceptance", "Acceptance", "accepted / drafted, %", _acceptance),
        ):
            drawn = [series for c in chosen if (series := _line(c, ticks, reading)).points]
            for part, some in enumerate(_parts(drawn) if len(ticks) > 1 else ()):
                yield Chart(
                    file_name(name, "along", axis, where, str(part or "")), f"{title} along {axis}: {where}", axis,
                    unit, "lines", tuple(some), ticks=ticks, reference=1.0 if name == "speedup" else None,
                )  # fmt: skip


def _acceptance(p: Point) -> Estimate | None:
    e = p.acceptance
    return e and Estimate(e.value * 100, e.low and e.low * 100, e.high and e.high * 100, e.n)


def _line(curve: Curve, ticks: tuple[str, ...], reading: Callable[[Point], Estimate | None]) -> Series:
    found = [
        (ticks.index(cells.setting(curve.axis, p.value)), e) for p in curve.points if (e := reading(p)) is not None
    ]
    label = curve.label if curve.category is None else f"{curve.label}, {curve.category}"
    return Series(label, tuple((float(x), e.value) for x, e in found), tuple(_ends(e) for _, e in found))


def _ends(e: Estimate) -> tuple[float, float] | None:
    return None if e.low is None or e.high is None else (e.low, e.high)


def _prompts(details: Details) -> Iterator[Chart]:
    groups: dict[tuple[str, float], dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for pair in details.pairs:
        groups[pair.target, pair.temperature][pair.label].append((pair.baseline, pair.speed))
    for (target, temperature), methods in groups.items():
        where = f"{target}, {cells.temperature(temperature)}"
        for part, names in enumerate(_parts([*methods])):
            yield Chart(
                file_name("prompts", where, str(part or "")),
                f"Each prompt, method against baseline: {where}",
                "baseline, tok/s",
                "method, tok/s (above the line: faster)",
                "points",
                tuple(Series(name, tuple(methods[name])) for name in names),
                reference="diagonal",
                logarithmic=True,
            )


def _steps(details: Details) -> Iterator[Chart]:
    for target, group in groupby(sorted(details.steps, key=lambda s: s.target), key=lambda s: s.target):
        for part, some in enumerate(_parts(list(group))):
            yield Chart(
                file_name("steps", target, str(part or "")),
                f"Seconds of a step, all categories and temperatures: {target}",
                "share of the steps that take at most so long, %",
                "ms",
                "lines",
                tuple(
                    Series(
                        _with_phases(s),
                        tuple((float(p), value * 1000) for p, value in enumerate(s.percentiles, start=1)),
                    )
                    for s in some
                ),
            )


def _with_phases(steps: Steps) -> str:
    shares = ", ".join(f"{phase} {share:.0%}".replace("%", " %") for phase, share in steps.phases)
    return f"{steps.label} ({shares})" if shares else steps.label


def _timeline(trace: Trace) -> Chart:
    unit, base = _READINGS[trace.reading]
    seen = tuple((seconds, value / base) for seconds, value in trace.points)
    top = max(value for _, value in seen)
    held = (Series("slowed by heat or power supply", tuple((s, top) for s in trace.slowed)),) if trace.slowed else ()
    name = f"{trace.device} {trace.reading.replace('_', ' ')}"
    return Chart(
        file_name("timeline", name), f"While it ran: {name}", "seconds since the first trial", unit, "lines",
        (Series(name, seen), *held),
    )  # fmt: skip
