"""Runs on different machines, for a terminal, Markdown and a page."""

from collections.abc import Iterator
from string import ascii_uppercase

from specbench.analysis.machines import Fastest, Machines, Work
from specbench.report import cells
from specbench.report.page import rendered, table
from specbench.report.section import MISSING, Column, Section
from specbench.units import significant

_TOLD = 4  # differences that are named


def _letter(number: int) -> str:
    return ascii_uppercase[number] if number < len(ascii_uppercase) else str(number + 1)


def sections(found: Machines) -> list[Section]:
    """Who is faster at what and why, for each target and temperature, and what else differs."""
    kinds = dict.fromkeys((f.work.target, f.work.temperature) for f in found.fastest)
    parts = [part for kind in kinds for part in (_who(found, *kind), _why(found, *kind))]
    return [*parts, Section("Runs", lines=tuple(_runs(found)))]


def _who(found: Machines, target: str, temperature: float) -> Section:
    columns = [Column("category"), Column("fastest")]
    columns += [Column(_letter(n), "tok/s", "left", min(n, 4)) for n in range(len(found.names))]
    rows = tuple(
        (_work(f.work), _lead(f), *(f"{b[0]} {significant(b[1].value)}" if b else MISSING for b in f.best))
        for f in found.fastest
        if (f.work.target, f.work.temperature) == (target, temperature)
    )
    return Section(
        f"Who is faster at what: {target}, {cells.temperature(temperature)}", tuple(columns), rows,
        footnotes=("each machine's fastest method; named where the ratio on shared prompts is above 1 at 95 %",),
    )  # fmt: skip


def _lead(f: Fastest) -> str:
    clear = f.lead.low is not None and f.lead.low > 1
    return f"{'' if clear else 'not clear: '}{_letter(f.winner)} × {cells.with_interval(f.lead)}"


def _work(work: Work) -> str:
    return cells.category(work.category, work.fill) + (f", {work.streams} streams" if work.streams > 1 else "")


def _why(found: Machines, target: str, temperature: float) -> Section:
    columns = (
        Column("category"), Column("method"), Column("run"), Column("tok/s", "", "right"),
        Column("tok", "/round", "right", 3), Column("round", "steps", "right", 4),
        Column("in all", f"× {_letter(0)}", "right"), Column("plain", "×", "right", 1),
        Column("drafter", "×", "right"), Column("rounds", "×", "right"),
    )  # fmt: skip
    rows: list[tuple[str, ...]] = []
    rules: list[int] = []
    shown = [s for s in found.standings if (s.work.target, s.work.temperature) == (target, temperature)]
    for before, s in zip([None, *shown], shown, strict=False):
        new = before is None or before.work != s.work
        if new and rows:
            rules.append(len(rows) - 1)
        same = before is not None and not new and before.label == s.label
        rows.append(
            (
                _work(s.work) if new else "", "" if same else s.label, _letter(s.run), cells.rate(s.speed),
                cells.factor(s.tokens_per_round), cells.factor(s.round_cost), cells.with_interval(s.total),
                cells.factor(s.plain), cells.factor(s.drafter), cells.steps(s.rounds),
            )
        )  # fmt: skip
    return Section(
        f"Drafter or hardware: {target}, {cells.temperature(temperature)}",
        columns,
        tuple(rows),
        tuple(rules),
        footnotes=(
            "in all = plain x drafter x rounds. drafter: tokens a round, which belong to drafter and work",
            "plain and rounds belong to hardware and engine; rounds above 1: a round costs fewer plain steps",
            "speed, tokens and steps are of each run's own prompts, the factors of those that both have",
        ),
    )


def _runs(found: Machines) -> Iterator[str]:
    for number, (name, machine) in enumerate(zip(found.names, found.machines, strict=True)):
        yield f"{_letter(number)}: {name}, {machine}"
    if found.same:
        yield f"the same machine as A: {', '.join(found.same)}; `specbench compare` tells a change from noise"
    for number in dict.fromkeys(n for n, _ in found.differs):
        mine = [d for n, d in found.differs if n == number]
        told = "; ".join(f"{d.what}: {d.base} / {d.new}" for d in mine[:_TOLD])
        yield f"A and {_letter(number)} also differ in {told}" + (
            f"; and {len(mine) - _TOLD} more" if len(mine) > _TOLD else ""
        )
    if not found.fastest:
        yield (
            "no machine leads: no two runs have a prompt of one target with the same temperature, fill and streams, "
            "or each loses to another"
        )


def page(found: Machines) -> str:
    """One HTML file that needs nothing else."""
    *parts, runs = sections(found)
    facts = [f"{_letter(n)}: {machine}" for n, machine in enumerate(found.machines)]
    groups = [{"sections": [*map(table, parts)]}]
    return rendered("tables.html", title="Machines compared", facts=facts, groups=groups, lines=runs.lines)
