"""Runs against runs, for people and for the programs that watch them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree as ET

from specbench.analysis.regression import Change, Regression, describe, needed, place_of, signed
from specbench.analysis.sides import MEASURES
from specbench.report.markdown import blocks, escaped
from specbench.report.section import MISSING, Column, Section
from specbench.units import printable, significant

SCHEMA_VERSION = 1


def _signed(change: Change, value: float | None) -> str:
    return MISSING if value is None else signed(change, value)


_TABLE: tuple[tuple[Column, Callable[[Change], str]], ...] = (
    (Column("contender"), lambda c: c.contender),
    (Column("category"), place_of),
    (Column("temp.", "", "right", 4), lambda c: f"{c.temperature:g}"),
    (Column("BASE", "", "right", 2), lambda c: MISSING if c.base is None else significant(c.base)),
    (Column("NEW", "", "right", 2), lambda c: MISSING if c.new is None else significant(c.new)),
    (Column("change", "", "right"), lambda c: _signed(c, c.change)),
    (
        Column("95 % interval", "", "right", 1),
        lambda c: MISSING if c.low is None else f"{_signed(c, c.low)} to {_signed(c, c.high)}",
    ),
    (Column("p", "Holm", "right", 3), lambda c: MISSING if c.p is None else "<0.001" if c.p < 0.001 else f"{c.p:.3f}"),  # noqa: PLR2004
    (Column("A/A", "floor", "right", 5), lambda c: _signed(c, c.floor).lstrip("+")),
    (Column("found", "least", "right", 6), lambda c: _signed(c, c.detectable).lstrip("+")),
    (Column("n", "", "right", 7), lambda c: str(c.prompts)),
    (Column("verdict"), lambda c: c.verdict),
)
_MANY = 3  # lines of one kind below a table


def sections(found: Regression) -> list[Section]:
    """Gates, a table for each measure with its reasons, and what differs between the runs."""
    shown = [_gates(found)] if found.gates else []
    shown += [_measure(found, name) for name in dict.fromkeys(change.measure for change in found.changes)]
    runs = (f"BASE: {_runs(found.base)}", f"NEW: {_runs(found.new)}")
    across = (f"compared across {', '.join(found.across)}: what differs there is part of every change",)
    shown.append(Section("Runs", lines=(*runs, *(across if found.across else ()), *found.notes)))
    columns = tuple(Column(name) for name in ("differs", "BASE", "NEW"))
    rows = tuple((f"{d.what}{' (!)' if d.kind else ''}", d.base, d.new) for d in found.differences)
    same = ("nothing that was recorded differs",) if not rows else ()
    return [*shown, Section("Environment", columns if rows else (), rows, lines=same)]


def _runs(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} runs, {names[0]} to {names[-1]}"


def _gates(found: Regression) -> Section:
    lines = [f"{gate.gate}: {gate.outcome}" for gate in found.gates if gate.outcome != "failed"]
    alarms = [f"{gate.gate}: failed" for gate in found.gates if gate.outcome == "failed"]
    return Section("Gate", lines=tuple(lines), alarms=tuple(alarms), footnotes=tuple(gate_reasons(found)))


def gate_reasons(found: Regression) -> Iterator[str]:
    """Why gates failed or could not be decided, one line each."""
    for gate in found.gates:
        yield from (f"{gate.gate}: {line}" for line in gate.where[:_MANY])
        if len(gate.where) > _MANY:
            yield f"{gate.gate}: and {len(gate.where) - _MANY} more"


def _measure(found: Regression, name: str) -> Section:
    mine = [change for change in found.changes if change.measure == name]
    threshold = f"{mine[0].threshold * 100:g} %" if MEASURES[name].relative else f"{mine[0].threshold:g}"
    told: dict[str, list[str]] = {}
    for change in mine:
        text = f"{change.cause if change.cause is not None else change.reason}{needed(change)}"
        told.setdefault(text, []).append(f"{change.contender} {place_of(change)}")
    reasons = [f"{', '.join(places[:3])}{' …' if len(places) > 3 else ''}: {text}" for text, places in told.items()]  # noqa: PLR2004
    title = f"{name.replace('_', ' ')} ({MEASURES[name].unit}), threshold {threshold}"
    rows = tuple(tuple(cell(change) for _, cell in _TABLE) for change in mine)
    return Section(title, tuple(column for column, _ in _TABLE), rows, footnotes=tuple(reasons))


def markdown(found: Regression) -> str:
    """For a pull request or the summary of a job."""
    title = (
        {0: "no regression found", 1: "regression", 5: "inconclusive"}[found.exit_status] if found.gates else "changes"
    )
    parts = [f"# specbench compare: {escaped(title)}", *(block for s in sections(found) for block in blocks(s))]
    return "\n\n".join(parts) + "\n"


def as_json(found: Regression) -> str:
    """Every field, in base units and fractions; missing is null."""
    value = {"schema_version": SCHEMA_VERSION, "exit_status": found.exit_status, **asdict(found)}
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def junit(found: Regression) -> str:
    """A test case for each gate, or without gates for each change; what is not decided is skipped, with its reason."""
    suite = ET.Element("testsuite", name="specbench compare")
    cases: list[tuple[str, str, str]] = [(g.gate, g.outcome, "\n".join(g.where)) for g in found.gates] or [
        (
            _name(c),
            {"slower": "failed", "inconclusive": "inconclusive", "not comparable": "inconclusive"}.get(
                c.verdict, "passed"
            ),
            describe(c),
        )
        for c in found.changes
    ]
    for name, outcome, text in cases:
        case = ET.SubElement(suite, "testcase", classname="specbench", name=name)
        if outcome != "passed":
            kind = "failure" if outcome == "failed" else "skipped"
            ET.SubElement(case, kind, message=printable(text.partition("\n")[0])).text = printable(text)
    suite.set("tests", str(len(cases)))
    for key, counted in (("failures", "failed"), ("skipped", "inconclusive")):
        suite.set(key, str(sum(case[1] == counted for case in cases)))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _name(change: Change) -> str:
    words = (change.contender, place_of(change), f"t{change.temperature:g}", change.measure)
    return "/".join(word.replace(" ", "_") for word in words)


def _timed(found: Regression) -> Iterator[tuple[Change, float, tuple[float, float] | None]]:
    """Each change with the value of NEW, and the interval of the change laid around it."""
    for change in found.changes:
        if change.new is None or change.base is None:
            continue
        ends = None
        if change.low is not None and change.high is not None:
            lows = [change.base * (1 + e) if MEASURES[change.measure].relative else change.base + e
                    for e in (change.low, change.high)]  # fmt: skip
            ends = lows[0], lows[1]
        yield change, change.new, ends


def bencher(found: Regression) -> str:
    """Bencher Metric Format: NEW's values by benchmark and measure."""
    value: dict[str, dict[str, dict[str, float]]] = {}
    for change, new, ends in _timed(found):
        entry = {"value": new} | ({} if ends is None else {"lower_value": ends[0], "upper_value": ends[1]})
        value.setdefault(_name(change).rpartition("/")[0], {})[change.measure] = entry
    return json.dumps(value, allow_nan=False, indent=1) + "\n"


