"""The report as plain data for a terminal: the command line draws it and decides nothing."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from specbench.analysis.axes import Point
from specbench.analysis.checks import Note
from specbench.analysis.comparison import Comparison, Target
from specbench.analysis.rows import Row
from specbench.report import cells
from specbench.report.section import MISSING, Column, Section

_NAMED = 3


def _checks(row: Row) -> str:
    return f"{row.checks_passed}/{row.checks_judged}" if row.checks_judged else MISSING


def _speedup(row: Row) -> str:
    if not row.speculating:
        return "did not draft"
    if not row.trials:
        return "not measured"
    return "baseline" if row.baseline is None and row.method == "none" else cells.with_interval(row.speedup)


_TABLE: tuple[tuple[Column, Callable[[Row], str]], ...] = (
    (Column("method"), lambda r: r.label),
    (Column("n", "", "right", 2), lambda r: str(r.prompts)),
    (Column("decode", "tok/s", "right"), lambda r: cells.rate(r.decode)),
    (Column("speedup", "× (95 %)", "right"), _speedup),
    (Column("accept", "%", "right"), lambda r: cells.percentage(r.metrics["draft_acceptance_rate"])),
    (Column("tok", "/step", "right"), lambda r: cells.factor(r.metrics["mean_acceptance_length"])),
    (Column("lossless", "", "right"), lambda r: cells.lossless_short(r.lossless)),
    (Column("TTFT", "ms", "right", 3), lambda r: cells.milliseconds(r.metrics["first_token"])),
    (Column("e2e", "tok/s", "right", 4), lambda r: cells.rate(r.metrics["end_to_end"])),
    (Column("e2e", "×", "right", 1), lambda r: cells.factor(r.end_to_end_speedup)),
    (Column("by position", "%", "left", 5), lambda r: cells.positions(r.accepted_by_position)),
    (Column("per draft", "tok", "right", 8), lambda r: cells.factor(r.metrics["accepted_per_draft"])),
    (Column("round", "steps", "right", 1), lambda r: cells.factor(r.round_cost)),
    (Column("drafting", "steps", "right", 6), lambda r: cells.steps(r.drafting_cost)),
    (Column("rest", "steps", "right", 7), lambda r: cells.steps(r.verifying_cost)),
    (Column("prefill", "× time", "right", 6), lambda r: cells.factor(r.prefill_cost)),
    (Column("checks", "", "right", 7), _checks),
)
_RARE: tuple[tuple[Column, Callable[[Row], str]], ...] = (  # columns that are left out where nothing was measured
    (Column("tok", "/pass", "right", 9), lambda r: cells.factor(r.metrics["tokens_per_pass"])),
    (Column("energy", "J/tok", "right", 10), lambda r: cells.rate(r.metrics["energy_per_token"])),
    (Column("per kWh", "ktok", "right", 12), lambda r: cells.thousands(r.metrics["tokens_per_kwh"])),
    (Column("memory", "MiB", "right", 11), lambda r: cells.mebibytes(r.peak_memory)),
    (Column("on GPU", "MiB", "right", 11), lambda r: cells.mebibytes(r.peak_device_memory)),
)


@dataclass(frozen=True)
class Parts:
    """The sections of a report by what they are for."""

    verdicts: tuple[Section, ...]
    figures: tuple[Section, ...]
    why: tuple[Section, ...]
    curves: tuple[Section, ...]
    notes: Section | None


def parts(comparison: Comparison) -> Parts:
    """What to do, the figures of each target and temperature, why, what changes along each axis, and the notes."""
    groups = defaultdict[tuple[str, float], list[Row]](list)
    for row in comparison.rows + comparison.overall:
        groups[row.target, row.temperature].append(row)
    targets = {target.label: target for target in comparison.targets}
    figures = (
        _figures(f"{named(targets[label])}, {cells.temperature(temperature)}", rows)
        for (label, temperature), rows in groups.items()
    )
    notes = tuple(_notes(comparison))
    return Parts(
        verdicts=_told(_verdicts(comparison, target) for target in comparison.targets),
        figures=_told(figures),
        why=_told(_why(comparison, target) for target in comparison.targets),
        curves=_told(_curves(comparison)),
        notes=Section("Notes", lines=notes) if notes else None,
    )


def sections(comparison: Comparison) -> list[Section]:
    """All parts in the order in which one reads them."""
    p = parts(comparison)
    return [*p.verdicts, *p.figures, *p.why, *p.curves, *([p.notes] if p.notes else [])]


def _told(found: Iterable[Section]) -> tuple[Section, ...]:
    return tuple(section for section in found if section.rows or section.lines)


def named(target: Target) -> str:
    family = f", {target.family}" if target.family else ""
    label = target.label.removesuffix(family)
    quant = f" {target.quant}" if target.quant and target.quant.lower() not in label.lower() else ""
    return f"{label}{quant}{family}" + (f" [{target.note}]" if target.note else "")


def _verdicts(comparison: Comparison, target: Target) -> Section:
    """One line a category, greedy and sampled side by side, never mixed."""
    mine = [v for v in comparison.verdicts if v.target == target.label]
    temperatures = sorted({v.temperature for v in mine})
    rows: dict[tuple[str | None, int | None], dict[float, str]] = defaultdict(dict)
    for v in mine:
        rows[v.category, v.fill][v.temperature] = cells.verdict(v)
    own = [row for row in comparison.rows if row.target == target.label]
    measured, planned, failed = (sum(getattr(r, key) for r in own) for key in ("trials", "planned", "failed"))
    counts = f"{measured} of {planned} trials measured" + (f", {failed} failed" if failed else "")
    if comparison.controls and len(comparison.targets) == 1:
        counts += f", with {comparison.controls} controls"
    return Section(
        f"Fastest method, {cells.speed(comparison.rows)} speedup: {named(target)}",
        columns=(
            Column("category"),
            *(Column(cells.temperature(t)) for t in temperatures),
        ),
        rows=tuple(
            (cells.category(*where), *(row.get(t, MISSING) for t in temperatures)) for where, row in rows.items()
        ),
        footnotes=(
            counts,
            "a method is named where it is faster beyond chance (5 %, Holm's correction over categories and methods),",
            "also where prompts above 1.25 times their tokens per step, which no method gives, count as no gain",
        ),
    )


def _figures(title: str, rows: Sequence[Row]) -> Section:
    rare = [(column, cell) for column, cell in _RARE if any(cell(row) != MISSING for row in rows)]
    table = (*_TABLE, *rare)
    lines: list[tuple[str, ...]] = []
    rules: list[int] = []
    for (category, fill), group in groupby(rows, key=lambda r: (r.category, r.fill)):
        members = list(group)
        if not any(map(_tried, members)) and any(map(_tried, rows)):
            continue  # a footnote says so
        name = cells.category(category, fill)
        for row in members:
            first = cells.category(None, None, row.categories) if category is None else name
            shown = first if row is members[0] or first != name else ""
            lines.append((shown, *(cell(row) for _, cell in table)))
        rules.append(len(lines) - 1)
    columns = [Column("category"), *(column for column, _ in table)]
    if any(row.decode_source == "output_throughput" for row in rows):
        columns = [replace(column, name="output") if column.name == "decode" else column for column in columns]
    return Section(title, tuple(columns), tuple(lines), tuple(rules[:-1]), footnotes=tuple(_footnotes(rows)))


def _why(comparison: Comparison, target: Target) -> Section:
    """One sentence for each contender and temperature, over all its categories."""
    mine = [w for w in comparison.why if w.target == target.label and w.category is None]
    lines = tuple(f"{cells.temperature(w.temperature)}: {cells.why(w)}" for w in mine)
    return Section(f"Why, over all categories: {named(target)}", lines=lines)


_ALONG: tuple[tuple[Column, Callable[[Point], str]], ...] = (
    (Column("n", "", "right", 2), lambda p: str(p.prompts)),
    (Column("tok/s", "", "right", 1), lambda p: cells.rate(p.speed)),
    (Column("accept", "%", "right"), lambda p: cells.percentage(p.acceptance)),
    (Column("tok/step", "", "right"), lambda p: cells.factor(p.tokens_per_step)),
    (Column("round", "steps", "right"), lambda p: cells.factor(p.round_cost)),
    (Column("speedup", "× (95 %)", "right"), lambda p: cells.with_interval(p.speedup)),
    (Column("by position", "%", "left", 3), lambda p: cells.positions(p.accepted_by_position)),
)


def _curves(comparison: Comparison) -> Iterator[Section]:
    """A table for each swept axis, target and temperature: what changes along it, and where it stops to pay."""
    for (axis, target, temperature), group in groupby(
        sorted(comparison.curves, key=lambda c: (c.axis, c.target, c.temperature or 0)),
        key=lambda c: (c.axis, c.target, c.temperature),
    ):
        members = list(group)
        rows, rules = [], []
        for curve in members:
            where = (cells.category(curve.category, curve.fill), curve.label)
            for point in curve.points:
                first = where if point is curve.points[0] else ("", "")
                rows.append((*first, cells.setting(axis, point.value), *(cell(point) for _, cell in _ALONG)))
            rules.append(len(rows) - 1)
        names = (Column("category"), Column("method"), Column(axis, "", "right", 0))
        when = "" if temperature is None else f", {cells.temperature(temperature)}"
        footnotes = tuple(text for curve in members if (text := cells.break_even(curve)) is not None)
        columns = (*names, *(column for column, _ in _ALONG))
        yield Section(f"Along {axis}: {target}{when}", columns, tuple(rows), tuple(rules[:-1]), footnotes=footnotes)


def _tried(row: Row) -> bool:
    return row.trials + row.failed > 0


def _footnotes(rows: Iterable[Row]) -> Iterator[str]:
    rows = [row for row in rows if row.category is not None]
    tried = {cells.category(row.category, row.fill) for row in rows if _tried(row)}
    if left := dict.fromkeys(name for r in rows if (name := cells.category(r.category, r.fill)) not in tried):
        yield f"not measured yet: {', '.join(left)}"
    for row in rows:
        if row.trials < row.planned and cells.category(row.category, row.fill) in tried:
            lost = f", {row.failed} failed" if row.failed else ""
            where = f"{row.label}, {cells.category(row.category, row.fill)}"
            yield f"{where}: {row.trials} of {row.planned} trials measured{lost}"
    if mixed := dict.fromkeys(cells.category(row.category, row.fill) for row in rows if row.stop == "mixed"):
        yield f"{', '.join(mixed)}: answers of fixed length and answers that end by themselves are in one row"
    if any(row.decode_source == "decode_client" and row.decode is not None for row in rows):
        yield "tok/s is by the client's clock: the engine shows no times"
    if any(row.decode_source == "output_throughput" for row in rows):
        yield "tok/s and speedup: all output tokens of all streams over their wall time, prefill included"
        yield "n counts prompts; the interval is over groups of streams that ran together"
    elif any(row.round_cost is not None for row in rows):
        yield "round: a verification step in plain steps of the baseline; tokens / round = speedup, on each prompt"
    sources = {row.steps_source for row in rows if row.steps_source is not None and row.baseline is not None}
    if sources:
        yield f"tok/step counts decode passes of the target: {', '.join(sorted(sources))}"


def _notes(comparison: Comparison) -> Iterator[str]:
    yield comparison.energy
    for skip in comparison.skipped:
        yield f"skipped {skip.contender}: {skip.reason}" + (f" ({skip.hint})" if skip.hint else "")
    for code, group in groupby(comparison.notes, key=lambda n: n.code):
        notes = list(group)
        first, advice = notes[0], notes[0].advice
        alike = [n for n in notes if n.message == first.message]
        text = f"{code} {_where(alike)}{first.message}{_more([n for n in notes if n.message != first.message])}"
        yield f"{text}. {advice[:1].upper()}{advice[1:]}."


def _where(notes: Sequence[Note]) -> str:
    """`method (code, json), other (chat): `; empty when a note is about the whole run."""
    named = _places(notes)
    return f"{named}: " if named else ""


def _places(notes: Sequence[Note]) -> str:
    places: dict[str, list[str]] = defaultdict(list)
    for n in notes:
        if n.contender is not None:
            places[n.contender] += [n.category] if n.category and n.category not in places[n.contender] else []
    named = [f"{name} ({', '.join(found)})" if found else name for name, found in list(places.items())[:_NAMED]]
    others = len(places) - len(named)
    return f"{', '.join(named)}{f' and {others} more' if others else ''}"


def _more(others: Sequence[Note]) -> str:
    named = _places(others)
    return f"; and {len(others)} more like it{f': {named}' if named else ''}" if others else ""
