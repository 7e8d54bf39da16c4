"""A run laid out as a published table, beside the published figures. Tables are data: results/published/tables/."""

import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from specbench import datafiles, faults, prediction, store
from specbench.analysis.comparison import Comparison
from specbench.analysis.rows import Row
from specbench.analysis.stats import Estimate
from specbench.analysis.why import LENGTHS
from specbench.errors import InputError
from specbench.report.cells import temperature as named
from specbench.report.page import machine_in_words
from specbench.report.section import MISSING, Column, Section
from specbench.units import significant

_BOTH = {"cache_type_k": "cache_type", "cache_type_v": "cache_type"}  # a setting that is two


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Line(_Table):
    """A row or a column. `published`: what the columns of results.csv must hold. `mine`: what a row of the run must be.

    `figure`: the column of results.csv that is shown; `shows`: the metric of the run, or a field of its row.
    """

    name: str
    published: dict[str, str] = Field(default_factory=dict)
    mine: dict[str, Any] = Field(default_factory=dict)
    figure: str | None = None
    shows: str | None = None


class PublishedTable(_Table):
    """One table: rows and columns meet in a cell, which is what fits both and `published`."""

    title: str
    source: str
    caveats: tuple[str, ...] = ()
    published: dict[str, str]
    rows: tuple[_Line, ...]
    columns: tuple[_Line, ...]


def tables() -> dict[str, PublishedTable]:
    """The packaged tables by name."""
    found = {}
    for name, text in datafiles.texts(datafiles.path("results/published/tables")).items():
        try:
            found[name[:-5]] = PublishedTable.model_validate(tomllib.loads(text))
        except (tomllib.TOMLDecodeError, ValidationError) as error:
            raise InputError(f"the table {name} is damaged: {error}", hint="install specbench again") from error
    return found


def like(name: str, runs: Sequence[tuple[store.Run, Comparison]]) -> Section:
    """The table with a line of published figures and one of each run for every row; the fastest that fits counts."""
    known = tables()
    if name not in known:
        raise InputError(f"there is no published table {name!r}", hint=faults.did_you_mean(name, known))
    asked, csv = known[name], list(prediction.csv_rows())
    rows, said = list(asked.rows), [f"published: {asked.source}", *asked.caveats]
    for run, comparison in runs:
        quants = dict.fromkeys(target.quant for target in comparison.targets if target.quant)
        if all(row.mine.keys() == {"quant"} for row in asked.rows):  # the run's own quantisations are rows too
            have = {row.mine["quant"] for row in rows}
            rows += [_Line(name=q, published={"quant": "-"}, mine={"quant": q}) for q in quants if q not in have]
        methods = dict.fromkeys(row.method for row in comparison.rows)
        machine = ", ".join(machine_in_words(run.machine))
        said.append(f"{run.path.name}: {machine}; holds {', '.join(quants) or 'no quantisation'}; {', '.join(methods)}")
    lines, rules = [], []
    for row in rows:
        cells = [_published(csv, {**asked.published, **row.published, **c.published}, c.figure) for c in asked.columns]
        lines.append((row.name, "published", *cells))
        for run, comparison in runs:
            wanted = [({**row.mine, **c.mine}, c.shows or "decode") for c in asked.columns]
            when, own = _mine(comparison, wanted)
            lines.append(("", f"{run.path.name}{when}", *own))
        rules.append(len(lines) - 1)
    names = ("", "", *(c.name for c in asked.columns))
    columns = tuple(Column(name, "", "right" if i > 1 else "left", 0) for i, name in enumerate(names))
    said.append("a line of a run is of one engine, target and temperature; a dash: not published, or not in the run")
    return Section(asked.title, columns, tuple(lines), tuple(rules[:-1]), footnotes=tuple(said))


def _published(rows: Sequence[Mapping[str, str]], wanted: Mapping[str, str], figure: str | None) -> str:
    """The value, or the ends of several; `?` where a row is no reference."""
    found = [r for r in rows if figure and r[figure] and all(r[k].startswith(v) for k, v in wanted.items())]
    values = sorted({float(r[figure]) for r in found if figure})
    doubt = "" if all(r["status"] == "ok" for r in found) else " ?"
    return "\N{EN DASH}".join(f"{v:g}" for v in dict.fromkeys((values[0], values[-1]))) + doubt if values else MISSING


def _mine(comparison: Comparison, wanted: Sequence[tuple[Mapping[str, Any], str]]) -> tuple[str, list[str]]:
    """One line and its temperature: all of one baseline, and of what is compared to it; those with most to show.

    Each cell is of the fastest contender that fits, the same one wherever the same is wanted.
    """
    quants = {target.label: target.quant for target in comparison.targets}
    families: dict[tuple[str, float], list[Row]] = defaultdict(list)
    for row in (*comparison.rows, *comparison.overall):
        if row.speculating and row.right and row.decode:
            families[row.baseline or row.contender, row.temperature].append(row)
    lines = []
    for (_, temperature), rows in families.items():
        ordered = sorted(rows, key=lambda r: -r.decode.value if r.decode else 0.0)
        fitting = [next((r for r in ordered if _fits(r, quants, mine)), None) for mine, _ in wanted]
        cells = [_shown(row, shows) if row else MISSING for row, (_, shows) in zip(fitting, wanted, strict=True)]
        fastest = max((r.decode.value for r in fitting if r and r.decode), default=0.0)
        count = sum(cell != MISSING for cell in cells)
        lines.append((count, fastest, f", {named(temperature)}" if count else "", cells))
    return max(lines, default=(0, 0.0, "", [MISSING] * len(wanted)))[2:]


def _fits(row: Row, quants: Mapping[str, str | None], wanted: Mapping[str, Any]) -> bool:
    return all(
        _fact(row, quants, key) == value or (row.method == "none" and key in LENGTHS) for key, value in wanted.items()
    )


def _fact(row: Row, quants: Mapping[str, str | None], key: str) -> object:
    facts = {"method": row.method, "category": row.category or "all", "quant": quants.get(row.target), "fill": row.fill}
    return facts.get(key, row.axes.get(key, row.axes.get(_BOTH.get(key, key))))


def _shown(row: Row, shows: str) -> str:
    found = row.metrics[shows] if shows in row.metrics else getattr(row, shows)
    return significant(found.value) if isinstance(found, Estimate) else MISSING