def github_benchmark(found: Regression) -> str:
    """For github-action-benchmark, tool `customBiggerIsBetter`; seconds, where bigger is worse, are left out."""
    value: list[dict[str, Any]] = [
        {"name": _name(change), "unit": MEASURES[change.measure].unit, "value": new, "extra": describe(change)}
        | ({} if ends is None else {"range": f"{significant(ends[0])} to {significant(ends[1])}"})
        for change, new, ends in _timed(found)
        if change.measure != "step_seconds"
    ]
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def benchstat(found: Regression) -> str:
    """Go's benchmark text, one line a run: `benchstat -col side FILE`."""
    lines = []
    for side, number in (("base", 0), ("new", 1)):
        lines.append(f"side: {side}")
        for change in found.changes:
            unit = {"fraction": "accepted/drafted", "×": "x"}.get(unit := MEASURES[change.measure].unit, unit)
            name = "".join(c for c in _name(change).title() if c not in " _")
            lines += [f"Benchmark{name} 1 {value:.9g} {unit}" for value in change.runs[number]]
    return "\n".join(lines) + "\n"


FORMATS: dict[str, Callable[[Regression], str]] = {
    "markdown": markdown,
    "json": as_json,
    "junit": junit,
    "bencher": bencher,
    "github-benchmark": github_benchmark,
    "benchstat": benchstat,
}
