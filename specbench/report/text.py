"""The report as plain data for a terminal: the command line draws it and decides nothing."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from specbench.analysis.checks import Note
from specbench.analysis.comparison import Comparison, Target
from specbench.analysis.rows import Row
from specbench.report import cells

GAP = 2  # spaces between columns
_NAMED = 3


@dataclass(frozen=True)
class Column:
    """Priority 0 is always shown; where it is narrow, the highest priority goes first."""

    name: str
    unit: str
    justify: Literal["left", "right"]
    priority: int

    @property
    def title(self) -> str:
        """The name, and its unit on a second line."""
        return f"{self.name}\n{self.unit}" if self.unit else self.name


@dataclass(frozen=True)
class Section:
    """A title, lines, a table, footnotes. `rules` are the rows after which a thin line helps the eye."""

    title: str
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    rules: tuple[int, ...] = ()
    lines: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()

    def fitting(self, width: int) -> tuple[int, ...]:
        """Indexes of the columns that fit into `width` characters, with `GAP` between them."""
        needed = [max(map(len, (c.name, c.unit, *(row[i] for row in self.rows)))) for i, c in enumerate(self.columns)]
        shown = list(range(len(self.columns)))
        while sum(needed[i] for i in shown) + GAP * (len(shown) - 1) > width:
            last = max(shown, key=lambda i: (self.columns[i].priority, i), default=None)
            if last is None or self.columns[last].priority == 0:
                break
            shown.remove(last)
        return tuple(shown)


def _checks(row: Row) -> str:
    return f"{row.checks_passed}/{row.checks_judged}" if row.checks_judged else cells.MISSING


def _speedup(row: Row) -> str:
    if not row.speculating:
        return "did not draft"
    if not row.trials:
        return "not measured"
    return "baseline" if row.baseline is None and row.method == "none" else cells.with_interval(row.speedup)


_TABLE: tuple[tuple[Column, Callable[[Row], str]], ...] = (
    (Column("method", "", "left", 0), lambda r: r.label),
    (Column("n", "", "right", 2), lambda r: str(r.prompts)),
    (Column("decode", "tok/s", "right", 0), lambda r: cells.rate(r.decode)),
    (Column("speedup", "× (95 %)", "right", 0), _speedup),
    (Column("accept", "%", "right", 0), lambda r: cells.percentage(r.metrics["draft_acceptance_rate"])),
    (Column("tok/step", "", "right", 0), lambda r: cells.factor(r.metrics["mean_acceptance_length"])),
    (Column("lossless", "", "right", 0), lambda r: cells.lossless_short(r.lossless)),
    (Column("TTFT", "ms", "right", 3), lambda r: cells.milliseconds(r.metrics["first_token"])),
    (Column("e2e", "tok/s", "right", 4), lambda r: cells.rate(r.metrics["end_to_end"])),
    (Column("e2e", "×", "right", 1), lambda r: cells.factor(r.end_to_end_speedup)),
    (Column("by position", "%", "left", 5), lambda r: cells.positions(r.accepted_by_position)),
    (Column("per draft", "tok", "right", 8), lambda r: cells.factor(r.metrics["accepted_per_draft"])),
    (Column("prefill", "×", "right", 6), lambda r: cells.factor(r.prefill_cost)),
    (Column("drafting", "%", "right", 9), lambda r: cells.percentage(r.metrics["drafting_share"])),
    (Column("checks", "", "right", 7), _checks),
)
_MACHINE: tuple[tuple[Column, Callable[[Row], str]], ...] = (  # columns that are left out where nothing was measured
    (Column("energy", "J/tok", "right", 10), lambda r: cells.rate(r.metrics["energy_per_token"])),
    (Column("per kWh", "ktok", "right", 12), lambda r: cells.thousands(r.metrics["tokens_per_kwh"])),
    (Column("memory", "MiB", "right", 11), lambda r: cells.mebibytes(r.peak_memory)),
    (Column("on GPU", "MiB", "right", 11), lambda r: cells.mebibytes(r.peak_device_memory)),
)


def sections(comparison: Comparison) -> list[Section]:
    """What to do first, then the figures of each target and temperature, then the notes."""
    found = [_verdicts(comparison, target) for target in comparison.targets]
    groups = defaultdict[tuple[str, float], list[Row]](list)
    for row in comparison.rows + comparison.overall:
        groups[row.target, row.temperature].append(row)
    for (label, temperature), rows in groups.items():
        target = next(t for t in comparison.targets if t.label == label)
        found.append(_figures(f"{_named(target)}, {cells.temperature(temperature)}", rows))
    notes = tuple(_notes(comparison))
    if notes:
        found.append(Section("Notes", lines=notes))
    return [section for section in found if section.rows or section.lines]


def _named(target: Target) -> str:
    quant = f" {target.quant}" if target.quant and target.quant.lower() not in target.label.lower() else ""
    return f"{target.label}{quant}" + (f" [{target.note}]" if target.note else "")


def _verdicts(comparison: Comparison, target: Target) -> Section:
    """One line a category, greedy and sampled side by side, never mixed."""
    mine = [v for v in comparison.verdicts if v.target == target.label]
    temperatures = sorted({v.temperature for v in mine})
    rows: dict[tuple[str | None, int | None], dict[float, str]] = defaultdict(dict)
    for v in mine:
        rows[v.category, v.fill][v.temperature] = cells.verdict(v)
    counts = f"{comparison.measured} of {comparison.planned} trials measured"
    return Section(
        f"Fastest method, decode speedup: {_named(target)}",
        columns=(
            Column("category", "", "left", 0),
            *(Column(cells.temperature(t), "", "left", 0) for t in temperatures),
        ),
        rows=tuple(
            (cells.category(*where), *(row.get(t, cells.MISSING) for t in temperatures)) for where, row in rows.items()
        ),
        footnotes=(counts + (f", {comparison.failed} failed" if comparison.failed else ""),),
    )


def _figures(title: str, rows: Sequence[Row]) -> Section:
    machine = [(column, cell) for column, cell in _MACHINE if any(cell(row) != cells.MISSING for row in rows)]
    table = (*_TABLE, *machine)
    lines: list[tuple[str, ...]] = []
    rules: list[int] = []
    for (category, fill), group in groupby(rows, key=lambda r: (r.category, r.fill)):
        members = list(group)
        name = cells.category(category, fill)
        for row in members:
            first = cells.category(None, None, row.categories) if category is None else name
            shown = first if row is members[0] or first != name else ""
            lines.append((shown, *(cell(row) for _, cell in table)))
        rules.append(len(lines) - 1)
    columns = (Column("category", "", "left", 0), *(column for column, _ in table))
    return Section(title, columns, tuple(lines), tuple(rules[:-1]), footnotes=tuple(_footnotes(rows)))


def _footnotes(rows: Iterable[Row]) -> Iterator[str]:
    rows = [row for row in rows if row.category is not None]
    for row in rows:
        if row.trials < row.planned:
            lost = f", {row.failed} failed" if row.failed else ""
            where = f"{row.label}, {cells.category(row.category, row.fill)}"
            yield f"{where}: {row.trials} of {row.planned} trials measured{lost}"
    if mixed := dict.fromkeys(cells.category(row.category, row.fill) for row in rows if row.stop == "mixed"):
        yield f"{', '.join(mixed)}: answers of fixed length and answers that end by themselves are in one row"
    if any(row.decode_source == "decode_client" and row.decode is not None for row in rows):
        yield "tok/s is by the client's clock: the engine shows no times"
    sources = {row.steps_source for row in rows if row.steps_source is not None and row.baseline is not None}
    if sources:
        yield f"tok/step counts decode passes of the target: {', '.join(sorted(sources))}"


def _notes(comparison: Comparison) -> Iterator[str]:
    yield comparison.energy
    for skip in comparison.skipped:
        yield f"skipped {skip.contender}: {skip.reason}" + (f" ({skip.hint})" if skip.hint else "")
    for code, group in groupby(comparison.notes, key=lambda n: n.code):
        notes = list(group)
        advice = notes[0].advice
        yield f"{code} {_where(notes)}{notes[0].message}{_more(len(notes) - 1)}. {advice[:1].upper()}{advice[1:]}."


def _where(notes: Sequence[Note]) -> str:
    """`method (code, json), other (chat): `; empty when a note is about the whole run."""
    places: dict[str, list[str]] = defaultdict(list)
    for n in notes:
        if n.contender is not None:
            places[n.contender] += [n.category] if n.category and n.category not in places[n.contender] else []
    named = [f"{name} ({', '.join(found)})" if found else name for name, found in list(places.items())[:_NAMED]]
    others = len(places) - len(named)
    return f"{', '.join(named)}{f' and {others} more' if others else ''}: " if named else ""


def _more(others: int) -> str:
    return f"; and {others} more like it" if others else ""
