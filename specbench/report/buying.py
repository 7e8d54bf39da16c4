"""The buyer's report: tables for a terminal, charts, and a page."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from specbench.analysis.cost import SPLIT, Band, Buying, Offer
from specbench.report import cells
from specbench.report.charts import Chart, Series, png, svg
from specbench.report.figures import file_name
from specbench.report.page import bare, rendered, table
from specbench.report.section import MISSING, Column, Section
from specbench.units import significant, size

EXAMPLE = "EXAMPLE PRICES"


def band(found: Band | None, digits: int = 2) -> str:
    """55 (36-85); the value alone where nothing is known to be uncertain."""
    if found is None:
        return MISSING
    if found.low == found.high:
        return significant(found.value, digits)
    return f"{significant(found.value, digits)} ({significant(found.low, 2)}\N{EN DASH}{significant(found.high, 2)})"


def fits(offer: Offer) -> str:
    """Whether model and KV cache have room in the memory."""
    if offer.lacking is None:
        return "memory not known"
    if offer.lacking > 0:
        return f"no: {size(offer.lacking)} too little"
    return f"{size(-offer.lacking)} left"  # for buffers and drafters, which are not counted


def basis(offer: Offer) -> str:
    """What the speed on the mix rests on."""
    used = {figure.basis for figure in offer.figures.values() if figure is not None}
    return next(iter(used)) if len(used) == 1 else "mixed" if used else MISSING


def _named(offer: Offer) -> str:
    """The machine, and that it has figures of tensors split over its cards."""
    return f"{offer.name}{SPLIT if offer.split else ''}"


def against(offer: Offer, api: Band | None) -> str:
    """Dollars a token against those of the API: a claim only where the bands lie apart."""
    each = offer.costs.per_million
    if each is None or api is None:
        return MISSING
    return "cheaper" if each.high < api.low else "dearer" if each.low > api.high else "not clear"


_COLUMNS: tuple[tuple[Column, Callable[[Offer, Buying], str]], ...] = (
    (Column("machine"), lambda o, _: o.name),
    (Column("tok/s", "on the mix", "right"), lambda o, _: band(o.speed) if o.speed else o.unknown or MISSING),
    (Column("from"), lambda o, _: basis(o)),
    (Column("plain", "tok/s", "right", 2), lambda o, _: band(o.plain)),
    (Column("to pay", "$", "right"), lambda o, _: significant(o.costs.outlay.value)),
    (Column("between", "$", "right", 5), lambda o, _: _ends(o.costs.outlay)),
    (Column("all in", "$/Mtok", "right"), lambda o, _: band(o.costs.per_million)),
    (Column("API", "writing", "left", 4), lambda o, b: against(o, b.api)),
    (Column("all years", "$", "right", 3), lambda o, _: band(o.costs.total, 3)),
    (Column("fits", "", "left", 1), lambda o, _: fits(o)),
    (Column("per k$", "tok/s", "right", 6), lambda o, _: band(o.costs.per_dollar and o.costs.per_dollar.times(1e3))),
    (
        Column("per W", "tok/s", "right", 7),
        lambda o, _: significant(o.costs.per_joule.value, 2) if o.costs.per_joule else MISSING,
    ),
    (Column("per kWh", "Mtok", "right", 8), lambda o, _: band(o.costs.per_kwh and o.costs.per_kwh.times(1e-6))),
)


def _ends(found: Band) -> str:
    return MISSING if found.low == found.high else f"{significant(found.low)}\N{EN DASH}{significant(found.high)}"


def heading(b: Buying) -> str:
    """What is asked."""
    what = "What machines do" if b.budget is None else f"What {b.budget:,.0f} dollars buy"
    return f"{what}: {b.model}, {cells.setting('fill', b.context)} context"


def sections(b: Buying, *, sourced: bool = True) -> list[Section]:
    """The machines, and the best method of each for each kind of work. `sourced`: with where prices are from."""
    marked = f"{EXAMPLE} · " if b.example else ""
    rows = tuple(tuple(cell(offer, b) for _, cell in _COLUMNS) for offer in b.offers)
    work, rules = [], []
    for offer in b.offers:
        for number, (category, figure) in enumerate(offer.figures.items()):
            said = (
                (figure.method, band(figure.speed), figure.basis) if figure else (MISSING, offer.unknown or "", MISSING)
            )
            work.append((offer.name if number == 0 else "", category, *said))
        rules.append(len(work) - 1)
    columns = (Column("machine"), Column("work"), Column("method"), Column("tok/s", "", "right"), Column("from"))
    said = (*remarks(b), *(_sources(b) if sourced else ()))
    return [
        Section(marked + heading(b), tuple(c for c, _ in _COLUMNS), rows, footnotes=said),
        Section(
            f"Best method by kind of work: {b.model}", columns, tuple(work), tuple(rules[:-1]),
            footnotes=(
                "measured: in a run on this machine. published: reports on this machine, model and quantisation",
                "predicted: from bandwidth and what is published for other machines (docs/prediction.md)",
            ),
        ),
    ]  # fmt: skip


def remarks(b: Buying) -> Iterator[str]:
    """What the figures rest on."""
    if b.example:
        yield f"{EXAMPLE}: write a list of your own and pass it with --prices (docs/buying.md)"
    yield "mix, in shares of tokens: " + ", ".join(f"{name} {share:.0%}" for name, share in b.mix.items())
    yield "tok/s: rag-long with the whole context filled, other work with 4k at most; reading prompts is not in it"
    yield f"$/Mtok: what {b.years:g} years cost over the tokens they yield; brackets: 95 %, or the list's low and high"
    if b.api is not None:
        yield f"API: {b.api_name} at {band(b.api)} $/Mtok written; reading prompts is in neither figure"
    if b.beyond:
        yield f"beyond the budget: {', '.join(b.beyond)}"
    drafted = {c for o in b.offers for c, f in o.figures.items() if f and not f.plain}
    plain = {o.name: [c for c, f in o.figures.items() if f and f.plain and c in drafted] for o in b.offers if o.speed}
    if said := [f"{name} ({', '.join(kinds)})" for name, kinds in plain.items() if kinds]:
        yield (
            "the order is also that of what is known: plain decoding, where others have speculation, for lack of any"
            f" report (--tau-from RUN): {'; '.join(said)}"
        )
    if split := [o.name for o in b.offers if o.split]:
        yield (
            f"tensor split: {', '.join(split)}, as published; several cards whose figures do not say so have a layer"
            " each, which is slower"
        )
    yield "published speculation without a stated context is taken to be of 4k at most"
    if any(o.rented for o in b.offers):
        yield "rented: to pay is the rent of all hours of all years, without storage and idle time"
    yield "fits: the room that is left is for buffers and drafters, which are not counted"
    yield from (*b.assumed, *b.notes)


def _sources(b: Buying) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for what, _, source, date in b.inputs:
        found.setdefault(f"{source} ({date})", []).append(what)
    for source, words in found.items():
        yield f"{'; '.join(words[:4])}{f' and {len(words) - 4} more' if len(words) > 4 else ''}: {source}"  # noqa: PLR2004


def charts(b: Buying) -> Iterator[Chart]:
    """Price against speed and watts against speed, with the line of what nothing beats in both."""
    marked = f" ({EXAMPLE})" if b.example else ""
    axes: tuple[tuple[str, str, str, Callable[[Offer], Band | None]], ...] = (
        ("price", "Price against speed", "dollars to pay", lambda o: o.costs.outlay),
        ("power", "Power against speed", "watts while it works", lambda o: o.paid.watts if o.paid.watts.high else None),
    )
    for name, title, unit, of in axes:
        found = [(o, x, o.speed) for o in b.offers if o.speed is not None and (x := of(o)) is not None]
        series = [
            Series(
                _named(o), ((x.value, y.value),), ((y.low, y.high),), ((x.low, x.high),), hollow=basis(o) == "predicted"
            )
            for o, x, y in found
        ]
        edge: list[tuple[float, float]] = []
        for _, x, y in sorted(found, key=lambda f: (f[1].value, -f[2].value)):
            if not edge or y.value > edge[-1][1]:
                edge.append((x.value, y.value))
        if series:
            line = (Series("nothing is better in both", tuple(edge)),) if len(edge) > 1 else ()
            yield Chart(
                file_name(name, b.model), f"{title}: {b.model}{marked}", unit, "tok/s on the mix", "offers",
                (*series, *line),
            )  # fmt: skip


def pictures(found: Sequence[Buying]) -> Iterator[tuple[str, bytes]]:
    """File names and bytes: every chart as PNG and as SVG."""
    for b in found:
        caption = "\n".join(list(remarks(b))[:4]) + "\nHollow points: predicted. Bars: 95 % intervals, and low to high."
        for chart in charts(b):
            yield f"{chart.name}.png", png(chart, caption)
            yield f"{chart.name}.svg", svg(chart, caption).encode()


def page(found: Sequence[Buying]) -> str:
    """One HTML file that needs nothing else; all that comes from files is escaped by the template."""
    first = found[0]
    mix = ", ".join(f"{name} {share:.0%}" for name, share in first.mix.items())
    what = "What machines do" if first.budget is None else f"What {first.budget:,.0f} dollars buy"
    alarm = (
        EXAMPLE,
        "Prices, watts and hours come with specbench to show the form. Do not decide by them: pass your own --prices.",
    )
    groups: list[dict[str, Any]] = [
        {
            "name": b.model if len(found) > 1 else None,
            "answers": [a for a in _answers(b) if a],
            "charts": [(chart.title, bare(chart)) for chart in charts(b)],
            "sections": [table(section) for section in sections(b, sourced=False)],
        }
        for b in found
    ]
    return rendered(
        "tables.html",
        title=what,
        facts=[
            *(b.model for b in found),
            f"{cells.setting('fill', first.context)} context",
            mix,
            f"{first.years:g} years",
        ],
        alarm=alarm if first.example else None,
        groups=[*groups, {"sections": [table(inputs(first))]}],
        caption="Bars: 95 % of speeds, low to high of prices and watts. Hollow: predicted. Dashed: beaten by nothing.",
    )


def inputs(b: Buying) -> Section:
    """Every number of the price list with its source and date."""
    columns = (Column("input"), Column("value", "", "right"), Column("source"), Column("as of"))
    rows = tuple((what, band(value, 4), source, date) for what, value, source, date in b.inputs)
    return Section(f"Prices and other inputs{f' ({EXAMPLE})' if b.example else ''}", columns, rows)


def _answers(b: Buying) -> Iterator[dict[str, Any] | None]:
    yield _first("fastest on this work", b, lambda o: o.speed, lambda v: f"{band(v)} tok/s", most=True)
    yield _first("fastest when plain", b, lambda o: o.plain, lambda v: f"{band(v)} tok/s", most=True)
    yield _first("cheapest a token", b, lambda o: o.costs.per_million, lambda v: f"{band(v)} $/Mtok", most=False)
    yield _first("most from a kWh", b, lambda o: o.costs.per_kwh, lambda v: f"{band(v.times(1e-6))} Mtok", most=True)
    if b.api is not None and (judged := {_named(o): against(o, b.api) for o in b.offers if o.speed}):
        clear = [name for name, verdict in judged.items() if verdict == "cheaper"]
        unclear = [name for name, verdict in judged.items() if verdict == "not clear"]
        yield {
            "question": "cheaper than the API at writing?",
            "look": "use" if clear else "open" if unclear else "off",
            "head": ", ".join(clear[:2]) if clear else "not clear" if unclear else "no",
            "tail": f"{b.api_name}: {band(b.api)} $/Mtok written; reading prompts is in neither figure",
            "others": f"not clear: {', '.join(unclear)}" if unclear else "",
        }


def _first(
    question: str, b: Buying, of: Callable[[Offer], Band | None], words: Callable[[Band], str], *, most: bool
) -> dict[str, Any] | None:
    """The best by the middle of its band, and those whose band is not clear of it.

    Of those that are as good, the one to buy for the least comes before what is rented.
    """
    found = [(v, o) for o in b.offers if (v := of(o))]
    found.sort(key=lambda f: (-f[0].value if most else f[0].value, f[1].rented, f[1].costs.total.value))
    if not found:
        return None
    value, best = found[0]
    close = [_named(o) for v, o in found[1:] if _overlap(v, value)]
    return {
        "question": question,
        "look": "open" if close else "use",
        "head": _named(best),
        "tail": f"{words(value)}, {basis(best)}",
        "others": f"not clearly before {', '.join(close)}" if close else "",
    }


def _overlap(a: Band, b: Band) -> bool:
    return a.low <= b.high and b.low <= a.high
